// Many deadlines on one timer.
#pragma once

#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <set>
#include <utility>

namespace viaduct::websocket {

using SteadyTime = std::chrono::steady_clock::time_point;
using SteadyDuration = std::chrono::steady_clock::duration;

// Something that has at most one deadline.
class Timed {
 public:
  virtual ~Timed() = default;
  // The deadline has passed, and is none any more. May destroy this.
  virtual void OnDeadline() = 0;

 private:
  friend class Deadlines;
  SteadyTime due_ = SteadyTime::max();
};

// Lives on the thread of its io_context. Whoever has a deadline here clears it before it goes.
class Deadlines {
 public:
  explicit Deadlines(boost::asio::io_context& loop) : timer_(loop) {}

  // The one before is forgotten.
  void Set(Timed* timed, SteadyDuration from_now) {
    Clear(timed);
    timed->due_ = std::chrono::steady_clock::now() + from_now;
    queue_.emplace(timed->due_, timed);
    Arm();
  }
  void Clear(Timed* timed) {
    if (timed->due_ == SteadyTime::max()) return;
    queue_.erase({timed->due_, timed});
    timed->due_ = SteadyTime::max();
  }
  // No deadline passes any more.
  void Stop() {
    stopped_ = true;
    timer_.cancel();
  }

 private:
  void Arm() {
    if (stopped_ || queue_.empty() || armed_ <= queue_.begin()->first) return;
    armed_ = queue_.begin()->first;
    timer_.expires_at(armed_);
    timer_.async_wait([this](const boost::system::error_code& error) {
      if (error || stopped_) return;
      armed_ = SteadyTime::max();
      Pass(std::chrono::steady_clock::now());
      Arm();
    });
  }
  void Pass(SteadyTime now) {
    while (!stopped_ && !queue_.empty() && queue_.begin()->first <= now) {
      Timed* const timed = queue_.begin()->second;
      queue_.erase(queue_.begin());
      timed->due_ = SteadyTime::max();
      timed->OnDeadline();
    }
  }

  boost::asio::steady_timer timer_;
  std::set<std::pair<SteadyTime, Timed*>> queue_;
  SteadyTime armed_ = SteadyTime::max();
  bool stopped_ = false;
};

}  // namespace viaduct::websocket
