// Whether a broker still answers what is sent to it.
//
// libmosquitto asks (PINGREQ) only on a connection that is silent. One whose octets go astray in
// one direction is not: the broker goes on sending, and everything it is told disappears in the
// middle of a packet that never ends. What cannot be missed there is that publications stay without
// their PUBACK.
#pragma once

#include <cstddef>
#include <cstdint>

namespace viaduct::mqtt {

// Not thread-safe.
class AnswerWatch {
 public:
  // A packet that arrives at less than this is none.
  static constexpr int64_t kSlowestBytesPerSecond = 1024;

  struct Wire {
    bool all_sent = false;        // The other end has taken every octet.
    bool reading = false;         // We read what comes.
    uint64_t received_bytes = 0;  // Since the connection was made.
  };

  // `limit_ns`: how long a publication may stay without an answer once all was sent.
  explicit AnswerWatch(int64_t limit_ns) : limit_ns_(limit_ns) {}

  void Sent() { ++unanswered_; }  // A publication, or a probe.
  void Answered() {
    if (unanswered_ > 0) --unanswered_;
    waiting_since_ns_ = 0;
  }

  // To be asked every now and then. True: the connection is broken.
  bool Overdue(int64_t now_ns, const Wire& wire) {
    if (unanswered_ == 0 || !wire.reading) {
      waiting_since_ns_ = 0;
      return false;
    }
    if (waiting_since_ns_ == 0) {
      if (wire.all_sent) Begin(now_ns, wire);
      return false;
    }
    if (now_ns - waiting_since_ns_ < limit_ns_) return false;
    // The answer may stand behind a large packet on a slow line.
    const int64_t line = limit_ns_ / 1'000'000'000 * kSlowestBytesPerSecond;
    if (static_cast<int64_t>(wire.received_bytes - received_bytes_) < line) return true;
    Begin(now_ns, wire);
    return false;
  }

 private:
  void Begin(int64_t now_ns, const Wire& wire) {
    waiting_since_ns_ = now_ns;
    received_bytes_ = wire.received_bytes;
  }

  const int64_t limit_ns_;
  size_t unanswered_ = 0;
  int64_t waiting_since_ns_ = 0;  // 0: not waiting.
  uint64_t received_bytes_ = 0;   // Then.
};

}  // namespace viaduct::mqtt
