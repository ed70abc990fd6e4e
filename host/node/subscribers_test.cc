#include "host/node/subscribers.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <utility>
#include <vector>

#include "absl/synchronization/mutex.h"

namespace viaduct {
namespace {

using ::testing::ElementsAre;

constexpr absl::Duration kDeadline = absl::Seconds(30);

// A listener that takes what it has room for and remembers it.
class FakeListener final : public Link {
 public:
  std::string_view name() const override { return "sockets"; }
  bool ready() const override { return ready_; }
  size_t credit() const override { return 0; }
  size_t Deliver(absl::Span<const OutboundMessage> batch) override {
    absl::MutexLock lock(&mutex_);
    size_t taken = 0;
    for (const OutboundMessage& message : batch) {
      if (room_ == 0) break;
      --room_;
      ++taken;
      seen_.push_back(std::string(message.event) + "@" + std::string(message.route) + " " +
                      std::string(message.payload_json));
    }
    return taken;
  }
  void SetHandlers(CompletionFn, ReadyFn on_ready) override {
    absl::MutexLock lock(&mutex_);
    on_ready_ = std::move(on_ready);
  }

  void Grant(size_t room) {
    ReadyFn on_ready;
    {
      absl::MutexLock lock(&mutex_);
      room_ += room;
      on_ready = on_ready_;
    }
    if (on_ready) on_ready();
  }
  void SetReady(bool ready) { ready_ = ready; }
  std::vector<std::string> Await(size_t count) {
    absl::MutexLock lock(&mutex_);
    const auto enough = [this, count]()
                            ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return seen_.size() >= count; };
    mutex_.AwaitWithTimeout(absl::Condition(&enough), kDeadline);
    return seen_;
  }
  bool has_handler() {
    absl::MutexLock lock(&mutex_);
    return on_ready_ != nullptr;
  }

 private:
  absl::Mutex mutex_;
  std::atomic<bool> ready_{true};
  size_t room_ ABSL_GUARDED_BY(mutex_) = 0;
  std::vector<std::string> seen_ ABSL_GUARDED_BY(mutex_);
  ReadyFn on_ready_ ABSL_GUARDED_BY(mutex_);
};

class SubscribersTest : public ::testing::Test {
 protected:
  NullLog log_;
  Subscribers subscribers_{[](std::string_view room) { return room == "dashboard"; }, &log_};
  std::shared_ptr<FakeListener> listener_ = std::make_shared<FakeListener>();
};

TEST_F(SubscribersTest, WantsOnlyWhatSomebodyListensTo) {
  EXPECT_FALSE(subscribers_.Wanted("dashboard"));
  subscribers_.Sync({listener_});
  EXPECT_TRUE(subscribers_.Wanted("dashboard"));
  EXPECT_FALSE(subscribers_.Wanted("health_monitoring"));
  subscribers_.Sync({});
  EXPECT_FALSE(subscribers_.Wanted("dashboard"));
  EXPECT_FALSE(listener_->has_handler());
}

TEST_F(SubscribersTest, KeepsTheOrderWhileAListenerHasNoRoom) {
  subscribers_.Sync({listener_});
  for (const char* body : {"1", "2", "3"}) subscribers_.Publish({"e", "dashboard", body});
  listener_->Grant(2);
  EXPECT_THAT(listener_->Await(2), ElementsAre("e@room:dashboard 1", "e@room:dashboard 2"));
  listener_->Grant(5);
  EXPECT_EQ(listener_->Await(3).back(), "e@room:dashboard 3");
}

TEST_F(SubscribersTest, DropsForTheSlowListenerAlone) {
  const auto quick = std::make_shared<FakeListener>();
  subscribers_.Sync({listener_, quick});
  const size_t count = Subscribers::kMaxQueuedEvents + 10;
  quick->Grant(count);
  for (size_t i = 0; i < count; ++i) {
    subscribers_.Publish({"e", "dashboard", "{}"});
    if (i % 1000 == 0) quick->Await(i + 1);
  }
  EXPECT_EQ(quick->Await(count).size(), count);
  EXPECT_EQ(subscribers_.dropped(), 10u);
}

TEST_F(SubscribersTest, TellsNothingToWhoIsNotThere) {
  listener_->SetReady(false);
  subscribers_.Sync({listener_});
  subscribers_.Publish({"e", "dashboard", "lost"});
  listener_->SetReady(true);
  listener_->Grant(10);
  subscribers_.Publish({"e", "dashboard", "seen"});
  EXPECT_THAT(listener_->Await(1), ElementsAre("e@room:dashboard seen"));
}

}  // namespace
}  // namespace viaduct
