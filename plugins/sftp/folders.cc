#include "plugins/sftp/folders.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

namespace viaduct::sftp {
namespace {

constexpr size_t kMaxMessageBytes = 200;

absl::string_view Absl(std::string_view text) { return {text.data(), text.size()}; }

// "a", "a/b", "a/b/c" of "a/b/c"; of "/a/b" "/a", "/a/b".
std::vector<std::string> Prefixes(const std::string& path) {
  std::vector<std::string> out;
  for (size_t at = path.find('/', 1); at != std::string::npos; at = path.find('/', at + 1)) {
    out.push_back(path.substr(0, at));
  }
  if (!path.empty()) out.push_back(path);
  return out;
}

}  // namespace

absl::Status StatusOf(const Answer& answer, std::string_view doing) {
  const std::string text = absl::StrCat(
      "server: ", Absl(doing), ", ",
      answer.text.empty() ? absl::StrCat("status ", static_cast<uint32_t>(answer.status))
                          : std::string(answer.text.substr(0, kMaxMessageBytes)));
  switch (answer.status) {
    case StatusCode::kOk:
      return absl::OkStatus();
    case StatusCode::kNoSuchFile:
      return absl::UnavailableError(text);
    case StatusCode::kPermissionDenied:
      return absl::PermissionDeniedError(text);
    case StatusCode::kFailure:
      // OpenSSH has no other word for a full disk, for a quota, for too many links.
      return absl::ResourceExhaustedError(absl::StrCat(text, ": is its disk or a quota full?"));
    default:
      return absl::FailedPreconditionError(text);
  }
}

// One folder with those above it that nobody had asked for yet.
struct Folders::Making {
  std::string folder;
  std::vector<std::string> parts;  // The uppermost first.
  std::vector<Attributes> found;   // Without a mode: not there.
  size_t unanswered = 0;
  absl::Status refused;  // By a MKDIR.
  std::vector<ReadyFn> ready;
};

std::string Folders::PathOf(std::string_view name) const {
  if (name.empty()) return root_;
  return absl::StrCat(root_, root_.back() == '/' ? "" : "/", Absl(name));
}

void Folders::NeedRoot(ReadyFn ready) {
  requests_->Stat(root_, [this, ready = std::move(ready)](const Answer& answer) {
    if (answer.status == StatusCode::kNoSuchFile) return MakeRoot(ready);
    if (answer.ok() && answer.attributes.is_folder()) return ready(absl::OkStatus());
    const std::string why(answer.ok() ? "is no folder" : answer.text);
    ready(absl::FailedPreconditionError(absl::StrCat("remote_path: ", root_, ", ", why)));
  });
}

void Folders::MakeRoot(const ReadyFn& ready) {
  for (const std::string& prefix : Prefixes(root_)) requests_->Mkdir(prefix, [](const Answer&) {});
  requests_->Stat(root_, [this, ready](const Answer& answer) {
    if (answer.ok() && answer.attributes.is_folder()) return ready(absl::OkStatus());
    ready(absl::FailedPreconditionError(
        absl::StrCat("remote_path: ", root_, " is not there and can not be made")));
  });
}

void Folders::Need(const std::string& folder, ReadyFn ready) {
  if (folder.empty() || known_.contains(folder)) return ready(absl::OkStatus());
  std::shared_ptr<Making>& making = making_[folder];
  if (making != nullptr) {
    making->ready.push_back(std::move(ready));
    return;
  }
  making = std::make_shared<Making>();
  making->folder = folder;
  making->ready.push_back(std::move(ready));
  for (std::string& prefix : Prefixes(folder)) {
    if (!known_.contains(prefix)) making->parts.push_back(std::move(prefix));
  }
  making->found.resize(making->parts.size());
  Look(std::shared_ptr<Making>(making), 0, /*may_make=*/true);
}

void Folders::Look(const std::shared_ptr<Making>& making, size_t first, bool may_make) {
  making->unanswered = making->parts.size() - first;
  for (size_t i = first; i < making->parts.size(); ++i) {
    requests_->Lstat(PathOf(making->parts[i]),
                     [this, making, i, first, may_make](const Answer& answer) {
                       making->found[i] = answer.attributes;
                       if (--making->unanswered == 0) OnLooked(making, first, may_make);
                     });
  }
}

void Folders::OnLooked(const std::shared_ptr<Making>& making, size_t first, bool may_make) {
  for (size_t i = first; i < making->parts.size(); ++i) {
    const Attributes& found = making->found[i];
    const std::string& part = making->parts[i];
    if (found.is_folder()) continue;
    if (found.is_link()) {
      return Finish(making, absl::PermissionDeniedError(absl::StrCat(
                                "server: folder ", part, " is a symbolic link, not followed")));
    }
    if (found.has_mode) {
      return Finish(making, absl::AlreadyExistsError(
                                absl::StrCat("server: ", part, " is there and is no folder")));
    }
    if (may_make) return Make(making, i);
    return Finish(making, making->refused.ok() ? absl::UnavailableError(absl::StrCat(
                                                     "server: folder ", part, " is not there"))
                                               : making->refused);
  }
  Finish(making, absl::OkStatus());
}

void Folders::Make(const std::shared_ptr<Making>& making, size_t first) {
  for (size_t i = first; i < making->parts.size(); ++i) {
    requests_->Mkdir(PathOf(making->parts[i]), [making, i](const Answer& answer) {
      if (answer.ok() || !making->refused.ok()) return;
      // Somebody else may have made it: whether it is there is looked at next.
      making->refused = StatusOf(answer, absl::StrCat("making folder ", making->parts[i]));
    });
  }
  Look(making, first, /*may_make=*/false);
}

void Folders::Finish(const std::shared_ptr<Making>& making, const absl::Status& status) {
  if (known_.size() + making->parts.size() > kMaxRemembered) known_.clear();
  if (status.ok()) known_.insert(making->parts.begin(), making->parts.end());
  making_.erase(making->folder);
  for (const ReadyFn& ready : making->ready) ready(status);
}

void Folders::Forget(const std::string& folder) {
  for (const std::string& prefix : Prefixes(folder)) known_.erase(prefix);
}

}  // namespace viaduct::sftp
