// An inference instance and a source that tests steer by hand.
#pragma once

#include <deque>
#include <string>
#include <utility>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "core/plugin/frames.h"

namespace viaduct {

// Holds what it is given until the test ends it. Thread-safe.
class FakeInferer final : public Inferer {
 public:
  struct Held {
    uint64_t ticket = 0;
    Frame frame;
    std::string options;
    InferDoneFn done;
  };

  explicit FakeInferer(size_t credit = 0) : credit_(credit) {}

  bool ready() const override {
    absl::MutexLock lock(&mutex_);
    return ready_;
  }
  size_t credit() const override {
    absl::MutexLock lock(&mutex_);
    return ready_ ? credit_ : 0;
  }
  absl::StatusOr<uint64_t> Infer(Frame frame, std::string options, InferDoneFn done) override {
    absl::MutexLock lock(&mutex_);
    if (!ready_) return absl::UnavailableError("infer: takes no frames now");
    if (credit_ > 0) --credit_;
    held_.push_back({++tickets_, std::move(frame), std::move(options), std::move(done)});
    return tickets_;
  }
  void Cancel(uint64_t ticket) override {
    absl::MutexLock lock(&mutex_);
    cancelled_.push_back(ticket);
  }

  void SetReady(bool ready) {
    absl::MutexLock lock(&mutex_);
    ready_ = ready;
  }
  void SetCredit(size_t credit) {
    absl::MutexLock lock(&mutex_);
    credit_ = credit;
  }
  // Sequence numbers of the frames that it holds, in order: "1 3".
  std::string holds() const {
    absl::MutexLock lock(&mutex_);
    std::string text;
    for (const Held& held : held_) {
      text += (text.empty() ? "" : " ") + std::to_string(held.frame.sequence);
    }
    return text;
  }
  size_t count() const {
    absl::MutexLock lock(&mutex_);
    return held_.size();
  }
  // The oldest one.
  Held Take() {
    absl::MutexLock lock(&mutex_);
    Held held = std::move(held_.front());
    held_.pop_front();
    return held;
  }
  void Finish(const std::string& json, std::vector<InferCrop> crops = {}) {
    InferResult result;
    result.outcome = Outcome::kDurable;
    result.result_json = json;
    result.crops = std::move(crops);
    Take().done(std::move(result));
  }
  void Fail(Outcome outcome, absl::Status status) {
    InferResult result;
    result.outcome = outcome;
    result.status = std::move(status);
    Take().done(std::move(result));
  }
  std::vector<uint64_t> cancelled() const {
    absl::MutexLock lock(&mutex_);
    return cancelled_;
  }

 private:
  mutable absl::Mutex mutex_;
  bool ready_ ABSL_GUARDED_BY(mutex_) = true;
  size_t credit_ ABSL_GUARDED_BY(mutex_);
  uint64_t tickets_ ABSL_GUARDED_BY(mutex_) = 0;
  std::deque<Held> held_ ABSL_GUARDED_BY(mutex_);
  std::vector<uint64_t> cancelled_ ABSL_GUARDED_BY(mutex_);
};

// Thread-safe.
class FakeSource final : public FrameSource {
 public:
  bool ready() const override { return true; }
  void SetConsumer(FrameFn consumer) override {
    absl::MutexLock lock(&mutex_);
    consumer_ = std::move(consumer);
  }
  // False: nobody takes frames. How the frame ends is added to ends().
  bool Push(Frame frame) {
    FrameFn consumer;
    {
      absl::MutexLock lock(&mutex_);
      consumer = consumer_;
    }
    if (!consumer) return false;
    consumer(std::move(frame), [this](Outcome outcome) {
      absl::MutexLock lock(&mutex_);
      ends_ += "DRJEC"[static_cast<int>(outcome)];
    });
    return true;
  }
  // D(urable), R(etry), J (reject), E(xpired), C(ancelled), in order.
  std::string ends() const {
    absl::MutexLock lock(&mutex_);
    return ends_;
  }

 private:
  mutable absl::Mutex mutex_;
  FrameFn consumer_ ABSL_GUARDED_BY(mutex_);
  std::string ends_ ABSL_GUARDED_BY(mutex_);
};

inline Frame NumberedFrame(uint64_t sequence) {
  Frame frame = *MakeFrame(VD_FOURCC_JPEG, 8, 8, "jpegjpeg", 1000);
  frame.sequence = sequence;
  return frame;
}

}  // namespace viaduct
