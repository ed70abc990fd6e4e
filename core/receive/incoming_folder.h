// The folder into which devices put files: <root>/<device>/..., or
// <root>/<device>/<inside>/<device>/... where each device has a root of its own. Whatever is below
// a device's folder is the work of a device that may be hostile: any name, links, pipes, changes at
// any time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/base/descriptor.h"
#include "core/transfer/local_file.h"

namespace viaduct {

struct IncomingEntry {
  std::string name;  // "<device>/<more>", as CheckRemoteName allows it.
  uint64_t size = 0;
  int64_t modified_ns = 0;
  int64_t changed_ns = 0;  // By the server's clock; no device can set it.
  uint64_t inode = 0;
  bool odd = false;  // Under a name that CheckRemoteName does not allow: parts, and what is hidden.
};

struct IncomingAnnouncement {
  std::string name;
  uint64_t size = 0;
  std::string sha256;  // 64 hexadecimal digits.
};

struct IncomingScan {
  size_t files = 0;
  size_t ignored = 0;  // Links, pipes, devices, names that no announcement can have, too deep.
  std::vector<std::string> cut;  // Devices with more entries than are looked at, at most kMaxCut.
  bool complete = true;          // Every folder could be read to its end.
};

struct IncomingVisitor {
  // Before the entries of a folder are read; "" is the root.
  std::function<void(const std::string& name, int descriptor)> folder;
  std::function<void(const IncomingEntry& entry)> file;
  // Regular files that nobody can announce, which take room all the same: what transfers have begun
  // (".viaduct-...") and names that are not allowed.
  std::function<void(const IncomingEntry& entry)> odd;
};

struct IncomingFolderOptions {
  std::string root;    // Absolute; made where it is missing.
  std::string inside;  // One component of a device's own root; "": there are none.
  size_t max_entries_per_device = 1'000'000;  // Looked at in one scan.
};

// Thread-safe.
class IncomingFolder {
 public:
  static constexpr int kMaxDepth = 16;        // Components of a name.
  static constexpr int kMaxOddDepth = 24;     // Of one that is odd.
  static constexpr size_t kMaxCut = 100;      // Devices that a scan names.
  static constexpr size_t kMaxAside = 1'000;  // Files that are set aside; the oldest goes.

  static absl::StatusOr<std::unique_ptr<IncomingFolder>> Open(const IncomingFolderOptions& options);

  // A regular file, through no link. INVALID_ARGUMENT: a name that none can have, or no regular
  // file; NOT_FOUND, also where a folder on the way is a link; PERMISSION_DENIED: a link, or not
  // readable.
  absl::StatusOr<LocalFile> OpenFile(std::string_view name) const;
  // Of such a file, what Remove wants to know.
  absl::StatusOr<IncomingEntry> Look(std::string_view name) const;
  // Reads all of the file. OK: it is what was announced. NOT_FOUND; DATA_LOSS: it is something
  // else; ABORTED: it was changed meanwhile. Others as OpenFile.
  absl::Status Verify(const IncomingAnnouncement& announcement) const;
  // What was verified, in `folder` as `id`, durable: a copy, since the device can still write into
  // the file. Nothing is there unless it is OK. Others as Verify and OwnedFolder::Take.
  absl::Status CopyVerified(const IncomingAnnouncement& announcement, const OwnedFolder& folder,
                            const std::string& id) const;
  // Out of the reach of the device, to be looked at by people: <root>/.viaduct-aside/<id>. OK where
  // the file is gone.
  absl::Status SetAside(std::string_view name, const std::string& id) const;

  // The very file that a scan saw, and the folders that are empty without it, except the device's
  // own. OK where it is gone; ABORTED: another one has its name.
  absl::Status Remove(const IncomingEntry& entry) const;

  // Everything below the folder `from`, "" for all, in constant memory. What begins with ".viaduct"
  // is passed over in the root, and is odd elsewhere.
  IncomingScan Scan(const std::string& from, const IncomingVisitor& visitor) const;

  const std::string& root() const { return options_.root; }

 private:
  struct Walk;

  explicit IncomingFolder(IncomingFolderOptions options) : options_(std::move(options)) {}
  std::string AsidePath() const;
  std::string BelowRoot(std::string_view name) const;
  absl::Status TrimAside() const;
  void RemoveEmptyFolders(const std::vector<std::string>& parts) const;
  absl::StatusOr<std::unique_ptr<Descriptor>> OpenFolder(std::string_view name) const;
  void ScanFolder(const std::string& name, int descriptor, int depth, Walk* walk) const;
  void ScanEntry(const std::string& name, int parent, const char* base, int depth,
                 Walk* walk) const;
  void ScanOdd(const std::string& name, int parent, const char* base, int depth, Walk* walk) const;
  void ScanOddFolder(const std::string& name, int descriptor, int depth, Walk* walk) const;

  const IncomingFolderOptions options_;
};

}  // namespace viaduct
