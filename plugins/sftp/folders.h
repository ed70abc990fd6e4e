// The folders below remote_path: made once, remembered, and none of them a way out.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "plugins/sftp/requests.h"

namespace viaduct::sftp {

// What a status of the server means for a file: what the caller should do.
absl::Status StatusOf(const Answer& answer, std::string_view doing);

// Lives on the session's thread.
class Folders {
 public:
  static constexpr size_t kMaxRemembered = 4096;
  using ReadyFn = std::function<void(const absl::Status& status)>;

  Folders(std::string root, Requests* requests) : root_(std::move(root)), requests_(requests) {}

  // remote_path itself, which may be reached over symbolic links: it is the operator's word.
  // FAILED_PRECONDITION: it is not there and can not be made.
  void NeedRoot(ReadyFn ready);
  // `folder` is relative to it, "" for itself. PERMISSION_DENIED: a symbolic link lies on the way.
  // All components are asked for at once, and made at once: two round trips, then none.
  void Need(const std::string& folder, ReadyFn ready);
  // It is not there any more.
  void Forget(const std::string& folder);
  // As the server takes it.
  std::string PathOf(std::string_view name) const;

 private:
  struct Making;
  void Look(const std::shared_ptr<Making>& making, size_t first, bool may_make);
  void OnLooked(const std::shared_ptr<Making>& making, size_t first, bool may_make);
  void Make(const std::shared_ptr<Making>& making, size_t first);
  void Finish(const std::shared_ptr<Making>& making, const absl::Status& status);
  void MakeRoot(const ReadyFn& ready);

  const std::string root_;
  Requests* const requests_;
  absl::flat_hash_set<std::string> known_;
  absl::flat_hash_map<std::string, std::shared_ptr<Making>> making_;
};

}  // namespace viaduct::sftp
