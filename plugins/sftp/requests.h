// What was asked of the server and not answered yet, and the octets that are still to be
// sent.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "plugins/sftp/packet.h"

namespace viaduct::sftp {

// What the server can do, as it says itself.
struct Features {
  bool fsync = false;
  bool posix_rename = false;
  bool limits = false;
  size_t max_write_bytes = 32u << 10;  // What every server takes.
  size_t max_open_handles = 64;        // OpenSSH's of before it told.
};

// Octets of files that were sent and not acknowledged, of all channels together.
struct Window {
  size_t bytes = 0;  // At most, or one WRITE.
  size_t used = 0;
};

// Of one channel. Lives on the session's thread.
class Requests {
 public:
  static constexpr size_t kMaxUnanswered = 4096;
  static constexpr size_t kMaxUnsentBytes = 512u << 10;  // Beyond it nothing is written to.
  static constexpr size_t kMaxWriteBytes = 255u << 10;
  // The answer is one that the request may have: what was wanted, or a status that is not OK.
  using AnswerFn = std::function<void(const Answer& answer)>;

  explicit Requests(Window* window) : window_(window) {}

  // Says hello; `ready` when features() are known.
  void Init(std::function<void()> ready);
  const Features& features() const { return features_; }

  void Lstat(std::string_view path, AnswerFn done);
  void Stat(std::string_view path, AnswerFn done);
  void Realpath(std::string_view path, AnswerFn done);
  void Remove(std::string_view path, AnswerFn done);
  void Mkdir(std::string_view path, AnswerFn done);
  void Open(std::string_view path, uint32_t flags, AnswerFn done);
  void Fstat(std::string_view handle, AnswerFn done);
  void Fsync(std::string_view handle, AnswerFn done);
  void Close(std::string_view handle, AnswerFn done);
  // Over the file that bears the name `to`: atomically where the server can.
  void Rename(std::string_view from, std::string_view to, AnswerFn done);
  // `fill` writes the `size` octets; its failure is returned and nothing is sent.
  using FillFn = absl::FunctionRef<absl::Status(char* out)>;
  absl::Status Write(std::string_view handle, uint64_t offset, size_t size, FillFn fill,
                     AnswerFn done);
  // Room for one more WRITE, of the largest size.
  bool has_room() const;

  // What came in. An error: the server does not keep to the protocol, the session is over.
  absl::Status OnOctets(std::string_view octets);
  // What is to go out, and that the first `size` octets of it went.
  std::string_view unsent() const { return std::string_view(out_).substr(sent_); }
  void OnSent(size_t size);
  // What both take of memory: at most twice kMaxUnsentBytes.
  size_t held_bytes() const { return out_.size(); }

  size_t unanswered() const { return pending_.size(); }
  uint64_t answered() const { return answered_; }
  // Octets that went out, and those with what is still to go, since the beginning.
  uint64_t passed_bytes() const { return dropped_ + sent_; }
  uint64_t queued_bytes() const { return dropped_ + out_.size(); }
  // Nobody will be told of an answer any more.
  void Drop() { pending_.clear(); }

 private:
  struct Pending {
    AnswerType wanted;
    size_t bytes;  // Of a WRITE.
    AnswerFn done;
  };
  uint32_t Expect(AnswerType wanted, AnswerFn done, size_t bytes = 0);
  absl::Status OnPacket(std::string_view packet);
  absl::Status OnVersion(const Answer& answer);
  void AskLimits();
  void RenameOver(const std::string& from, const std::string& to, AnswerFn done);

  Window* const window_;
  std::function<void()> ready_;  // Until the VERSION has come.
  Features features_;
  absl::flat_hash_map<uint32_t, Pending> pending_;
  uint32_t next_id_ = 0;
  PacketReader reader_;
  std::string out_;
  size_t sent_ = 0;
  uint64_t dropped_ = 0;  // Before out_.
  uint64_t answered_ = 0;
};

}  // namespace viaduct::sftp
