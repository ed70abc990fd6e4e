// The spool against a model of a few lines, over random histories with restarts in between.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <set>
#include <thread>
#include <utility>

#include "core/spool/spool_test_support.h"

namespace viaduct {
namespace {

// What must be true. Per priority: what is live first, each in order of acceptance; then the
// backlog. Of an ordered stream one at a time, in order.
class Model {
 public:
  enum class Where { kReady, kFile, kHeld, kDelayed, kOut };
  struct Entry {
    std::string id;
    std::string stream;  // "" for none.
    Where where = Where::kFile;
    int64_t accepted = 0;
    int64_t due = 0;
    uint32_t attempts = 0;
  };
  using Key = std::pair<int, int64_t>;  // Priority, order of acceptance.

  Model(size_t room, size_t max_out, int64_t live_age)
      : room_(room), max_out_(max_out), live_age_(live_age) {}

  void Append(const std::string& id, const std::string& stream, Priority priority, int64_t now) {
    const Key key{static_cast<int>(priority), ++sequence_};
    const bool unread = Any(key.first, [](const Entry& e) { return e.where == Where::kFile; });
    const bool ready = Count(Where::kReady) < room_ && (stream.empty() || !unread);
    entries_[key] = {id, stream, ready ? Where::kReady : Where::kFile, now, 0, 0};
    keys_[id] = key;
  }

  std::vector<std::string> Claim(size_t max, size_t max_backlog, int64_t now) {
    ids_.clear();
    max_ = max;
    backlog_ = max_backlog;
    for (int priority = 0; priority < 3; ++priority) {
      ClaimDue(priority, true, now);
      ClaimReady(priority, now);
      ClaimDue(priority, false, now);
      ClaimHeld(priority);
      ClaimFile(priority);
    }
    return ids_;
  }

  void Forget(const std::string& id) { entries_.erase(keys_.at(id)); }
  // False: it is out, or gone.
  bool Drop(const std::string& id) {
    const auto found = entries_.find(keys_.at(id));
    if (found == entries_.end() || found->second.where == Where::kOut) return false;
    entries_.erase(found);
    return true;
  }
  void Delay(const std::string& id, int64_t due, bool counts) {
    Entry& entry = entries_.at(keys_.at(id));
    entry.where = Where::kDelayed;
    entry.due = due;
    entry.attempts += counts ? 1 : 0;
  }
  void Restart() {
    for (auto& [key, entry] : entries_) entry.where = Where::kFile;
  }
  size_t size() const { return entries_.size(); }
  uint32_t attempts(const std::string& id) const { return entries_.at(keys_.at(id)).attempts; }
  // Whether nothing of its stream was accepted before it and is still there.
  bool FirstOfItsStream(const std::string& id) const {
    const Key key = keys_.at(id);
    const std::string& stream = entries_.at(key).stream;
    for (const auto& [other, entry] : entries_) {
      if (other < key && !stream.empty() && entry.stream == stream) return false;
    }
    return true;
  }

 private:
  template <typename Fn>
  bool Any(int priority, Fn fn) const {
    return std::any_of(entries_.begin(), entries_.end(),
                       [&](const auto& e) { return e.first.first == priority && fn(e.second); });
  }
  size_t Count(Where where) const {
    return static_cast<size_t>(
        std::count_if(entries_.begin(), entries_.end(),
                      [where](const auto& e) { return e.second.where == where; }));
  }
  bool Full(int priority) const {
    return Out() >= max_out_ - static_cast<size_t>(priority) * (max_out_ / 8);
  }
  size_t Out() const { return Count(Where::kOut) + Count(Where::kDelayed); }
  bool Blocked(const Key& key) const {
    const std::string& stream = entries_.at(key).stream;
    if (stream.empty()) return false;
    return Any(key.first, [&](const Entry& e) {
      const bool before =
          e.where == Where::kOut || e.where == Where::kDelayed || e.where == Where::kHeld;
      return before && e.stream == stream;
    });
  }
  static bool IsBacklog(int priority, bool waited) { return priority == 1 ? waited : priority > 1; }
  bool Give(int priority, Entry* entry, bool waited) {
    entry->where = Where::kOut;
    ids_.push_back(entry->id);
    if (IsBacklog(priority, waited)) --backlog_;
    return true;
  }
  bool Room(int priority, bool waited) const {
    return ids_.size() < max_ && (!IsBacklog(priority, waited) || backlog_ > 0);
  }

