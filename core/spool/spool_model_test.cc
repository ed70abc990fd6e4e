// The spool against a model of a few lines, over random histories with restarts in between.
#include <gtest/gtest.h>

#include <map>
#include <random>
#include <set>
#include <thread>
#include <utility>

#include "core/spool/spool_test_support.h"

namespace viaduct {
namespace {

// What must be true: by priority, then acceptance; claimed ones are out; delayed ones wait.
class Model {
 public:
  struct Entry {
    std::string id;
    bool claimed = false;
    int64_t due = 0;
    uint32_t attempts = 0;
  };
  using Key = std::pair<int, int64_t>;  // Priority, order of acceptance.

  void Append(const std::string& id, Priority priority) {
    const Key key{static_cast<int>(priority), ++sequence_};
    entries_[key].id = id;
    keys_[id] = key;
  }
  std::vector<std::string> Claim(size_t max, size_t max_out, int64_t now) {
    std::vector<std::string> ids;
    size_t out = 0;
    for (const auto& [key, entry] : entries_) out += entry.claimed || entry.due > 0 ? 1 : 0;
    for (auto& [key, entry] : entries_) {
      if (ids.size() == max) break;
      if (entry.claimed || entry.due > now) continue;
      if (entry.due == 0 && out >= max_out) continue;  // Delayed ones are out already.
      out += entry.due == 0 ? 1 : 0;
      entry.claimed = true;
      ids.push_back(entry.id);
    }
    return ids;
  }
  void Forget(const std::string& id) { entries_.erase(keys_.at(id)); }
  void Delay(const std::string& id, int64_t due, bool counts) {
    Entry& entry = entries_.at(keys_.at(id));
    entry.claimed = false;
    entry.due = due;
    entry.attempts += counts ? 1 : 0;
  }
  void Restart() {
    for (auto& [key, entry] : entries_) {
      entry.claimed = false;
      entry.due = 0;
    }
  }
  size_t size() const { return entries_.size(); }
  uint32_t attempts(const std::string& id) const { return entries_.at(keys_.at(id)).attempts; }

 private:
  int64_t sequence_ = 0;
  std::map<Key, Entry> entries_;
  std::map<std::string, Key> keys_;
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
          } else {
            clock_.Advance(absl::Seconds(random_() % 3));
          }
      }
      if (testing::Test::HasFatalFailure()) return;
    }
    Restart();
    ASSERT_EQ(spool_->Info().messages, model_.size());
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
    model_.Restart();
    Open();
  }
  void Append() {
    std::vector<Envelope> group;
    for (unsigned n = 1 + random_() % 5; n > 0; --n) {
      const auto priority = static_cast<Priority>(random_() % 3);
      const std::string id = absl::StrCat("m", ++next_id_);
      group.push_back(TestEnvelope(id, priority, random_() % 300));
      model_.Append(id, priority);
    }
    for (const absl::Status& status : AppendAll(spool_.get(), std::move(group))) {
      ASSERT_TRUE(status.ok()) << status;
    }
  }
  void Claim() {
    // Claims that were settled leave when their row is deleted: wait, so that both count alike.
    ASSERT_TRUE(WaitFor([&] { return spool_->Info().messages == model_.size(); }));
    const size_t max = 1 + random_() % 8;
    std::vector<OutboxMessage> got;
    spool_->Claim(max, 64u << 20, &got);
    ASSERT_EQ(Ids(got), model_.Claim(max, options_.max_claimed, clock_.MonotonicNanos()));
    for (const OutboxMessage& message : got) {
      ASSERT_EQ(message.attempts, model_.attempts(message.message_id));
      claimed_.push_back(message);
    }
  }
  void Settle() {
    while (!claimed_.empty() && random_() % 4 != 0) {
      const size_t at = random_() % claimed_.size();
      const OutboxMessage message = claimed_[at];
      claimed_.erase(claimed_.begin() + static_cast<std::ptrdiff_t>(at));
      const auto kind = static_cast<SettleKind>(random_() % 5);
      const int64_t delay =
          kind == SettleKind::kRelease ? 0 : static_cast<int64_t>(random_() % 4) * 1'000'000'000;
      SettleAll(spool_.get(), {message}, kind, delay, "because");
      if (kind == SettleKind::kConfirmed || kind == SettleKind::kExpired) {
        model_.Forget(message.message_id);
      } else {
        // Due now still counts as out.
        const int64_t due = delay == 0 ? 1 : clock_.MonotonicNanos() + delay;
        model_.Delay(message.message_id, due, kind != SettleKind::kRelease);
      }
    }
  }

  std::mt19937 random_;
  TestFolder folder_;
  FakeClock clock_;
  NullLog log_;
  SpoolOptions options_;
  Model model_;
  std::unique_ptr<Spool> spool_;
  std::vector<OutboxMessage> claimed_;
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
