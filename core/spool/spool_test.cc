#include "core/spool/spool.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <thread>

#include "core/spool/spool_files.h"
#include "core/spool/spool_test_support.h"

namespace viaduct {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class SpoolTest : public testing::Test {
 protected:
  void SetUp() override {
    options_.path = folder_.File("spool.db");
    options_.confirm_delay = absl::ZeroDuration();
    options_.reserve_bytes = 64 << 10;
  }
  void Open() {
    absl::StatusOr<std::unique_ptr<Spool>> spool = Spool::Open(options_, &clock_, &log_);
    ASSERT_TRUE(spool.ok()) << spool.status();
    spool_ = *std::move(spool);
  }
  void Reopen() {
    spool_.reset();
    Open();
  }
  void Put(const std::string& id, Priority priority = Priority::kNormal,
           DataType type = DataType::kDetection) {
    const absl::Status status = AppendOne(spool_.get(), TestEnvelope(id, priority, 100, type));
    ASSERT_TRUE(status.ok()) << status;
  }
  std::vector<std::string> Claim(size_t max) { return Ids(ClaimAll(spool_.get(), max)); }

  TestFolder folder_;
  FakeClock clock_;
  NullLog log_;
  SpoolOptions options_;
  std::unique_ptr<Spool> spool_;
};

TEST_F(SpoolTest, GivesBackWhatItTookUnchanged) {
  Open();
  const Envelope envelope = TestEnvelope("m1", Priority::kHigh, 5000, DataType::kHealth);
  ASSERT_TRUE(AppendOne(spool_.get(), envelope).ok());
  const std::vector<OutboxMessage> messages = ClaimAll(spool_.get());
  ASSERT_EQ(messages.size(), 1u);
  EXPECT_EQ(messages[0].message_id, "m1");
  EXPECT_EQ(messages[0].edge_device_id, "CAM001");
  EXPECT_EQ(messages[0].envelope_json, WriteEnvelope(envelope));
  EXPECT_EQ(messages[0].data_type, DataType::kHealth);
  EXPECT_EQ(messages[0].priority, Priority::kHigh);
  EXPECT_EQ(messages[0].captured_ns, 1705314600123'000'000);
  EXPECT_EQ(messages[0].attempts, 0u);
}

TEST_F(SpoolTest, PriorityThenOrder) {
  Open();
  Put("n1");
  Put("l1", Priority::kLow);
  Put("h1", Priority::kHigh);
  Put("n2");
  Put("h2", Priority::kHigh);
  EXPECT_THAT(Claim(10), ElementsAre("h1", "h2", "n1", "n2", "l1"));
}

TEST_F(SpoolTest, OrderSurvivesARestart) {
  Open();
  for (const char* id : {"n1", "n2", "n3"}) Put(id);
  Put("h1", Priority::kHigh);
  EXPECT_THAT(Claim(2), ElementsAre("h1", "n1"));  // Claimed but not settled: comes again.
  Reopen();
  Put("h2", Priority::kHigh);
  EXPECT_THAT(Claim(10), ElementsAre("h2", "h1", "n1", "n2", "n3"));  // h2 is live.
}

TEST_F(SpoolTest, LiveGoesBeforeTheBacklogOfItsPriority) {
  Open();
  Put("old1");
  Put("old2");
  clock_.Advance(absl::Seconds(6));
  Put("new1");
  Put("low", Priority::kLow);
  Put("new2");
  std::vector<OutboxMessage> messages = ClaimAll(spool_.get());
  EXPECT_THAT(Ids(messages), ElementsAre("new1", "new2", "old1", "old2", "low"));
  EXPECT_FALSE(messages[0].backlog);
  EXPECT_TRUE(messages[2].backlog);
  EXPECT_TRUE(messages[4].backlog) << "low priority always is";
}

TEST_F(SpoolTest, HighPriorityIsNeverBacklog) {
  Open();
  Put("old", Priority::kHigh);
  clock_.Advance(absl::Seconds(6));
  Put("new");
  std::vector<OutboxMessage> messages;
  ClaimLimits limits{10, 1 << 20};
  limits.backlog = 0;
  EXPECT_EQ(spool_->Claim(limits, &messages), 2u);
  EXPECT_THAT(Ids(messages), ElementsAre("old", "new"));
  Reopen();
  messages.clear();
  EXPECT_EQ(spool_->Claim(limits, &messages), 1u);  // Also from the file.
  EXPECT_THAT(Ids(messages), ElementsAre("old"));
}

TEST_F(SpoolTest, NoMoreOfTheBacklogIsGivenThanAsked) {
  Open();
  for (const char* id : {"a", "b", "c"}) Put(id);
  clock_.Advance(absl::Seconds(6));
  Put("new");
  std::vector<OutboxMessage> messages;
  ClaimLimits limits{10, 1 << 20};
  limits.backlog = 2;
  limits.live = 0;
  EXPECT_EQ(spool_->Claim(limits, &messages), 2u);
  EXPECT_THAT(Ids(messages), ElementsAre("a", "b"));
  // What was given back late is backlog, too.
  SettleAll(spool_.get(), messages, SettleKind::kRelease);
  messages.clear();
  limits.backlog = 1;
  limits.live = 10;
  EXPECT_EQ(spool_->Claim(limits, &messages), 2u);
  EXPECT_THAT(Ids(messages), ElementsAre("new", "a"));
}

TEST_F(SpoolTest, WhatWasPutOffIsLeftAloneWhereOthersAreAskedFor) {
  Open();
  for (const char* id : {"put off", "failed", "new"}) Put(id);
  const std::vector<OutboxMessage> both = ClaimAll(spool_.get(), 2);
  ASSERT_EQ(both.size(), 2u);
  SettleAll(spool_.get(), {both[0]}, SettleKind::kRelease, 1'000'000);
  SettleAll(spool_.get(), {both[1]}, SettleKind::kRetry, 1'000'000);
  clock_.Advance(absl::Seconds(1));
  std::vector<OutboxMessage> messages;
  ClaimLimits limits{10, 1 << 20};
  limits.put_off = false;
  EXPECT_EQ(spool_->Claim(limits, &messages), 2u);
  EXPECT_THAT(Ids(messages), ElementsAre("failed", "new"));
  EXPECT_LE(spool_->NextDueNanos(), clock_.MonotonicNanos());
  EXPECT_THAT(Ids(ClaimAll(spool_.get())), ElementsAre("put off"));
}

TEST_F(SpoolTest, AnOrderedTypeGoesOneAtATimeByDevice) {
  options_.ordered[static_cast<size_t>(DataType::kDetection)] = true;
  Open();
  const auto put = [&](const std::string& id, const std::string& device, Priority priority) {
    Envelope envelope = TestEnvelope(id, priority);
    envelope.edge_device_id = device;
    ASSERT_TRUE(AppendOne(spool_.get(), std::move(envelope)).ok());
  };
  put("a1", "A", Priority::kLow);
  put("a2", "A", Priority::kHigh);  // Does not overtake.
  put("b1", "B", Priority::kNormal);
  put("a3", "A", Priority::kNormal);
  Put("health", Priority::kNormal, DataType::kHealth);  // Of a type that is not ordered.
  const std::vector<OutboxMessage> first = ClaimAll(spool_.get());
  EXPECT_THAT(Ids(first), ElementsAre("a1", "b1", "health"));
  SettleAll(spool_.get(), {first[0]}, SettleKind::kRetry, 1'000'000'000, "busy");
  EXPECT_THAT(Claim(10), ElementsAre()) << "what failed holds up what follows";
  clock_.Advance(absl::Seconds(1));
  const std::vector<OutboxMessage> again = ClaimAll(spool_.get());
  EXPECT_THAT(Ids(again), ElementsAre("a1"));
  SettleAll(spool_.get(), again, SettleKind::kConfirmed);
  EXPECT_THAT(Claim(10), ElementsAre("a2"));
  Reopen();
  EXPECT_THAT(Claim(10), ElementsAre("a2", "b1", "health"));
}

// Many more than are held, of one device; what others have comes all the same, and theirs in order.
TEST_F(SpoolTest, ALongBacklogOfOneDeviceHoldsUpNoOther) {
  options_.ordered[static_cast<size_t>(DataType::kDetection)] = true;
  options_.max_ready_messages = 100;
  Open();
  const auto put = [&](const std::string& device, int first, int count) {
    std::vector<Envelope> group;
    for (int i = first; i < first + count; ++i) {
      group.push_back(TestEnvelope(absl::StrCat(device, i)));
      group.back().edge_device_id = device;
    }
    for (const absl::Status& status : AppendAll(spool_.get(), std::move(group))) {
      ASSERT_TRUE(status.ok()) << status;
    }
  };
  constexpr int kMany = 3'000;
  put("A", 0, kMany);
  put("B", 0, 200);
  clock_.Advance(absl::Seconds(6));
  std::vector<OutboxMessage> of_a = ClaimAll(spool_.get(), 1'000);
  ASSERT_THAT(Ids(of_a), ElementsAre("A0", "B0"));
  SettleAll(spool_.get(), {of_a[1]}, SettleKind::kConfirmed);
  of_a.pop_back();
  put("C", 0, 1);  // It is live: it does not go through the file.
  std::vector<OutboxMessage> live;
  ClaimLimits limits{10, 1 << 20};
  limits.backlog = 0;
  EXPECT_EQ(spool_->Claim(limits, &live), 1u);
  EXPECT_THAT(Ids(live), ElementsAre("C0"));
  for (int i = 1; i < 200; ++i) {
    const std::vector<OutboxMessage> next = ClaimAll(spool_.get(), 1'000);
    ASSERT_THAT(Ids(next), ElementsAre(absl::StrCat("B", i)));
    SettleAll(spool_.get(), next, SettleKind::kConfirmed);
  }
  put("A", kMany, 1);
  for (int i = 1; i <= kMany; ++i) {
    SettleAll(spool_.get(), of_a, SettleKind::kConfirmed);
    of_a = ClaimAll(spool_.get(), 1'000);
    ASSERT_THAT(Ids(of_a), ElementsAre(absl::StrCat("A", i)));
  }
  EXPECT_TRUE(spool_->Damages().empty());
}

// More than one claim reads: it says that there is more.
TEST_F(SpoolTest, ReadsPastALongBacklogInPartsAndSaysSo) {
  options_.ordered[static_cast<size_t>(DataType::kDetection)] = true;
  Open();
  std::vector<Envelope> group;
  constexpr int kMany = 30'000;
  for (int i = 0; i < kMany; ++i) group.push_back(TestEnvelope("a"));
  AppendAll(spool_.get(), std::move(group));
  Put("other", Priority::kNormal, DataType::kHealth);
  Reopen();
  std::atomic<int> called{0};
  spool_->SetReadyHandler([&] { ++called; });
  std::vector<OutboxMessage> messages;
  EXPECT_EQ(spool_->Claim({1'000, 64u << 20}, &messages), 1u);
  for (int calls = 0; messages.size() < 2; ++calls) {
    ASSERT_TRUE(WaitFor([&] { return called > calls; }));
    spool_->Claim({1'000, 64u << 20}, &messages);
  }
  EXPECT_THAT(Ids(messages), ElementsAre("a", "other"));
  spool_->SetReadyHandler(nullptr);
}

// A claim without a share for what is live reads the file, where later ones of a device may lie.
TEST_F(SpoolTest, WhatIsLiveGoesBeforeWhatCameLaterInTheFile) {
  options_.ordered[static_cast<size_t>(DataType::kDetection)] = true;
  options_.max_ready_messages = 1;
  Open();
  Put("a1");  // In memory.
  Put("a2");  // Only in the file.
  std::vector<OutboxMessage> messages;
  ClaimLimits limits{1, 1 << 20};
  limits.live = 0;
  EXPECT_EQ(spool_->Claim(limits, &messages), 0u);
  EXPECT_THAT(Claim(10), ElementsAre("a1"));
}

TEST_F(SpoolTest, ADeadLetterLetsItsStreamGoOn) {
  options_.ordered[static_cast<size_t>(DataType::kDetection)] = true;
  options_.max_rejects = 1;
  Open();
  Put("poison");
  Put("good");
  const std::vector<OutboxMessage> first = ClaimAll(spool_.get());
  EXPECT_THAT(Ids(first), ElementsAre("poison"));
  SettleAll(spool_.get(), first, SettleKind::kReject, 0, "no");
  EXPECT_THAT(Claim(10), ElementsAre("good"));
}

TEST_F(SpoolTest, ConfirmedIsForgottenAlsoAfterARestart) {
  Open();
  for (const char* id : {"a", "b", "c"}) Put(id);
  SettleAll(spool_.get(), ClaimAll(spool_.get(), 2), SettleKind::kConfirmed);
  ASSERT_TRUE(WaitFor([&] { return spool_->Info().messages == 1; }));
  EXPECT_EQ(spool_->Info().confirmed_total, 2u);
  Reopen();
  EXPECT_EQ(spool_->Info().messages, 1u);
  EXPECT_THAT(Claim(10), ElementsAre("c"));
}

TEST_F(SpoolTest, RetryComesBackWhenDueAndBeforeWhatFollows) {
  Open();
  for (const char* id : {"a", "b", "c"}) Put(id);
  const std::vector<OutboxMessage> first = ClaimAll(spool_.get(), 1);
  SettleAll(spool_.get(), first, SettleKind::kRetry, 1'000'000'000, "busy");
  EXPECT_EQ(spool_->NextDueNanos(), clock_.MonotonicNanos() + 1'000'000'000);
  EXPECT_THAT(Claim(1), ElementsAre("b"));
  clock_.Advance(absl::Seconds(1));
  const std::vector<OutboxMessage> again = ClaimAll(spool_.get());
  EXPECT_THAT(Ids(again), ElementsAre("a", "c"));
  EXPECT_EQ(again[0].attempts, 1u);
  EXPECT_EQ(spool_->NextDueNanos(), Outbox::kNever);
}

TEST_F(SpoolTest, AttemptsSurviveARestart) {
  Open();
  Put("a");
  SettleAll(spool_.get(), ClaimAll(spool_.get()), SettleKind::kReject, 0, "bad");
  Reopen();
  const std::vector<OutboxMessage> again = ClaimAll(spool_.get());
  ASSERT_EQ(again.size(), 1u);
  EXPECT_EQ(again[0].attempts, 1u);
}

TEST_F(SpoolTest, ReleasedComesAgainAtOnceAndUncounted) {
  Open();
  for (const char* id : {"a", "b"}) Put(id);
  SettleAll(spool_.get(), ClaimAll(spool_.get()), SettleKind::kRelease);
  const std::vector<OutboxMessage> again = ClaimAll(spool_.get());
  EXPECT_THAT(Ids(again), ElementsAre("a", "b"));
  EXPECT_EQ(again[0].attempts, 0u);
}

TEST_F(SpoolTest, RejectedTooOftenIsSetAsideAndCanBeRetried) {
  options_.max_rejects = 3;
  Open();
  Put("poison");
  Put("good");
  for (int i = 0; i < 3; ++i) {
    const std::vector<OutboxMessage> one = ClaimAll(spool_.get(), 1);
    ASSERT_THAT(Ids(one), ElementsAre("poison"));
    SettleAll(spool_.get(), one, SettleKind::kReject, 0, "no such camera");
  }
  EXPECT_THAT(Claim(10), ElementsAre("good"));
  ASSERT_TRUE(WaitFor([&] { return spool_->Info().rejected == 1; }));
  EXPECT_EQ(spool_->Info().messages, 1u);
  Reopen();
  EXPECT_EQ(spool_->Info().rejected, 1u);
  SpoolFilter rejected;
  rejected.state = SpoolEntryState::kRejected;
  absl::StatusOr<SpoolPage> page = spool_->List(rejected, 10, "", true);
  ASSERT_TRUE(page.ok()) << page.status();
  ASSERT_EQ(page->entries.size(), 1u);
  EXPECT_EQ(page->entries[0].last_error, "no such camera");
  EXPECT_THAT(page->entries[0].envelope_json, HasSubstr("poison"));
  absl::StatusOr<uint64_t> retried = spool_->RetryDeadLetters({});
  ASSERT_TRUE(retried.ok()) << retried.status();
  EXPECT_EQ(*retried, 1u);
  EXPECT_EQ(spool_->Info().rejected, 0u);
  EXPECT_THAT(Claim(10), ElementsAre("good", "poison"));
}

TEST_F(SpoolTest, SettledTwiceOrNeverClaimedIsIgnoredAndCounted) {
  Open();
  Put("a");
  const std::vector<OutboxMessage> one = ClaimAll(spool_.get());
  SettleAll(spool_.get(), one, SettleKind::kConfirmed);
  SettleAll(spool_.get(), one, SettleKind::kRetry);
  SettleAll(spool_.get(), {OutboxMessage{}}, SettleKind::kConfirmed);
  ASSERT_TRUE(WaitFor([&] { return spool_->Info().messages == 0; }));
  EXPECT_EQ(spool_->Info().unknown_settled, 2u);
  EXPECT_TRUE(ClaimAll(spool_.get()).empty());
}

TEST_F(SpoolTest, TooOldIsExpiredByRunningTimeOnly) {
  options_.time_to_live[static_cast<size_t>(DataType::kHealth)] = absl::Hours(1);
  Open();
  Put("health", Priority::kNormal, DataType::kHealth);
  Put("detection");
  clock_.JumpWall(absl::Hours(24 * 3650));
  clock_.JumpWall(-absl::Hours(24 * 3650 * 5));
  clock_.Advance(absl::Minutes(59));
  Reopen();  // Time to live goes on where it was.
  const std::vector<OutboxMessage> young = ClaimAll(spool_.get());
  EXPECT_THAT(Ids(young), ElementsAre("health", "detection"));
  EXPECT_EQ(young[0].deadline_monotonic_ns,
            clock_.MonotonicNanos() + absl::ToInt64Nanoseconds(absl::Minutes(1)));
  EXPECT_EQ(young[1].deadline_monotonic_ns, 0);
  SettleAll(spool_.get(), young, SettleKind::kRelease);
  clock_.Advance(absl::Minutes(1));
  EXPECT_THAT(Claim(10), ElementsAre("detection"));
  ASSERT_TRUE(WaitFor([&] { return spool_->Info().expired_total == 1; }));
}

TEST_F(SpoolTest, WhatNobodyClaimsExpiresToo) {
  options_.time_to_live.fill(absl::Hours(1));
  Open();
  for (int i = 0; i < 5'000; i += 100) {
    std::vector<Envelope> some;
    for (int j = 0; j < 100; ++j) some.push_back(TestEnvelope(absl::StrCat("m", i + j)));
    AppendAll(spool_.get(), std::move(some));
  }
  clock_.Advance(absl::Hours(2));
  ASSERT_TRUE(WaitFor([&] {
    spool_->RunMaintenance();
    return spool_->Info().messages == 0;
  }));
  EXPECT_EQ(spool_->Info().expired_total, 5'000u);
  EXPECT_TRUE(ClaimAll(spool_.get()).empty());
}

TEST_F(SpoolTest, FullRefusesNewOnes) {
  options_.max_messages = 2;
  Open();
  std::vector<Envelope> three;
  for (const char* id : {"a", "b", "c"}) three.push_back(TestEnvelope(id));
  const std::vector<absl::Status> results = AppendAll(spool_.get(), std::move(three));
  EXPECT_TRUE(results[0].ok());
  EXPECT_TRUE(results[1].ok());
  EXPECT_EQ(results[2].code(), absl::StatusCode::kResourceExhausted);
  EXPECT_TRUE(spool_->Info().full);
  SettleAll(spool_.get(), ClaimAll(spool_.get()), SettleKind::kConfirmed);
  ASSERT_TRUE(WaitFor([&] { return spool_->Info().messages == 0; }));
  Put("d");
  EXPECT_FALSE(spool_->Info().full);
}

TEST_F(SpoolTest, FullDropsTheOldestOfTheLowestPriority) {
  options_.max_messages = 4;
  options_.when_full = WhenFull::kDropOldestLowPriority;
  Open();
  Put("l1", Priority::kLow);
  Put("n1");
  Put("l2", Priority::kLow);
  Put("n2");
  EXPECT_THAT(Claim(1), ElementsAre("n1"));  // In flight: not to be dropped.
  Put("h1", Priority::kHigh);
  Put("h2", Priority::kHigh);
  Put("h3", Priority::kHigh);
  EXPECT_EQ(AppendOne(spool_.get(), TestEnvelope("l3", Priority::kLow)).code(),
            absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(spool_->Info().dropped_total, 3u);
  EXPECT_THAT(Claim(10), ElementsAre("h1", "h2", "h3"));
  EXPECT_EQ(spool_->Info().messages, 4u);
}

TEST_F(SpoolTest, BytesAreBoundedToo) {
  options_.max_bytes = 10'000;
  Open();
  EXPECT_TRUE(AppendOne(spool_.get(), TestEnvelope("a", Priority::kNormal, 6'000)).ok());
  EXPECT_EQ(AppendOne(spool_.get(), TestEnvelope("b", Priority::kNormal, 6'000)).code(),
            absl::StatusCode::kResourceExhausted);
  EXPECT_LE(spool_->Info().bytes, 10'000u);
}

TEST_F(SpoolTest, QueueInMemoryIsBounded) {
  options_.max_queued_messages = 10;
  Open();
  std::vector<Envelope> many(11, TestEnvelope("a"));
  EXPECT_EQ(AppendAll(spool_.get(), std::move(many))[0].code(),
            absl::StatusCode::kResourceExhausted);
  Put("b");
}

TEST_F(SpoolTest, ClaimsAreBoundedAndGoOnWhenSettled) {
  options_.max_claimed = 10;
  Open();
  std::vector<Envelope> many;
  for (int i = 0; i < 25; ++i) many.push_back(TestEnvelope(absl::StrCat(i)));
  AppendAll(spool_.get(), std::move(many));
  std::atomic<int> ready{0};
  spool_->SetReadyHandler([&] { ++ready; });
  size_t delivered = 0;
  while (delivered < 25) {
    const std::vector<OutboxMessage> some = ClaimAll(spool_.get());
    EXPECT_LE(some.size(), 10u);
    const int before = ready;
    SettleAll(spool_.get(), some, SettleKind::kConfirmed);
    delivered += some.size();
    if (delivered == 25) break;
    ASSERT_TRUE(WaitFor([&] { return ready > before; }));
  }
  spool_->SetReadyHandler(nullptr);
  ASSERT_TRUE(WaitFor([&] { return spool_->Info().messages == 0; }));
}

TEST_F(SpoolTest, ReadsBackWhatDoesNotFitIntoMemory) {
  options_.max_ready_messages = 3;
  Open();
  std::vector<std::string> expected;
  for (int i = 0; i < 50; ++i) {
    expected.push_back(absl::StrCat("m", i));
    Put(expected.back());
  }
  EXPECT_EQ(Claim(100), expected);
}

TEST_F(SpoolTest, APageEndsBeforeItsEnvelopesAreTooMuch) {
  Open();
  constexpr size_t kEach = 3u << 20;
  for (int i = 0; i < 5; ++i) {
    const Envelope envelope = TestEnvelope(absl::StrCat("n", i), Priority::kNormal, kEach);
    ASSERT_TRUE(AppendOne(spool_.get(), envelope).ok());
  }
  const absl::StatusOr<SpoolPage> first = spool_->List({}, 1000, "", true);
  ASSERT_TRUE(first.ok()) << first.status();
  EXPECT_EQ(first->entries.size(), 3u);
  ASSERT_FALSE(first->next_page_token.empty());
  EXPECT_EQ(spool_->List({}, 1000, first->next_page_token, true)->entries.size(), 2u);
  EXPECT_EQ(spool_->List({}, 1000, "", false)->entries.size(), 5u);
}

TEST_F(SpoolTest, ListsInOrderWithStatesAndPages) {
  Open();
  for (int i = 0; i < 5; ++i) Put(absl::StrCat("n", i));
  Put("h", Priority::kHigh);
  EXPECT_THAT(Claim(2), ElementsAre("h", "n0"));
  std::vector<std::string> ids;
  std::string token;
  do {
    absl::StatusOr<SpoolPage> page = spool_->List({}, 2, token, false);
    ASSERT_TRUE(page.ok()) << page.status();
    for (const SpoolEntry& entry : page->entries) {
      ids.push_back(entry.message_id);
      EXPECT_EQ(entry.state,
                ids.size() <= 2 ? SpoolEntryState::kInFlight : SpoolEntryState::kWaiting);
      EXPECT_TRUE(entry.envelope_json.empty());
    }
    token = page->next_page_token;
  } while (!token.empty());
  EXPECT_THAT(ids, ElementsAre("h", "n0", "n1", "n2", "n3", "n4"));
  SpoolFilter high;
  high.priority = Priority::kHigh;
  EXPECT_EQ(spool_->List(high, 10, "", false)->entries.size(), 1u);
  EXPECT_EQ(spool_->List({}, 10, "x1", false).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(SpoolTest, DropsByFilterButNothingInFlight) {
  Open();
  for (int i = 0; i < 5; ++i) Put(absl::StrCat("n", i));
  EXPECT_THAT(Claim(1), ElementsAre("n0"));
  SpoolFilter two;
  two.message_ids = {"n0", "n3"};
  absl::StatusOr<uint64_t> dropped = spool_->Drop(two, "test");
  ASSERT_TRUE(dropped.ok()) << dropped.status();
  EXPECT_EQ(*dropped, 1u);
  EXPECT_EQ(spool_->Info().dropped_total, 1u);
  EXPECT_THAT(Claim(10), ElementsAre("n1", "n2", "n4"));
}

// Although nothing further is written that would be worth a checkpoint.
TEST_F(SpoolTest, GivesTheSpaceOfABacklogBack) {
  Open();
  constexpr int kMessages = 24;
  constexpr int64_t kMessageBytes = 1 << 20;
  for (int i = 0; i < kMessages; ++i) {
    const Envelope large = TestEnvelope(absl::StrCat("m", i), Priority::kNormal, kMessageBytes);
    ASSERT_TRUE(AppendOne(spool_.get(), large).ok());
  }
  options_.checkpoint_pages = 1 << 20;
  Reopen();
  SettleAll(spool_.get(), ClaimAll(spool_.get()), SettleKind::kConfirmed);
  ASSERT_TRUE(WaitFor([&] { return spool_->Info().confirmed_total == kMessages; }));
  ASSERT_GT(spool_internal::FileSize(options_.path), kMessages / 2 * kMessageBytes);
  EXPECT_TRUE(WaitFor([&] {
    spool_->RunMaintenance();
    return spool_internal::FileSize(options_.path) < kMessages / 2 * kMessageBytes;
  })) << spool_internal::FileSize(options_.path);
}

TEST_F(SpoolTest, SecondOpenerIsRefused) {
  Open();
  EXPECT_EQ(Spool::Open(options_, &clock_, &log_).status().code(),
            absl::StatusCode::kFailedPrecondition);
}

TEST_F(SpoolTest, ClosedRefusesAndAnswersWhatItTook) {
  Open();
  std::atomic<int> answered{0};
  for (int i = 0; i < 100; ++i) {
    std::vector<Envelope> one(1, TestEnvelope(absl::StrCat(i)));
    ASSERT_TRUE(spool_
                    ->Append(std::move(one),
                             [&](std::vector<absl::Status> results) {
                               answered += results[0].ok() ? 1 : 1000;
                             })
                    .ok());
  }
  spool_->Close();
  EXPECT_EQ(answered, 100);
  EXPECT_EQ(AppendOne(spool_.get(), TestEnvelope("x")).code(),
            absl::StatusCode::kFailedPrecondition);
  EXPECT_TRUE(ClaimAll(spool_.get()).empty());
  Reopen();
  EXPECT_EQ(spool_->Info().messages, 100u);
}

TEST_F(SpoolTest, ManyThreadsTogetherLoseNothing) {
  SystemClock clock;
  options_.max_ready_messages = 64;
  absl::StatusOr<std::unique_ptr<Spool>> opened = Spool::Open(options_, &clock, &log_);
  ASSERT_TRUE(opened.ok()) << opened.status();
  Spool* spool = opened->get();
  constexpr int kThreads = 4;
  constexpr int kEach = 500;
  std::vector<std::thread> producers;
  std::atomic<int> accepted{0};
  for (int t = 0; t < kThreads; ++t) {
    producers.emplace_back([&, t] {
      for (int i = 0; i < kEach; ++i) {
        const auto priority = static_cast<Priority>((t + i) % 3);
        if (AppendOne(spool, TestEnvelope(absl::StrCat(t, "-", i), priority)).ok()) ++accepted;
      }
    });
  }
  std::vector<std::string> delivered;
  while (delivered.size() < kThreads * kEach) {
    const std::vector<OutboxMessage> some = ClaimAll(spool, 37);
    for (const OutboxMessage& message : some) delivered.push_back(message.message_id);
    SettleAll(spool, some, SettleKind::kConfirmed);
    if (some.empty()) std::this_thread::yield();
  }
  for (std::thread& producer : producers) producer.join();
  EXPECT_EQ(accepted, kThreads * kEach);
  std::sort(delivered.begin(), delivered.end());
  EXPECT_EQ(std::unique(delivered.begin(), delivered.end()), delivered.end());
  ASSERT_TRUE(WaitFor([&] { return spool->Info().messages == 0; }));
  EXPECT_TRUE(spool->Damages().empty());
}

}  // namespace
}  // namespace viaduct