  template <typename Fn>
  void Each(int priority, Where where, Fn fn) {
    for (auto& [key, entry] : entries_) {
      if (key.first == priority && entry.where == where && !fn(key, &entry)) return;
    }
  }
  void ClaimDue(int priority, bool live, int64_t now) {
    Each(priority, Where::kDelayed, [&](const Key&, Entry* entry) {
      if (!Room(priority, !live)) return false;
      const bool young = entry->accepted >= now - live_age_;
      return entry->due > now || young != live || Give(priority, entry, !live);
    });
  }
  void ClaimReady(int priority, int64_t now) {
    Each(priority, Where::kReady, [&](const Key&, Entry* entry) {
      const bool stale = priority > 0 && entry->accepted < now - live_age_;
      if (stale) entry->where = Where::kFile;
      return true;
    });
    Each(priority, Where::kReady, [&](const Key& key, Entry* entry) {
      if (!Room(priority, false) || Full(priority)) return false;
      const bool behind = !entry->stream.empty() && Any(priority, [&](const Entry& e) {
        return e.where == Where::kFile && keys_.at(e.id) < key;
      });
      if (!behind && !Blocked(key)) return Give(priority, entry, false);
      entry->where = behind ? Where::kFile : Where::kHeld;
      return true;
    });
  }
  void ClaimHeld(int priority) {
    Each(priority, Where::kHeld, [&](const Key&, Entry* entry) {
      if (!Room(priority, true) || Full(priority)) return false;
      const bool free = FirstOfItsStream(entry->id);
      return !free || Give(priority, entry, true);
    });
  }
  void ClaimFile(int priority) {
    Each(priority, Where::kFile, [&](const Key& key, Entry* entry) {
      if (!Room(priority, true) || Full(priority)) return false;
      if (!Blocked(key)) return Give(priority, entry, true);
      entry->where = Where::kHeld;  // Held or skipped: nobody sees the difference.
      return true;
    });
  }

  const size_t room_;
  const size_t max_out_;
  const int64_t live_age_;
  int64_t sequence_ = 0;
  std::map<Key, Entry> entries_;
  std::map<std::string, Key> keys_;
  std::vector<std::string> ids_;
  size_t max_ = 0;
  size_t backlog_ = 0;
};

class History {
 public:
  explicit History(unsigned seed) : random_(seed) {
    options_.path = folder_.File("spool.db");
    options_.confirm_delay = absl::ZeroDuration();
    options_.reserve_bytes = 0;
    options_.max_rejects = 1'000'000;
    options_.max_claimed = 5 + random_() % 20;
    options_.max_ready_messages = random_() % 10;
    options_.checkpoint_pages = 16;
    options_.time_to_live[0] = absl::Hours(1);  // So that the spool keeps its time at a restart.
    options_.live_age = absl::Seconds(random_() % 5);
    options_.ordered = {random_() % 2 == 0, false, false, false};
    dropped_.message_ids.assign(1, "");
    model_ = std::make_unique<Model>(options_.max_ready_messages, options_.max_claimed,
                                     absl::ToInt64Nanoseconds(options_.live_age));
  }

  void Run() {
    Open();
    for (int step = 0; step < 150; ++step) {
      SCOPED_TRACE(absl::StrCat("step ", step));
      switch (random_() % 8) {
        case 0:
        case 1:
        case 2:
          Append();
          break;
        case 3:
        case 4:
          Claim();
          break;
        case 5:
        case 6:
          Settle();
          break;
        default:
          if (random_() % 6 == 0) {
            Restart();
          } else if (random_() % 4 == 0) {
            Drop();
          } else {
            clock_.Advance(absl::Seconds(random_() % 3));
          }
      }
      if (testing::Test::HasFatalFailure()) return;
    }
    Restart();
    ASSERT_EQ(spool_->Info().messages, model_->size());
  }

