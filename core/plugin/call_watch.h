// Which calls into a plugin are under way, so that one that does not come back is seen.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace viaduct {

// Two uncontended atomic operations and no clock a call. Thread-safe, but for Look.
class CallWatch {
 public:
  static constexpr size_t kMaxCalls = 128;  // At once; what comes beyond that is not watched.

  CallWatch() = default;
  CallWatch(const CallWatch&) = delete;
  CallWatch& operator=(const CallWatch&) = delete;

  // One call, on the calling thread, as long as it lives.
  class Call {
   public:
    // `what` is a literal. `lent`: the thread belongs to the rest of the host, which misses it.
    Call(CallWatch* watch, const char* what, bool lent);
    ~Call();
    Call(const Call&) = delete;
    Call& operator=(const Call&) = delete;

   private:
    std::atomic<uint64_t>* place_ = nullptr;
    uint64_t turns_ = 0;
  };

  struct Late {
    const char* what = nullptr;  // Null: no call is late.
    bool lent = false;
    explicit operator bool() const { return what != nullptr; }
  };
  // For a watchdog that looks now and then, on one thread: a call that the looks have found under
  // way for `limit_ns`, one on a lent thread before others.
  Late Look(int64_t now_ns, int64_t limit_ns);

 private:
  // The low bits say who is inside, the others count turns: the same number is the same call.
  static constexpr uint64_t kOwnThread = 1;
  static constexpr uint64_t kLentThread = 2;
  static constexpr uint64_t kInside = kOwnThread | kLentThread;
  static constexpr uint64_t kTurn = 4;
  struct Place {
    std::atomic<uint64_t> turns{0};
    std::atomic<const char*> what{nullptr};
  };
  struct LastLook {
    uint64_t turns = 0;
    int64_t since_ns = 0;
  };

  std::array<Place, kMaxCalls> places_;
  std::array<LastLook, kMaxCalls> looks_;
};

}  // namespace viaduct
