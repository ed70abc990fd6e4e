// Files on this node: opened without following a link, digested in constant memory, and kept in the
// node's own folder.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/base/descriptor.h"
#include "core/base/sha256.h"
#include "core/transfer/file_stamp.h"

namespace viaduct {

struct FileDigest {
  uint64_t size = 0;
  std::string sha256;
};

struct LocalFile {
  std::string path;  // Absolute.
  std::unique_ptr<Descriptor> descriptor;
  uint64_t size = 0;
  FileStamp stamp;
  const std::atomic<bool>* stop = nullptr;  // Once it is set reading ends, UNAVAILABLE.
};

// Opens a regular file that lies below one of `roots`, links in no component of the way below it.
// PERMISSION_DENIED: below none, a link, or not readable; NOT_FOUND; INVALID_ARGUMENT: not
// absolute, or not a regular file.
absl::StatusOr<LocalFile> OpenBelow(const std::vector<std::string>& roots, const std::string& path);
// NOT_FOUND: what has its path is not it any more.
absl::Status CheckStillThere(const LocalFile& file);
// ABORTED: it was changed meanwhile.
absl::StatusOr<FileDigest> DigestOf(const LocalFile& file);
// Removes what has that name, if it is that very file, unchanged. OK also when it is not.
absl::Status RemoveIfSame(const std::string& path, const FileStamp& stamp);

// One file on its way into the node's own folder. What was not finished is removed with the object.
// Thread-compatible.
class IncomingFile {
 public:
  ~IncomingFile();
  IncomingFile(const IncomingFile&) = delete;
  IncomingFile& operator=(const IncomingFile&) = delete;

  // RESOURCE_EXHAUSTED: the disk is full, or less would be free than is to be left.
  absl::Status Write(std::string_view octets);
  uint64_t size() const { return digest_.size; }
  // Synced, under its name, the folder synced. Once.
  absl::StatusOr<FileDigest> Finish();
  // Of what was written, for one that is not to be finished. Once.
  FileDigest Digest();

 private:
  friend class OwnedFolder;
  IncomingFile(std::string folder, std::string name, int descriptor, uint64_t min_free_bytes);
  absl::Status CheckSpace();

  static constexpr uint64_t kLookEvery = 1u << 20;  // Written bytes between looks at the disk.

  const std::string folder_;
  const std::string name_;
  Descriptor descriptor_;
  const uint64_t min_free_bytes_;
  uint64_t looked_at_ = 0;
  bool finished_ = false;
  FileDigest digest_;
  Sha256Stream stream_;
};

enum class TakeMode : uint8_t { kLink, kCopy };

// The node's own folder: one file for each transfer, named by its id. Thread-safe.
class OwnedFolder {
 public:
  // Makes the folder where it is missing, removes what was not finished.
  static absl::StatusOr<std::unique_ptr<OwnedFolder>> Open(const std::string& path,
                                                           uint64_t min_free_bytes);

  std::string PathOf(const std::string& id) const { return path_ + "/" + id; }
  // RESOURCE_EXHAUSTED: with so many bytes more, less would be free on the disk than is to be left.
  absl::Status HasSpace(uint64_t bytes) const;
  // `id` is a UUID. Whatever had the name before is replaced at Finish.
  absl::StatusOr<std::unique_ptr<IncomingFile>> Begin(const std::string& id) const;
  // A link where that can be made, else a copy.
  absl::StatusOr<FileDigest> Take(const LocalFile& file, const std::string& id,
                                  TakeMode mode) const;
  // OK when there is none.
  absl::Status Remove(const std::string& id) const;
  std::vector<std::string> List() const;  // Ids, in no order.
  const std::string& path() const { return path_; }

 private:
  OwnedFolder(std::string path, uint64_t min_free_bytes)
      : path_(std::move(path)), min_free_bytes_(min_free_bytes) {}
  absl::StatusOr<FileDigest> Link(const LocalFile& file, const std::string& id) const;

  const std::string path_;
  const uint64_t min_free_bytes_;
};

}  // namespace viaduct