 private:
  void Open() {
    absl::StatusOr<std::unique_ptr<Spool>> spool = Spool::Open(options_, &clock_, &log_);
    ASSERT_TRUE(spool.ok()) << spool.status();
    spool_ = *std::move(spool);
  }
  void Restart() {
    spool_.reset();
    claimed_.clear();
    model_->Restart();
    Open();
  }
  void Append() {
    std::vector<Envelope> group;
    for (unsigned n = 1 + random_() % 5; n > 0; --n) {
      const auto priority = static_cast<Priority>(random_() % 3);
      const std::string id = absl::StrCat("m", ++next_id_);
      group.push_back(TestEnvelope(id, priority, random_() % 300));
      group.back().edge_device_id = absl::StrCat("CAM", random_() % 3);
      const bool ordered = options_.ordered[0];
      model_->Append(id, ordered ? group.back().edge_device_id : "",
                     ordered ? Priority::kNormal : priority, clock_.MonotonicNanos());
    }
    for (const absl::Status& status : AppendAll(spool_.get(), std::move(group))) {
      ASSERT_TRUE(status.ok()) << status;
    }
  }
  void Claim() {
    // Claims that were settled leave when their row is deleted: wait, so that both count alike.
    ASSERT_TRUE(WaitFor([&] { return spool_->Info().messages == model_->size(); }));
    const size_t max = 1 + random_() % 8;
    std::vector<OutboxMessage> got;
    ClaimLimits limits{max, 64u << 20};
    limits.backlog = random_() % 6;
    spool_->Claim(limits, &got);
    ASSERT_EQ(Ids(got), model_->Claim(max, limits.backlog, clock_.MonotonicNanos()));
    for (const OutboxMessage& message : got) {
      ASSERT_TRUE(model_->FirstOfItsStream(message.message_id)) << message.message_id;
      ASSERT_EQ(message.attempts, model_->attempts(message.message_id));
      claimed_.push_back(message);
    }
  }
  // By hand, wherever it waits.
  void Drop() {
    if (next_id_ == 0) return;
    std::string& id = dropped_.message_ids.front();
    id = absl::StrCat("m", 1 + random_() % static_cast<unsigned>(next_id_));
    ASSERT_TRUE(WaitFor([&] { return spool_->Info().messages == model_->size(); }));
    const absl::StatusOr<uint64_t> dropped = spool_->Drop(dropped_, "test");
    ASSERT_TRUE(dropped.ok()) << dropped.status();
    ASSERT_EQ(*dropped, model_->Drop(id) ? 1u : 0u) << id;
  }
  void Settle() {
    while (!claimed_.empty() && random_() % 4 != 0) {
      const size_t at = random_() % claimed_.size();
      const OutboxMessage message = claimed_[at];
      claimed_.erase(claimed_.begin() + static_cast<std::ptrdiff_t>(at));
      const auto kind = static_cast<SettleKind>(random_() % 5);
      const int64_t delay = static_cast<int64_t>(random_() % 4) * 1'000'000'000;
      SettleAll(spool_.get(), {message}, kind, delay, "because");
      if (kind == SettleKind::kConfirmed || kind == SettleKind::kExpired) {
        model_->Forget(message.message_id);
      } else {
        // Due now still counts as out.
        const int64_t due = delay == 0 ? 1 : clock_.MonotonicNanos() + delay;
        model_->Delay(message.message_id, due, kind != SettleKind::kRelease);
      }
    }
  }

  std::mt19937 random_;
  TestFolder folder_;
  FakeClock clock_;
  NullLog log_;
  SpoolOptions options_;
  std::unique_ptr<Model> model_;
  std::unique_ptr<Spool> spool_;
  std::vector<OutboxMessage> claimed_;
  SpoolFilter dropped_;
  int next_id_ = 0;
};

TEST(SpoolModelTest, AnyHistoryGivesWhatTheModelGives) {
  const bool longer = std::getenv("VIADUCT_TEST_LONG") != nullptr;
  const char* given = std::getenv("VIADUCT_SEED");
  const auto first = given != nullptr ? static_cast<unsigned>(std::strtoul(given, nullptr, 10))
                                      : std::random_device{}();
  const unsigned rounds = given != nullptr ? 1 : longer ? 1'000 : 8;
  for (unsigned i = 0; i < rounds; ++i) {
    SCOPED_TRACE(absl::StrCat("VIADUCT_SEED=", first + i));
    History(first + i).Run();
    if (testing::Test::HasFailure()) return;
  }
}

}  // namespace
}  // namespace viaduct
