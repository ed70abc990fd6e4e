// Every state that a power loss can leave: the disk as it is after any prefix of what the spool
// wrote, with writes that were not yet synced dropped, kept, or kept in part and torn. On each the
// spool must open and hold every message that had been acknowledged, unchanged.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <map>
#include <random>
#include <set>
#include <sstream>
#include <thread>

#include "core/spool/spool_test_support.h"
#include "core/spool/test_vfs.h"

namespace viaduct {
namespace {

using Kind = VfsEvent::Kind;
using Files = std::map<std::string, std::string>;

std::string ReadAll(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::stringstream content;
  content << in.rdbuf();
  return content.str();
}

void Apply(const VfsEvent& event, size_t bytes, std::string* content) {
  if (event.kind == Kind::kTruncate) {
    content->resize(static_cast<size_t>(event.offset));
    return;
  }
  const auto offset = static_cast<size_t>(event.offset);
  if (content->size() < offset + bytes) content->resize(offset + bytes);
  content->replace(offset, bytes, event.data, 0, bytes);
}

// The disk, with what the kernel still holds back.
class Disk {
 public:
  explicit Disk(Files files) : durable_(std::move(files)) {}

  void Happen(const VfsEvent& event) {
    switch (event.kind) {
      case Kind::kWrite:
      case Kind::kTruncate:
        pending_[event.path].push_back(event);
        break;
      case Kind::kSync:
        for (const VfsEvent& e : pending_[event.path]) {
          Apply(e, e.data.size(), &durable_[event.path]);
        }
        pending_[event.path].clear();
        break;
      case Kind::kDelete:
        // Without a sync of the folder a deleted file may be there again after a power loss; that
        // is the state before this event. Here it stays deleted.
        durable_.erase(event.path);
        pending_.erase(event.path);
        break;
      case Kind::kMark:
        break;
    }
  }

  Files WithoutPending() const { return durable_; }
  Files WithPending() const {
    Files files = durable_;
    for (const auto& [path, events] : pending_) {
      for (const VfsEvent& e : events) Apply(e, e.data.size(), &files[path]);
    }
    return files;
  }
  // Any subset; sectors of 512 bytes are whole, writes are not.
  Files Torn(std::mt19937* random) const {
    Files files = durable_;
    for (const auto& [path, events] : pending_) {
      for (const VfsEvent& e : events) {
        const auto dice = (*random)() % 4;
        if (dice == 0) continue;
        size_t bytes = e.data.size();
        if (dice == 1 && bytes > 512) bytes = (*random)() % (bytes / 512) * 512;
        Apply(e, bytes, &files[path]);
      }
    }
    return files;
  }
  bool anything_pending() const {
    for (const auto& [path, events] : pending_) {
      if (!events.empty()) return true;
    }
    return false;
  }

 private:
  Files durable_;
  std::map<std::string, std::vector<VfsEvent>> pending_;
};

class SpoolCrashStateTest : public testing::Test {
 protected:
  SpoolCrashStateTest() {
    options_.confirm_delay = absl::ZeroDuration();
    options_.reserve_bytes = 0;
    options_.checkpoint_pages = 12;  // Many checkpoints in a short run.
  }

  std::string Path() const { return folder_.File("spool.db"); }

  Files FilesNow() const {
    Files files;
    for (const char* suffix : {"", "-wal"}) {
      const std::string content = ReadAll(Path() + suffix);
      if (!content.empty()) files[Path() + suffix] = content;
    }
    return files;
  }

  // Appends, deliveries, retries, dead letters, a close at the end.
  void RecordRun(TestVfs* vfs, unsigned seed, Files* start) {
    std::mt19937 random(seed);
    options_.path = Path();
    options_.vfs = vfs->name();
    options_.max_rejects = 2;
    {
      absl::StatusOr<std::unique_ptr<Spool>> spool = Spool::Open(options_, &clock_, &log_);
      ASSERT_TRUE(spool.ok()) << spool.status();
    }
    *start = FilesNow();
    absl::StatusOr<std::unique_ptr<Spool>> opened = Spool::Open(options_, &clock_, &log_);
    ASSERT_TRUE(opened.ok()) << opened.status();
    Spool* spool = opened->get();
    *start = FilesNow();
    vfs->StartRecording();
    for (int i = 0; i < 60; ++i) {
      std::vector<Envelope> group;
      for (unsigned n = 1 + random() % 3; n > 0; --n) {
        const std::string id = absl::StrCat("m", ledger_.size());
        const size_t bytes = random() % 10 == 0 ? 6000 : 50 + random() % 400;
        group.push_back(TestEnvelope(id, static_cast<Priority>(random() % 3), bytes));
        ledger_[id] = WriteEnvelope(group.back());
      }
      const std::vector<Envelope> copy = group;
      const std::vector<absl::Status> results = AppendAll(spool, std::move(group));
      for (size_t n = 0; n < copy.size(); ++n) {
        if (results[n].ok()) vfs->Mark("ack " + copy[n].message_id);
      }
      if (random() % 3 != 0) continue;
      const std::vector<OutboxMessage> some = ClaimAll(spool, 1 + random() % 4);
      const auto kind = static_cast<SettleKind>(random() % 3);  // Confirmed, retry or reject.
      for (const OutboxMessage& message : some) {
        if (kind == SettleKind::kConfirmed) vfs->Mark("end " + message.message_id);
      }
      SettleAll(spool, some, kind, 0, "why");
    }
    opened->reset();
  }

