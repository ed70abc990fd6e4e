// The protocol: one line of JSON for every message, one line of answer for each, in order.
//
//   -> {"message_id":"...", ...}\n
//   <- stored\n                  the peer has it safely
//   <- duplicate\n               it had it already
//   <- retry 500 disk busy\n     not now; again in 500 ms at the earliest
//   <- reject no such camera\n   never
//
// Knows neither the ABI nor the host.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "options.h"
#include "socket.h"

namespace line_json {

enum class Verdict : uint8_t { kStored, kDuplicate, kRetry, kReject, kCancelled };

// How one message ended.
struct Result {
  uint64_t token = 0;
  Verdict verdict = Verdict::kRetry;
  int64_t retry_after_ns = 0;
  std::string detail;
};

// Thread-safe. Owns one thread, which connects when there is something to send, and no sooner:
// when to try again is the caller's decision. Results come on that thread, or inside Stop.
class Client {
 public:
  struct Events {
    std::function<void(const std::vector<Result>&)> on_results;
    std::function<void(bool up, const std::string& why)> on_connection;
  };
  static constexpr size_t kMaxAnswerBytes = 4096;  // One line of answer.

  Client(Options options, Events events);
  ~Client();  // As Stop.

  // False where the system refuses a descriptor or a thread; nothing is left then.
  bool Start(std::string* why);
  // Every message that is still held ends as kCancelled; no callback comes afterwards.
  void Stop();

  // How many more messages Send would take.
  uint32_t Credit() const;
  // Queues one message; false where the window is full. It ends with exactly one Result.
  bool Send(uint64_t token, std::string_view json);
  // Wakes the thread after a batch of Sends.
  void Flush();
  // Ends a message as kCancelled; what the peer answers to it later is not told.
  void Cancel(uint64_t token);
  // Waits until every message has ended.
  bool AwaitIdle(std::chrono::nanoseconds limit);

 private:
  struct Pending {
    uint64_t token;
    bool open;  // False: cancelled, but the peer's answer is still to come.
  };

  void Run();
  bool EnsureConnected();
  // Takes what is queued; true while the peer owes an answer.
  bool Refill();
  // False when the connection is lost.
  bool Exchange();
  bool Write();
  bool Read();
  bool TakeAnswers();
  void Answer(std::string_view line, std::vector<Result>* results);
  void Disconnect(const std::string& why);
  void EndAll(Verdict verdict, const std::string& detail);
  void Tell(const std::vector<Result>& results);

  const Options options_;
  const Events events_;
  Descriptor wake_;  // Something is queued, or the client stops.
  Descriptor stop_;  // The client stops.
  std::thread thread_;

  // Of the client's thread.
  Descriptor socket_;
  std::string writing_;
  size_t written_ = 0;
  std::string reading_;
  bool owed_ = false;  // The peer owes an answer, and has been silent since
  std::chrono::steady_clock::time_point silent_since_;

  std::atomic<bool> stopping_{false};
  mutable std::mutex mutex_;  // Guards what follows; never held while calling out.
  std::condition_variable idle_;
  std::string unsent_;
  std::deque<Pending> pending_;
  size_t open_ = 0;     // Pending messages that have not ended.
  size_t telling_ = 0;  // Ended, but their results are still being told.
};

}  // namespace line_json
