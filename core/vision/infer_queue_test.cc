#include "core/vision/infer_queue.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/vision/testing/fake_inferer.h"

namespace viaduct {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr absl::Duration kLong = absl::Seconds(30);

class InferQueueTest : public ::testing::Test {
 protected:
  InferQueueTest()
      : queue_(&clock_, [this](const std::string& name) {
          const auto found = inferers_.find(name);
          return found == inferers_.end() ? nullptr : found->second;
        }) {}

  FakeInferer* Instance(const std::string& name, size_t credit = 0) {
    inferers_[name] = std::make_shared<FakeInferer>(credit);
    return inferers_[name].get();
  }
  void SetLine(const std::string& name, std::vector<std::string> instances, size_t room = 1,
               bool newest_wins = true, size_t max_given = 100) {
    ASSERT_TRUE(queue_.SetLine(name, {std::move(instances), room, newest_wins, max_given}));
  }
  uint64_t Add(const std::string& line, uint64_t sequence,
               absl::Duration patience = absl::Seconds(1)) {
    InferJob job;
    job.frame = NumberedFrame(sequence);
    job.options_json = "{}";
    job.deadline_ns = clock_.MonotonicNanos() + absl::ToInt64Nanoseconds(patience);
    job.done = [this, sequence](const InferEnd& end) {
      absl::MutexLock lock(&mutex_);
      ends_.push_back(absl::StrCat(sequence, " ", std::string(NoResultName(end.why)),
                                   end.instance.empty() ? "" : " " + end.instance));
      last_ = end.status;
    };
    return queue_.Add(line, &job);
  }
  std::vector<std::string> TakeEnds() {
    absl::MutexLock lock(&mutex_);
    return std::exchange(ends_, {});
  }
  InferLineStats StatsOf(const std::string& line) {
    for (InferLineStats& stats : queue_.Stats()) {
      if (stats.name == line) return stats;
    }
    ADD_FAILURE() << line;
    return {};
  }

