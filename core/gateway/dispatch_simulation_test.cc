// Thousands of random schedules of a dispatcher core against links that misbehave in every way that
// the interface allows, on a clock of our own. Whatever happens: each message is settled for good
// exactly once, none is lost, and the work stays bounded.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/gateway/adaptive_selector.h"
#include "core/gateway/dispatch_core.h"
#include "core/gateway/scripted_links.h"
#include "core/gateway/selection_rules.h"
#include "core/gateway/standard_rules.h"

namespace viaduct {
namespace {

constexpr int64_t kMs = 1'000'000;

// An outbox in memory, strict about the contract: by priority, then in the order of acceptance,
// messages of one stream one at a time.
class MemoryOutbox final : public Outbox {
 public:
  struct Message {
    Priority priority = Priority::kNormal;
    DataType type = DataType::kDetection;
    bool backlog = false;
    int stream = 0;  // 0: in no order.
    size_t bytes = 2;
    int64_t deadline_ns = 0;
  };
  explicit MemoryOutbox(Clock* clock) : clock_(clock) {}

  void Put(int64_t number, const Message& message) {
    waiting_[KeyOf(number, message.priority)].message = message;
  }

  size_t Claim(const ClaimLimits& limits, std::vector<OutboxMessage>* out) override {
    size_t count = 0;
    size_t left[2] = {limits.live, limits.backlog};
    std::set<int> taken;  // Streams of which an earlier one waits still.
    for (auto& [key, entry] : waiting_) {
      if (count == limits.messages) break;
      const int stream = entry.message.stream;
      if (stream != 0 && !taken.insert(stream).second) continue;
      if (entry.claimed || entry.due > clock_->MonotonicNanos()) continue;
      if (left[entry.message.backlog ? 1 : 0] == 0) continue;
      --left[entry.message.backlog ? 1 : 0];
      entry.claimed = true;
      ++count;
      out->push_back(Given(key, entry));
    }
    return count;
  }

  void Settle(absl::Span<const Settlement> settlements) override {
    for (const Settlement& s : settlements) {
      const auto it = waiting_.find(s.key);
      ASSERT_TRUE(it != waiting_.end()) << "settled after its end, key " << s.key;
      ASSERT_TRUE(it->second.claimed) << "settled while not claimed, key " << s.key;
      Entry& entry = it->second;
      entry.claimed = false;
      entry.due = clock_->MonotonicNanos() + s.delay_ns;
      entry.attempts += s.kind == SettleKind::kRelease ? 0 : 1;
      entry.rejects += s.kind == SettleKind::kReject ? 1 : 0;
      if (s.kind == SettleKind::kConfirmed) confirmed_.insert(s.key);
      if (s.kind == SettleKind::kExpired) {
        ASSERT_NE(entry.message.deadline_ns, 0) << "expired, and has no deadline: " << s.key;
        ASSERT_LE(entry.message.deadline_ns, clock_->MonotonicNanos()) << "too early: " << s.key;
        ++expired_;
      }
      const bool dead = entry.rejects >= 5;
      if (dead) dead_.insert(s.key);
      if (dead || s.kind == SettleKind::kConfirmed || s.kind == SettleKind::kExpired) {
        waiting_.erase(it);
      }
    }
  }

  int64_t NextDueNanos() const override {
    int64_t due = kNever;
    for (const auto& [key, entry] : waiting_) {
      if (!entry.claimed) due = std::min(due, entry.due);
    }
    return due;
  }
  void SetReadyHandler(std::function<void()>) override {}

  size_t claimed() const {
    return static_cast<size_t>(std::count_if(waiting_.begin(), waiting_.end(),
                                             [](const auto& e) { return e.second.claimed; }));
  }
  size_t left() const { return waiting_.size(); }
  const std::set<int64_t>& confirmed() const { return confirmed_; }
  size_t ended() const { return confirmed_.size() + dead_.size() + expired_; }

