// The files of the audit log: the one that is written, and those before it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/base/descriptor.h"
#include "core/security/audit_chain.h"

namespace viaduct::security {

struct AuditFileOptions {
  uint64_t max_file_bytes = 16u << 20;
  size_t max_files = 32;  // With the current one; the oldest goes.
};

// Thread-compatible.
class AuditFile {
 public:
  // UNAVAILABLE: another process writes there.
  static absl::StatusOr<std::unique_ptr<AuditFile>> Open(const std::string& folder,
                                                         const AuditFileOptions& options);

  // Whole lines, written and synced, or nothing of them. `head` is the chain's after them. Begins a
  // new file first where this one is full.
  absl::Status Append(std::string_view lines, const AuditHead& head);

  const AuditHead& head() const { return head_; }
  // What Open had to mend, in words; "" is nothing.
  const std::string& mended() const { return mended_; }

 private:
  enum class Found : uint8_t { kNothing, kChain, kDamage };
  AuditFile(std::string folder, const AuditFileOptions& options)
      : folder_(std::move(folder)), options_(options) {}
  std::string PathOf(std::string_view name) const;
  absl::Status Lock();
  absl::Status Recover();
  absl::StatusOr<Found> RecoverFrom(const std::string& name);
  absl::Status CutUnfinished(const std::string& path, uint64_t whole, uint64_t size);
  absl::Status SetAside();
  absl::Status OpenCurrent();
  absl::Status Rotate();
  void RemoveOldest() const;
  absl::Status SyncFolder() const;

  const std::string folder_;
  const AuditFileOptions options_;
  AuditHead head_ = audit::Beginning();
  std::string mended_;
  std::unique_ptr<Descriptor> lock_;  // The folder.
  std::unique_ptr<Descriptor> file_;
  uint64_t size_ = 0;    // Of whole lines.
  uint64_t number_ = 1;  // Of the file that is rotated next.
};

}  // namespace viaduct::security