  FakeClock clock_;
  std::map<std::string, std::shared_ptr<FakeInferer>> inferers_;
  absl::Mutex mutex_;
  std::vector<std::string> ends_ ABSL_GUARDED_BY(mutex_);
  absl::Status last_ ABSL_GUARDED_BY(mutex_);
  InferQueue queue_;
};

TEST_F(InferQueueTest, TheNewestPictureWinsAndEveryDropIsCounted) {
  FakeInferer* const eye = Instance("eye");
  SetLine("camera", {"eye"}, 2);
  for (uint64_t i = 1; i <= 5; ++i) EXPECT_NE(Add("camera", i), 0u);
  queue_.Turn();
  EXPECT_THAT(TakeEnds(), ElementsAre("1 replaced", "2 replaced", "3 replaced"));
  eye->SetCredit(1);
  queue_.Turn();
  EXPECT_EQ(eye->holds(), "4");
  eye->Finish("{}");
  eye->SetCredit(1);
  queue_.Turn();
  EXPECT_THAT(TakeEnds(), ElementsAre("4 none eye"));
  EXPECT_EQ(eye->holds(), "5");
  const InferLineStats stats = StatsOf("camera");
  EXPECT_EQ(stats.offered, 5u);
  EXPECT_EQ(stats.without[static_cast<size_t>(NoResult::kReplaced)], 3u);
  EXPECT_EQ(stats.results, 1u);
  EXPECT_EQ(stats.given, 1u);
  EXPECT_EQ(stats.pairs[0].given, 2u);
  EXPECT_EQ(stats.pairs[0].results, 1u);
}

TEST_F(InferQueueTest, WhatWaitsTooLongIsDroppedAtItsDeadlineAndNotBefore) {
  FakeInferer* const eye = Instance("eye");
  SetLine("camera", {"eye"}, 2);
  Add("camera", 1, absl::Milliseconds(100));
  const int64_t next = queue_.Turn();
  EXPECT_EQ(next - clock_.MonotonicNanos(), absl::ToInt64Nanoseconds(InferQueue::kAskAgain));
  clock_.Advance(absl::Milliseconds(99));
  queue_.Turn();
  EXPECT_THAT(TakeEnds(), IsEmpty());
  clock_.Advance(absl::Milliseconds(1));
  eye->SetCredit(1);
  queue_.Turn();
  EXPECT_THAT(TakeEnds(), ElementsAre("1 expired"));
  EXPECT_EQ(eye->count(), 0u);
}

TEST_F(InferQueueTest, AnInstanceThatIsDownIsTheReasonAndTakesPicturesWhenItIsBack) {
  FakeInferer* const eye = Instance("eye", 1);
  eye->SetReady(false);
  SetLine("camera", {"eye", "nobody"});
  Add("camera", 1);
  queue_.Turn();
  Add("camera", 2, absl::Milliseconds(50));
  clock_.Advance(absl::Milliseconds(50));
  queue_.Turn();
  EXPECT_THAT(TakeEnds(), ElementsAre("1 down", "2 down"));
  EXPECT_EQ(StatsOf("camera").without[static_cast<size_t>(NoResult::kDown)], 2u);
  Add("camera", 3);
  queue_.Turn();
  eye->SetReady(true);
  queue_.Turn();
  EXPECT_EQ(eye->holds(), "3");
}

TEST_F(InferQueueTest, AnInstanceIsSharedFairlyWhateverEachSourceOffers) {
  FakeInferer* const eye = Instance("eye");
  FakeInferer* const other = Instance("other");
  SetLine("busy", {"eye"}, 4);
  SetLine("calm", {"eye"}, 1);
  SetLine("elsewhere", {"other"}, 4);
  std::map<uint64_t, int> served;
  for (int round = 0; round < 40; ++round) {
    for (uint64_t i = 0; i < 4; ++i) Add("busy", 100);
    Add("calm", 200);
    Add("elsewhere", 300);
    eye->SetCredit(1);
    other->SetCredit(1);
    queue_.Turn();
    while (eye->count() > 0) {
      ++served[std::stoull(eye->holds())];
      eye->Finish("{}");
    }
    while (other->count() > 0) other->Finish("{}");
  }
  EXPECT_EQ(served[100], 20);
  EXPECT_EQ(served[200], 20);
}

TEST_F(InferQueueTest, AFrameGoesToTheFirstInstanceThatTakesOne) {
  FakeInferer* const first = Instance("first", 1);
  FakeInferer* const second = Instance("second", 5);
  SetLine("camera", {"first", "second"}, 3);
  for (uint64_t i = 1; i <= 3; ++i) Add("camera", i);
  queue_.Turn();
  EXPECT_EQ(first->holds(), "1");
  EXPECT_EQ(second->holds(), "2 3");
  first->SetReady(false);
  Add("camera", 4);
  queue_.Turn();
  EXPECT_EQ(second->holds(), "2 3 4");
}

TEST_F(InferQueueTest, ALineHasOnlySoManyAtOnce) {
  FakeInferer* const eye = Instance("eye", 100);
  SetLine("camera", {"eye"}, 4, true, 2);
  for (uint64_t i = 1; i <= 3; ++i) Add("camera", i);
  queue_.Turn();
  EXPECT_EQ(eye->holds(), "1 2");
  eye->Finish("{}");
  queue_.Turn();
  EXPECT_EQ(eye->holds(), "2 3");
}

TEST_F(InferQueueTest, SaysHowAnInferenceThatFailedDid) {
  FakeInferer* const eye = Instance("eye", 100);
  SetLine("camera", {"eye"}, 4);
  for (uint64_t i = 1; i <= 4; ++i) Add("camera", i);
  queue_.Turn();
  eye->Fail(Outcome::kReject, absl::InvalidArgumentError("no picture"));
  eye->Fail(Outcome::kExpired, absl::DeadlineExceededError("too late"));
  eye->Fail(Outcome::kCancelled, absl::CancelledError("the instance stopped"));
  eye->Fail(Outcome::kRetry, absl::OkStatus());
  queue_.Turn();
  EXPECT_THAT(TakeEnds(),
              ElementsAre("1 rejected eye", "2 late eye", "3 failed eye", "4 failed eye"));
  absl::MutexLock lock(&mutex_);
  EXPECT_FALSE(last_.ok());
}

TEST_F(InferQueueTest, APictureThatAnInstanceRefusesAfterAllEnds) {
  // It goes between the question and the picture.
  class Gone final : public Inferer {
   public:
    bool ready() const override { return true; }
    size_t credit() const override { return 1; }
    absl::StatusOr<uint64_t> Infer(Frame, std::string, InferDoneFn) override {
      return absl::UnavailableError("infer: the instance does not run");
    }
    void Cancel(uint64_t) override {}
  };
  InferQueue queue(&clock_, [](const std::string&) { return std::make_shared<Gone>(); });
  ASSERT_TRUE(queue.SetLine("camera", {{"eye"}, 1, true, 1}));
  InferJob job;
  job.frame = NumberedFrame(9);
  job.deadline_ns = clock_.MonotonicNanos() + 1'000'000'000;
  NoResult why = NoResult::kNone;
  job.done = [&](const InferEnd& end) { why = end.why; };
  ASSERT_NE(queue.Add("camera", &job), 0u);
  queue.Turn();
  EXPECT_EQ(why, NoResult::kFailed);
}

TEST_F(InferQueueTest, AFullLineOfCallersRefusesTheNewest) {
  Instance("eye");
  SetLine("callers", {"eye"}, 2, false);
  EXPECT_NE(Add("callers", 1), 0u);
  EXPECT_NE(Add("callers", 2), 0u);
  EXPECT_EQ(Add("callers", 3), 0u);
  EXPECT_EQ(Add("nobody", 4), 0u);
  queue_.Turn();
  EXPECT_THAT(TakeEnds(), IsEmpty());
}

TEST_F(InferQueueTest, WhatIsCancelledEndsOnceWhereverItIs) {
  FakeInferer* const eye = Instance("eye", 1);
  SetLine("callers", {"eye"}, 4, false);
  const uint64_t given = Add("callers", 1);
  queue_.Turn();
  const uint64_t waiting = Add("callers", 2);
  queue_.Turn();
  queue_.Cancel(given);
  queue_.Cancel(waiting);
  queue_.Cancel(waiting);
  queue_.Cancel(12345);
  queue_.Turn();
  EXPECT_THAT(TakeEnds(), ElementsAre("1 cancelled", "2 cancelled"));
  EXPECT_THAT(eye->cancelled(), ElementsAre(1));
  eye->Finish("{}");  // It did not listen.
  queue_.Turn();
  EXPECT_THAT(TakeEnds(), IsEmpty());
  EXPECT_EQ(StatsOf("callers").given, 0u);
}

TEST_F(InferQueueTest, ALineThatGoesTakesItsPicturesAlongAndNobodyElses) {
  FakeInferer* const eye = Instance("eye", 1);
  SetLine("a", {"eye"});
  SetLine("b", {"eye"});
  Add("a", 1);
  queue_.Turn();
  Add("a", 2);
  Add("b", 3);
  queue_.RemoveLine("a");
  queue_.Turn();
  EXPECT_THAT(TakeEnds(), ElementsAre("2 cancelled", "1 cancelled"));
  eye->Finish("{}");
  eye->SetCredit(1);
  queue_.Turn();
  EXPECT_EQ(eye->holds(), "3");
}

TEST_F(InferQueueTest, ALineThatChangesKeepsWhatItHasAndHasCounted) {
  FakeInferer* const eye = Instance("eye", 1);
  FakeInferer* const other = Instance("other", 1);
  SetLine("camera", {"eye"}, 2);
  Add("camera", 1);
  queue_.Turn();
  Add("camera", 2);
  SetLine("camera", {"other", "eye"}, 2);
  queue_.Turn();
  EXPECT_EQ(other->holds(), "2");
  eye->Finish("{}");
  queue_.Turn();
  EXPECT_THAT(TakeEnds(), ElementsAre("1 none eye"));
  const InferLineStats stats = StatsOf("camera");
  EXPECT_EQ(stats.offered, 2u);
  ASSERT_EQ(stats.pairs.size(), 2u);
  EXPECT_EQ(stats.pairs[1].instance, "eye");
  EXPECT_EQ(stats.pairs[1].results, 1u);
}

TEST_F(InferQueueTest, MeasuresWaitingAndInference) {
  FakeInferer* const eye = Instance("eye");
  SetLine("camera", {"eye"});
  Add("camera", 1);
  queue_.Turn();
  clock_.Advance(absl::Milliseconds(300));
  eye->SetCredit(1);
  queue_.Turn();
  clock_.Advance(absl::Milliseconds(40));
  eye->Finish("{}");
  queue_.Turn();
  const InferLineStats stats = StatsOf("camera");
  EXPECT_EQ(stats.latency.count, 1u);
  EXPECT_EQ(stats.latency.sum_us, 340'000u);
  EXPECT_EQ(stats.pairs[0].inference.sum_us, 40'000u);
}

TEST_F(InferQueueTest, TasksRunInTheirTimeAndInStopOnlyWhatIsDue) {
  std::string ran;
  EXPECT_TRUE(queue_.RunAfter(absl::Seconds(1), [&] { ran += "a"; }));
  queue_.Turn();
  clock_.Advance(absl::Seconds(1));
  queue_.Turn();
  EXPECT_EQ(ran, "a");
  queue_.RunAfter(absl::ZeroDuration(), [&] { ran += "b"; });
  queue_.RunAfter(absl::Seconds(1), [&] { ran += "c"; });
  queue_.Stop();
  EXPECT_EQ(ran, "ab");
  EXPECT_FALSE(queue_.RunAfter(absl::ZeroDuration(), [] {}));
}

TEST_F(InferQueueTest, TheThreadDoesItAllAndStopEndsWhatIsLeft) {
  FakeInferer* const eye = Instance("eye", 1);
  SetLine("camera", {"eye"}, 2);
  queue_.Start();
  Add("camera", 1, kLong);
  const absl::Time limit = absl::Now() + kLong;
  while (eye->count() == 0 && absl::Now() < limit) absl::SleepFor(absl::Milliseconds(1));
  eye->Finish("{}");
  EXPECT_TRUE(queue_.AwaitIdle(kLong));
  EXPECT_THAT(TakeEnds(), ElementsAre("1 none eye"));
  Add("camera", 2, kLong);  // No credit: it waits.
  EXPECT_FALSE(queue_.AwaitIdle(absl::ZeroDuration()));
  queue_.Stop();
  EXPECT_THAT(TakeEnds(), ElementsAre("2 cancelled"));
  EXPECT_EQ(Add("camera", 3), 0u);
}

TEST_F(InferQueueTest, AnAnswerAfterTheEndOfTheQueueIsHarmless) {
  FakeInferer eye(1);
  {
    InferQueue queue(&clock_, [&](const std::string&) {
      return std::shared_ptr<Inferer>(&eye, [](Inferer*) {});
    });
    ASSERT_TRUE(queue.SetLine("camera", {{"eye"}, 1, true, 1}));
    InferJob job;
    job.frame = NumberedFrame(1);
    job.deadline_ns = clock_.MonotonicNanos() + 1'000'000'000;
    job.done = [](const InferEnd&) {};
    queue.Add("camera", &job);
    queue.Turn();
  }
  eye.Finish("{}");
}

}  // namespace
}  // namespace viaduct