 private:
  struct Entry {
    Message message;
    bool claimed = false;
    int64_t due = 0;
    uint32_t attempts = 0;
    uint32_t rejects = 0;
  };
  static int64_t KeyOf(int64_t number, Priority priority) {
    return int64_t{static_cast<int>(priority)} << 40 | number;
  }
  static OutboxMessage Given(int64_t key, const Entry& entry) {
    OutboxMessage message;
    message.key = key;
    message.message_id = absl::StrCat("m", key);
    message.envelope_json = std::string(entry.message.bytes, ' ');
    message.data_type = entry.message.type;
    message.priority = entry.message.priority;
    message.attempts = entry.attempts;
    message.backlog = entry.message.backlog;
    message.deadline_monotonic_ns = entry.message.deadline_ns;
    return message;
  }
  Clock* const clock_;
  std::map<int64_t, Entry> waiting_;
  std::set<int64_t> confirmed_;
  std::set<int64_t> dead_;
  size_t expired_ = 0;
};

// Does anything that a faulty plugin or a bad network can do.
class WildLink final : public Link {
 public:
  WildLink(std::string name, std::mt19937* random, size_t window,
           std::function<bool(int64_t key)> ended)
      : name_(std::move(name)), random_(random), window_(window), ended_(std::move(ended)) {}

  std::string_view name() const override { return name_; }
  bool ready() const override { return ready_; }
  size_t credit() const override {
    return honest_ ? window_ - std::min(window_, held_.size()) : Roll(2 * window_);
  }
  void SetHandlers(CompletionFn, ReadyFn) override {}

  size_t Deliver(absl::Span<const OutboundMessage> batch) override {
    size_t take = honest_ ? std::min(batch.size(), credit()) : Roll(batch.size() + 1);
    for (size_t i = 0; i < take; ++i) {
      const int64_t key = KeyOf(batch[i]);
      // Repeated elsewhere is what failed or was silent here: never what has ended.
      EXPECT_EQ(ended_(key), false) << "delivered after its end, key " << key;
      EXPECT_TRUE(tokens_.insert(batch[i].token).second) << "token twice in flight";
      held_.push_back({batch[i].token, KeyOf(batch[i])});
    }
    for (size_t i = take; i < batch.size(); ++i) untaken_.push_back(batch[i].token);
    if (!honest_ && Roll(20) == 0)
      return batch.size() + 7;  // Boasts; the core must not believe it.
    return take;
  }

  // Some completions, good and bad.
  std::vector<Completion> Complete() {
    std::vector<Completion> out;
    for (size_t n = Roll(8); n > 0 && !held_.empty(); --n) {
      const size_t at = Roll(held_.size());
      const auto [token, key] = held_[at];
      if (!honest_ && Roll(30) == 0) {  // Never completed.
        held_.erase(held_.begin() + static_cast<std::ptrdiff_t>(at));
        tokens_.erase(token);
        continue;
      }
      Completion completion;
      completion.token = token;
      completion.outcome = honest_ ? Outcome::kDurable : RandomOutcome();
      if (completion.outcome == Outcome::kDurable) stored_.insert(key);
      if (completion.outcome == Outcome::kRetry && Roll(5) == 0) {
        completion.retry_after = absl::Milliseconds(Roll(300));
      }
      out.push_back(completion);
      if (!honest_ && Roll(15) == 0) out.push_back(completion);  // Twice.
      held_.erase(held_.begin() + static_cast<std::ptrdiff_t>(at));
      tokens_.erase(token);
    }
    if (!honest_ && Roll(10) == 0) {
      Completion wild;
      wild.token = untaken_.empty() || Roll(2) == 0 ? (*random_)() : untaken_.back();
      wild.outcome = Outcome::kRetry;
      out.push_back(wild);
    }
    return out;
  }

  void set_ready(bool ready) { ready_ = ready; }
  void set_honest() {
    honest_ = true;
    ready_ = true;
  }
  const std::set<int64_t>& stored() const { return stored_; }

 private:
  size_t Roll(size_t n) const { return n == 0 ? 0 : (*random_)() % n; }
  static int64_t KeyOf(const OutboundMessage& m) {
    return std::atoll(std::string(m.message_id.substr(1)).c_str());
  }
  Outcome RandomOutcome() const {
    static constexpr Outcome kAll[] = {Outcome::kDurable,  Outcome::kDurable, Outcome::kDurable,
                                       Outcome::kRetry,    Outcome::kReject,  Outcome::kExpired,
                                       Outcome::kCancelled};
    return kAll[Roll(7)];
  }