  // Opens the spool on `files` and compares with what had been acknowledged.
  void Check(const Files& files, const std::set<std::string>& acked,
             const std::set<std::string>& ended) {
    TestFolder place;
    for (const auto& [path, content] : files) {
      const std::string name = path.substr(path.rfind('/') + 1);
      std::ofstream(place.File(name), std::ios::binary) << content;
    }
    SpoolOptions options = options_;
    options.vfs = "";
    options.path = place.File("spool.db");
    absl::StatusOr<std::unique_ptr<Spool>> spool = Spool::Open(options, &clock_, &log_);
    ASSERT_TRUE(spool.ok()) << spool.status();
    std::set<std::string> found;
    for (const OutboxMessage& message : ClaimAll(spool->get())) {
      ASSERT_EQ(message.envelope_json, ledger_.at(message.message_id));
      ASSERT_TRUE(found.insert(message.message_id).second);
    }
    SpoolFilter rejected;
    rejected.state = SpoolEntryState::kRejected;
    const absl::StatusOr<SpoolPage> page = (*spool)->List(rejected, 1000, "", true);
    ASSERT_TRUE(page.ok());
    for (const SpoolEntry& entry : page->entries) {
      ASSERT_EQ(entry.envelope_json, ledger_.at(entry.message_id));
      ASSERT_TRUE(found.insert(entry.message_id).second);
    }
    for (const std::string& id : acked) {
      ASSERT_TRUE(ended.count(id) == 1 || found.count(id) == 1) << "lost: " << id;
    }
    (*spool)->Close();  // What a claim has found is repaired by then.
    ASSERT_TRUE((*spool)->Damages().empty()) << (*spool)->Damages()[0].reason;
  }

  struct ShmFolder {
    ShmFolder() {
      struct stat info {};
      if (stat("/dev/shm", &info) == 0) setenv("TMPDIR", "/dev/shm", 1);
    }
  } shm_;
  TestFolder folder_;
  FakeClock clock_;
  NullLog log_;
  SpoolOptions options_;
  std::map<std::string, std::string> ledger_;
};

TEST_F(SpoolCrashStateTest, EveryPrefixKeepsWhatWasAcknowledged) {
  const bool longer = std::getenv("VIADUCT_TEST_LONG") != nullptr;
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE(absl::StrCat("seed ", seed));
  TestVfs vfs("recording");
  Files start;
  RecordRun(&vfs, seed, &start);
  if (HasFatalFailure()) return;
  const std::vector<VfsEvent> events = vfs.Events();
  ASSERT_GT(events.size(), 300u);
  std::mt19937 random(seed);
  Disk disk(start);
  std::set<std::string> acked;
  std::set<std::string> ended;
  size_t states = 0;
  for (size_t i = 0; i < events.size(); ++i) {
    SCOPED_TRACE(absl::StrCat("after event ", i, " of ", events.size()));
    const VfsEvent& event = events[i];
    if (event.kind == Kind::kMark) {
      (event.data.substr(0, 4) == "ack " ? acked : ended).insert(event.data.substr(4));
    }
    disk.Happen(event);
    // Around a sync everything changes at once: those states are always tried.
    const bool edge =
        event.kind == Kind::kSync || (i + 1 < events.size() && events[i + 1].kind == Kind::kSync);
    if (!longer && !edge && random() % 8 != 0) continue;
    Check(disk.WithoutPending(), acked, ended);
    if (disk.anything_pending()) {
      Check(disk.WithPending(), acked, ended);
      Check(disk.Torn(&random), acked, ended);
    }
    states += 3;
    if (HasFatalFailure()) return;
  }
  RecordProperty("states", static_cast<int>(states));
}

// More is confirmed at once than one transaction removes: a kill between two of them leaves rows
// that were confirmed. They are delivered once more; none of them is taken for missing.
TEST_F(SpoolCrashStateTest, KilledBetweenTransactionsOfOneSettlementIsNotDamaged) {
  constexpr int kMessages = 400;
  TestVfs vfs("settling");
  options_.path = Path();
  options_.vfs = vfs.name();
  options_.checkpoint_pages = 4'096;
  absl::StatusOr<std::unique_ptr<Spool>> spool = Spool::Open(options_, &clock_, &log_);
  ASSERT_TRUE(spool.ok()) << spool.status();
  std::vector<Envelope> many;
  std::set<std::string> acked;
  for (int i = 0; i < kMessages; ++i) {
    many.push_back(TestEnvelope(absl::StrCat("m", i)));
    ledger_[many.back().message_id] = WriteEnvelope(many.back());
    acked.insert(many.back().message_id);
  }
  AppendAll(spool->get(), std::move(many));
  std::vector<OutboxMessage> claimed = ClaimAll(spool->get());
  ASSERT_EQ(claimed.size(), size_t{kMessages});
  const OutboxMessage last = claimed.back();  // Stays out, or all would be gone in the end.
  claimed.pop_back();
  Disk disk(FilesNow());
  vfs.StartRecording();
  const uint64_t commits = (*spool)->Info().commits;
  SettleAll(spool->get(), claimed, SettleKind::kConfirmed);
  ASSERT_TRUE(WaitFor([&] { return (*spool)->Info().messages == 1; }));
  ASSERT_GE((*spool)->Info().commits, commits + 2);
  const std::vector<VfsEvent> events = vfs.Events();
  std::set<std::string> ended;
  for (const OutboxMessage& message : claimed) ended.insert(message.message_id);
  for (size_t i = 0; i < events.size(); ++i) {
    SCOPED_TRACE(absl::StrCat("after event ", i, " of ", events.size()));
    disk.Happen(events[i]);
    Check(disk.WithPending(), acked, ended);
    if (HasFatalFailure()) return;
  }
}

}  // namespace
}  // namespace viaduct
