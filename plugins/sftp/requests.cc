#include "plugins/sftp/requests.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

namespace viaduct::sftp {
namespace {

constexpr std::string_view kFsync = "fsync@openssh.com";
constexpr std::string_view kPosixRename = "posix-rename@openssh.com";
constexpr std::string_view kLimits = "limits@openssh.com";
constexpr uint32_t kOldestVersion = 3;
constexpr size_t kLeastWriteBytes = 1024;  // Below it a server is not worth the name.
constexpr size_t kSparedHandles = 4;
// A larger write would be cut by the packets of the connection anyway.
constexpr size_t kWriteHeadBytes = 300;

}  // namespace

void Requests::Init(std::function<void()> ready) {
  ready_ = std::move(ready);
  AppendInit(&out_);
}

uint32_t Requests::Expect(AnswerType wanted, AnswerFn done, size_t bytes) {
  const uint32_t id = next_id_++;
  pending_[id] = {wanted, bytes, std::move(done)};
  window_->used += bytes;
  return id;
}

void Requests::Lstat(std::string_view path, AnswerFn done) {
  const uint32_t id = Expect(AnswerType::kAttributes, std::move(done));
  AppendPath(RequestType::kLstat, id, path, &out_);
}

void Requests::Stat(std::string_view path, AnswerFn done) {
  const uint32_t id = Expect(AnswerType::kAttributes, std::move(done));
  AppendPath(RequestType::kStat, id, path, &out_);
}

void Requests::Realpath(std::string_view path, AnswerFn done) {
  const uint32_t id = Expect(AnswerType::kName, std::move(done));
  AppendPath(RequestType::kRealpath, id, path, &out_);
}

void Requests::Remove(std::string_view path, AnswerFn done) {
  AppendPath(RequestType::kRemove, Expect(AnswerType::kStatus, std::move(done)), path, &out_);
}

void Requests::Mkdir(std::string_view path, AnswerFn done) {
  AppendMkdir(Expect(AnswerType::kStatus, std::move(done)), path, &out_);
}

void Requests::Open(std::string_view path, uint32_t flags, AnswerFn done) {
  AppendOpen(Expect(AnswerType::kHandle, std::move(done)), path, flags, &out_);
}

void Requests::Fstat(std::string_view handle, AnswerFn done) {
  const uint32_t id = Expect(AnswerType::kAttributes, std::move(done));
  AppendHandle(RequestType::kFstat, id, handle, &out_);
}

void Requests::Fsync(std::string_view handle, AnswerFn done) {
  AppendExtended(Expect(AnswerType::kStatus, std::move(done)), kFsync, {handle}, &out_);
}

void Requests::Close(std::string_view handle, AnswerFn done) {
  AppendHandle(RequestType::kClose, Expect(AnswerType::kStatus, std::move(done)), handle, &out_);
}

void Requests::Rename(std::string_view from, std::string_view to, AnswerFn done) {
  if (features_.posix_rename) {
    AppendExtended(Expect(AnswerType::kStatus, std::move(done)), kPosixRename, {from, to}, &out_);
    return;
  }
  // RENAME of version 3 does not replace.
  AnswerFn tried = [this, from = std::string(from), to = std::string(to),
                    done = std::move(done)](const Answer& answer) {
    if (answer.status != StatusCode::kFailure) return done(answer);
    RenameOver(from, to, done);
  };
  AppendRename(Expect(AnswerType::kStatus, std::move(tried)), from, to, &out_);
}

// Only what is in the way is removed: where the rename fails for another reason it stays.
void Requests::RenameOver(const std::string& from, const std::string& to, AnswerFn done) {
  Lstat(to, [this, from, to, done = std::move(done)](const Answer& found) {
    if (found.attributes.is_file() || found.attributes.is_link()) Remove(to, [](const Answer&) {});
    AppendRename(Expect(AnswerType::kStatus, done), from, to, &out_);
  });
}

absl::Status Requests::Write(std::string_view handle, uint64_t offset, size_t size, FillFn fill,
                             AnswerFn done) {
  const size_t before = out_.size();
  const uint32_t id = next_id_;
  AppendWriteHead(id, handle, offset, static_cast<uint32_t>(size), &out_);
  const size_t head = out_.size();
  out_.resize(head + size);
  const absl::Status filled = fill(out_.data() + head);
  if (!filled.ok()) {
    out_.resize(before);
    return filled;
  }
  Expect(AnswerType::kStatus, std::move(done), size);
  return absl::OkStatus();
}

bool Requests::has_room() const {
  return unsent().size() + features_.max_write_bytes + kWriteHeadBytes <= kMaxUnsentBytes &&
         (window_->used == 0 || window_->used + features_.max_write_bytes <= window_->bytes) &&
         pending_.size() < kMaxUnanswered;
}

absl::Status Requests::OnOctets(std::string_view octets) {
  return reader_.Feed(octets, [this](std::string_view packet) { return OnPacket(packet); });
}

void Requests::OnSent(size_t size) {
  sent_ += size;
  if (sent_ < out_.size() && sent_ < kMaxUnsentBytes) return;
  out_.erase(0, sent_);
  dropped_ += sent_;
  sent_ = 0;
}

absl::Status Requests::OnPacket(std::string_view packet) {
  const absl::StatusOr<Answer> answer = ParseAnswer(packet);
  if (!answer.ok()) return answer.status();
  if (answer->type == AnswerType::kVersion) return OnVersion(*answer);
  const auto it = pending_.find(answer->id);
  if (it == pending_.end()) {
    return absl::InvalidArgumentError(
        absl::StrCat("server: answers request ", answer->id, ", which was not made"));
  }
  const bool fits =
      answer->type == it->second.wanted || (answer->type == AnswerType::kStatus && !answer->ok());
  if (!fits) return absl::InvalidArgumentError("server: gives an answer of another kind");
  Pending pending = std::move(it->second);
  pending_.erase(it);
  window_->used -= pending.bytes;
  ++answered_;
  pending.done(*answer);
  return absl::OkStatus();
}

absl::Status Requests::OnVersion(const Answer& answer) {
  if (!ready_) return absl::InvalidArgumentError("server: says its version twice");
  if (answer.id < kOldestVersion) {
    return absl::InvalidArgumentError(
        absl::StrCat("server: speaks version ", answer.id, " of SFTP, 3 is needed"));
  }
  const absl::Status read =
      ReadExtensions(answer.text, [this](std::string_view name, std::string_view value) {
        if (name == kFsync) features_.fsync = value == "1";
        if (name == kPosixRename) features_.posix_rename = value == "1";
        if (name == kLimits) features_.limits = value == "1";
      });
  if (!read.ok()) return read;
  if (features_.limits) {
    AskLimits();
  } else {
    std::exchange(ready_, nullptr)();
  }
  return absl::OkStatus();
}

void Requests::AskLimits() {
  AnswerFn done = [this, ready = std::exchange(ready_, nullptr)](const Answer& answer) {
    const absl::StatusOr<Limits> limits = ReadLimits(answer.text);
    if (answer.ok() && limits.ok() && limits->max_write_bytes >= kLeastWriteBytes) {
      features_.max_write_bytes =
          static_cast<size_t>(std::min<uint64_t>(limits->max_write_bytes, kMaxWriteBytes));
    }
    if (answer.ok() && limits.ok() && limits->max_open_handles > kSparedHandles) {
      features_.max_open_handles = static_cast<size_t>(limits->max_open_handles) - kSparedHandles;
    }
    ready();
  };
  AppendExtended(Expect(AnswerType::kExtendedReply, std::move(done)), kLimits, {}, &out_);
}

}  // namespace viaduct::sftp