  const std::string name_;
  std::mt19937* const random_;
  const size_t window_;
  const std::function<bool(int64_t key)> ended_;
  bool ready_ = true;
  bool honest_ = false;
  std::vector<std::pair<uint64_t, int64_t>> held_;
  std::vector<uint64_t> untaken_;
  std::set<uint64_t> tokens_;
  std::set<int64_t> stored_;
};

class Simulation {
 public:
  explicit Simulation(uint32_t seed) : random_(seed), outbox_(&clock_) {
    options_.window = 1 + random_() % 20;
    options_.batch = 1 + random_() % 8;
    options_.delivery_timeout = absl::Milliseconds(500);
    options_.retry.initial_delay = absl::Milliseconds(1 + random_() % 50);
    options_.retry.max_delay = absl::Milliseconds(400);
    options_.fallback = random_() % 4 != 0;
    options_.max_attempts = 1 + random_() % 4;
    options_.retry_budget.per_second = random_() % 2 == 0 ? 1 : 1000;
    options_.hedged_share = static_cast<double>(random_() % 3) / 2;
    if (random_() % 3 == 0) options_.backlog_per_second = 1 + random_() % 200;
    selector_ = AnySelector();
    core_ = std::make_unique<DispatchCore>(options_, &outbox_, selector_.get(), &clock_, random_,
                                           &log_);
    const size_t count = 1 + random_() % 3;
    for (size_t i = 0; i < count; ++i) AddLink();
  }

  void Run() {
    const int64_t messages = 1 + static_cast<int64_t>(random_() % 60);
    int64_t put = 0;
    for (int step = 0; step < 300; ++step) {
      if (put < messages && random_() % 2 == 0) outbox_.Put(++put, AnyMessage());
      WildStep();
      ASSERT_LE(core_->in_flight(), options_.window * links_.size());
      ASSERT_EQ(core_->in_flight(), outbox_.claimed());
    }
    while (put < messages) outbox_.Put(++put, AnyMessage());
    const int64_t honest_ns = clock_.MonotonicNanos();
    Settle();
    ASSERT_EQ(outbox_.left(), 0u);
    ASSERT_LE(clock_.MonotonicNanos() - honest_ns, kDrainNs) << "while all links take messages";
    ASSERT_EQ(outbox_.ended(), static_cast<size_t>(messages));
    for (const int64_t key : outbox_.confirmed()) {
      ASSERT_TRUE(Stored(key)) << "confirmed, but no link has stored it: " << key;
    }
  }

 private:
  // What is left when all links behave: the backlog at its slowest pace, and what waits for roads.
  static constexpr int64_t kDrainNs = 120'000 * kMs;

  std::unique_ptr<Selector> AnySelector() {
    RuleSelector::Options rules =
        random_() % 2 == 0 ? SizePriorityRules() : ConnectivityScoreRules();
    rules.falls_back = options_.fallback;
    rules.measured = random_() % 2 == 0;
    switch (random_() % 6) {
      case 0:
        return std::make_unique<ConfiguredOrderSelector>();
      case 1:
        return std::make_unique<BalancingSelector>();
      case 2:
      case 3:
        return std::make_unique<RuleSelector>(std::move(rules));
      default:
        return std::make_unique<AdaptiveSelector>();
    }
  }

  MemoryOutbox::Message AnyMessage() {
    MemoryOutbox::Message message;
    message.type = static_cast<DataType>(random_() % 4);
    message.bytes = 1 + random_() % (random_() % 4 == 0 ? 40'000 : 900);
    if (random_() % 4 == 0) {  // Of a device whose messages keep their order, whatever they are.
      message.stream = 1 + static_cast<int>(random_() % 3);
    } else {
      message.priority = static_cast<Priority>(random_() % 3);
    }
    const bool waited = random_() % 3 == 0;
    message.backlog =
        message.priority == Priority::kLow || (message.priority == Priority::kNormal && waited);
    if (random_() % 10 == 0) {
      message.deadline_ns =
          clock_.MonotonicNanos() + static_cast<int64_t>(1 + random_() % 5'000) * kMs;
    }
    return message;
  }

  LinkTraits AnyTraits() {
    constexpr const char* kPlugins[] = {"websocket", "rest", "mqtt"};
    LinkTraits traits;
    traits.plugin = kPlugins[random_() % 3];
    traits.metered = random_() % 4 == 0;
    traits.cost_per_mb = random_() % 4 == 0 ? 3 : 0;
    return traits;
  }

  void AddLink() {
    links_.push_back(std::make_unique<WildLink>(
        absl::StrCat("link", next_id_), &random_, options_.window,
        [this](int64_t key) { return outbox_.confirmed().count(key) > 0; }));
    ids_.push_back(next_id_);
    ASSERT_TRUE(core_->AddLink(next_id_++, links_.back().get(), AnyTraits(),
                               std::make_shared<LinkCounters>()));
  }

  void WildStep() {
    const size_t at = random_() % links_.size();
    switch (random_() % 6) {
      case 0:
        links_[at]->set_ready(random_() % 3 != 0);
        core_->LinkReady(ids_[at]);
        break;
      case 1:
      case 2:
        core_->Complete(ids_[at], links_[at]->Complete());
        break;
      case 3:
        clock_.Advance(absl::Milliseconds(random_() % 200));
        break;
      case 4:
        if (random_() % 20 == 0) {
          std::vector<LinkId> order = ids_;
          std::shuffle(order.begin(), order.end(), random_);
          core_->SetOrder(order);
        } else if (random_() % 20 == 0 && links_.size() > 1) {
          core_->RemoveLink(ids_[at]);
          gone_.push_back(std::move(links_[at]));
          links_.erase(links_.begin() + static_cast<std::ptrdiff_t>(at));
          ids_.erase(ids_.begin() + static_cast<std::ptrdiff_t>(at));
        } else if (random_() % 20 == 0 && links_.size() < 4) {
          AddLink();
        } else if (random_() % 20 == 0) {
          auto other = AnySelector();
          core_->SetSelector(other.get());
          selector_ = std::move(other);
        } else if (random_() % 4 == 0) {
          core_->NoteProbe(ids_[at], random_() % 2 == 0, absl::Milliseconds(random_() % 900), 100);
        }
        break;
      default:
        next_wake_ = core_->Step();
    }
  }

  // All links behave from now on: everything must drain, driven by the times that Step asks for.
  void Settle() {
    for (auto& link : links_) link->set_honest();
    for (const LinkId id : ids_) core_->LinkReady(id);
    for (int round = 0; round < 5'000 && outbox_.left() > 0; ++round) {
      const int64_t wake = core_->Step();
      bool any = false;
      for (size_t i = 0; i < links_.size(); ++i) {
        const std::vector<Completion> some = links_[i]->Complete();
        any = any || !some.empty();
        core_->Complete(ids_[i], some);
      }
      if (any) continue;
      if (wake == DispatchCore::kNever) continue;
      clock_.Advance(absl::Nanoseconds(std::max<int64_t>(wake - clock_.MonotonicNanos(), kMs)));
    }
  }

  bool Stored(int64_t key) const {
    const auto has = [key](const auto& link) { return link->stored().count(key) > 0; };
    return std::any_of(links_.begin(), links_.end(), has) ||
           std::any_of(gone_.begin(), gone_.end(), has);
  }

  FakeClock clock_;
  std::mt19937 random_;
  NullLog log_;
  std::unique_ptr<Selector> selector_;
  DispatcherOptions options_;
  MemoryOutbox outbox_;
  std::unique_ptr<DispatchCore> core_;
  std::vector<std::unique_ptr<WildLink>> links_;
  std::vector<std::unique_ptr<WildLink>> gone_;
  std::vector<LinkId> ids_;
  LinkId next_id_ = 1;
  int64_t next_wake_ = 0;
};

TEST(DispatchSimulationTest, EveryScheduleSettlesEveryMessageOnce) {
  const bool longer = std::getenv("VIADUCT_TEST_LONG") != nullptr;
  const char* given = std::getenv("VIADUCT_SEED");
  const uint32_t first = given != nullptr ? static_cast<uint32_t>(std::strtoul(given, nullptr, 10))
                                          : std::random_device{}();
  std::printf("VIADUCT_SEED=%u\n", first);
  const uint32_t rounds = given != nullptr ? 1 : longer ? 100'000 : 3'000;
  for (uint32_t i = 0; i < rounds; ++i) {
    SCOPED_TRACE(absl::StrCat("VIADUCT_SEED=", first + i));
    Simulation(first + i).Run();
    if (testing::Test::HasFatalFailure() || testing::Test::HasNonfatalFailure()) return;
  }
}

// Links that take so many a millisecond together, and more of every kind than they can take.
class Overload {
 public:
  explicit Overload(uint32_t seed) : random_(seed), outbox_(&clock_) {
    clock_.Advance(absl::Hours(1));
    core_ = std::make_unique<DispatchCore>(options_, &outbox_, &selector_, &clock_, random_, &log_);
    for (LinkId id = 1; id <= 2; ++id) {
      links_.push_back(std::make_unique<ScriptedLink>(absl::StrCat("link", id)));
      links_.back()->room = kPerLink;
      EXPECT_TRUE(
          core_->AddLink(id, links_.back().get(), LinkTraits(), std::make_shared<LinkCounters>()));
    }
  }

  struct Kind {
    ScriptedOutbox::Kind kind;
    int in_ten_ms = 0;  // That come.
    int64_t next = 0;
    int64_t put = 0;
    int64_t worst_ns = 0;
    size_t sent = 0;
  };

  // Each kind comes at its rate for so long; links confirm all they have each ten milliseconds.
  void Run(std::vector<Kind>* kinds, int ten_ms) {
    std::map<std::string, std::pair<size_t, int64_t>> put;
    int64_t key = 0;
    for (int turn = 0; turn < ten_ms; ++turn) {
      for (size_t i = 0; i < kinds->size(); ++i) {
        Kind& kind = (*kinds)[i];
        for (int n = 0; n < kind.in_ten_ms; ++n) {
          put[absl::StrCat("m", ++key)] = {i, clock_.MonotonicNanos()};
          outbox_.Put(key, kind.kind);
        }
      }
      clock_.Advance(absl::Milliseconds(10));
      core_->Step();
      for (size_t i = 0; i < links_.size(); ++i) Confirm(i, &put, kinds);
    }
    for (const auto& [id, waits] : put) {
      Kind& kind = (*kinds)[waits.first];
      kind.worst_ns = std::max(kind.worst_ns, clock_.MonotonicNanos() - waits.second);
    }
  }

 private:
  static constexpr size_t kPerLink = 5;  // In ten milliseconds.

  void Confirm(size_t index, std::map<std::string, std::pair<size_t, int64_t>>* put,
               std::vector<Kind>* kinds) {
    ScriptedLink& link = *links_[index];
    std::vector<Completion> done;
    for (size_t i = 0; i < link.tokens.size(); ++i) {
      done.push_back({link.tokens[i], Outcome::kDurable, absl::OkStatus()});
      const auto found = put->find(link.ids[i]);
      ASSERT_TRUE(found != put->end()) << "sent twice: " << link.ids[i];
      Kind& kind = (*kinds)[found->second.first];
      kind.worst_ns = std::max(kind.worst_ns, clock_.MonotonicNanos() - found->second.second);
      ++kind.sent;
      put->erase(found);
    }
    link.tokens.clear();
    link.ids.clear();
    core_->Complete(static_cast<LinkId>(index + 1), done);
  }

  FakeClock clock_;
  NullLog log_;
  std::mt19937 random_;
  DispatcherOptions options_;
  ScriptedOutbox outbox_;
  AdaptiveSelector selector_;
  std::unique_ptr<DispatchCore> core_;
  std::vector<std::unique_ptr<ScriptedLink>> links_;
};

TEST(DispatchFairnessTest, NoKindStarvesWhileLinksTakeMessages) {
  constexpr int64_t kSoonNs = 300 * kMs;
  const ScriptedOutbox::Kind high{Priority::kHigh, false, 300};
  const ScriptedOutbox::Kind live{Priority::kNormal, false, 300};
  const ScriptedOutbox::Kind waited{Priority::kNormal, true, 300};
  const ScriptedOutbox::Kind low{Priority::kLow, true, 300};
  // All fits but the backlog: what is live does not wait for it, and it moves on.
  std::vector<Overload::Kind> kinds = {{high, 1}, {live, 6}, {waited, 20}};
  Overload(1).Run(&kinds, 300);
  EXPECT_LE(kinds[0].worst_ns, kSoonNs);
  EXPECT_LE(kinds[1].worst_ns, kSoonNs);
  EXPECT_GE(kinds[2].sent, 300u) << "a tenth of what goes";
  // More is live than fits: what is urgent comes first all the same, and a tenth is of the backlog.
  kinds = {{high, 2}, {live, 30}, {low, 5}};
  Overload(2).Run(&kinds, 300);
  EXPECT_LE(kinds[0].worst_ns, kSoonNs);
  EXPECT_GE(kinds[1].sent, 1'500u);
  EXPECT_GE(kinds[2].sent, 200u);
  // More is urgent than fits: a tenth is of the backlog still.
  kinds = {{high, 30}, {low, 5}};
  Overload(3).Run(&kinds, 300);
  EXPECT_GE(kinds[0].sent, 2'400u);
  EXPECT_GE(kinds[1].sent, 200u);
}

}  // namespace
}  // namespace viaduct
