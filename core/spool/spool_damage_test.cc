// Every kind of damage to a small spool: it must open in time, hand out only what was put in, lose
// only what was hit, say how much, and go on working.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <atomic>
#include <chrono>
#include <fstream>
#include <map>
#include <set>
#include <sstream>
#include <thread>

#include "core/spool/spool_files.h"
#include "core/spool/spool_schema.h"
#include "core/spool/spool_test_support.h"

namespace viaduct {
namespace {

constexpr size_t kPage = 4096;

std::string ReadAll(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::stringstream content;
  content << in.rdbuf();
  return content.str();
}

void WriteAll(const std::string& path, const std::string& content) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << content;
}

bool Long() { return std::getenv("VIADUCT_TEST_LONG") != nullptr; }

// What was put in, by message id.
using Ledger = std::map<std::string, std::string>;

struct Image {
  std::string database;
  std::string log;
  Ledger ledger;
};

struct Outcome {
  size_t delivered = 0;
  size_t rejected = 0;
  size_t damaged_rejected = 0;  // Shown as damaged.
  size_t missing = 0;
  SpoolInfo info;
  std::vector<DamageReport> damages;
};

// Counts the words of warning, and keeps nothing of them.
class CountingLog final : public Log {
 public:
  bool Enabled(LogLevel level, std::string_view) const override {
    return level >= LogLevel::kWarning;
  }
  void Write(LogLevel, std::string_view, std::string_view, absl::Span<const LogField>) override {
    ++warnings_;
  }
  int warnings() const { return warnings_; }

 private:
  std::atomic<int> warnings_{0};
};

class SpoolDamageTest : public testing::Test {
 protected:
  SpoolDamageTest() {
    options_.path = folder_.File("spool.db");
    options_.confirm_delay = absl::ZeroDuration();
    options_.reserve_bytes = 0;
  }

  std::unique_ptr<Spool> Open() {
    absl::StatusOr<std::unique_ptr<Spool>> spool = Spool::Open(options_, &clock_, &log_);
    EXPECT_TRUE(spool.ok()) << spool.status();
    return spool.ok() ? *std::move(spool) : nullptr;
  }

  // Small rows, one that overflows its page, all priorities, two dead letters, some deleted.
  Image MakeImage(bool clean, int messages) {
    Clear();
    Image image;
    std::unique_ptr<Spool> spool = Open();
    const auto put = [&](const std::string& id, Priority priority, size_t bytes) {
      const Envelope envelope = TestEnvelope(id, priority, bytes);
      image.ledger[id] = WriteEnvelope(envelope);
      EXPECT_TRUE(AppendOne(spool.get(), envelope).ok());
    };
    put("gone1", Priority::kHigh, 50);
    put("gone2", Priority::kHigh, 50);
    put("dead1", Priority::kHigh, 50);
    put("dead2", Priority::kHigh, 50);
    const std::vector<OutboxMessage> first = ClaimAll(spool.get());
    SettleAll(spool.get(), {first[0], first[1]}, SettleKind::kConfirmed);
    for (uint32_t i = 0; i < options_.max_rejects; ++i) {
      std::vector<OutboxMessage> both =
          i == 0 ? std::vector<OutboxMessage>{first[2], first[3]} : ClaimAll(spool.get());
      SettleAll(spool.get(), both, SettleKind::kReject, 0, "refused");
    }
    for (int i = 0; i < messages; ++i) {
      const bool large = i == messages / 2;
      put(absl::StrCat("m", i), static_cast<Priority>(i % 3), large ? 9000 : 120);
    }
    image.ledger.erase("gone1");
    image.ledger.erase("gone2");
    EXPECT_TRUE(WaitFor([&] {
      return spool->Info().rejected == 2 &&
             spool->Info().messages == static_cast<uint64_t>(messages);
    }));
    if (clean) spool.reset();
    image.database = ReadAll(options_.path);
    image.log = ReadAll(options_.path + "-wal");
    EXPECT_EQ(image.log.empty(), clean);
    return image;
  }

  void Clear() {
    for (const char* suffix : {"", "-wal", "-shm", ".new", ".salvage", ".salvaged"}) {
      ::unlink((options_.path + suffix).c_str());
    }
    for (int i = 1; i <= 8; ++i) {
      ::unlink(absl::StrCat(options_.path, ".damaged-", i).c_str());
      ::unlink(absl::StrCat(options_.path, ".damaged-", i, "-wal").c_str());
    }
  }

  // Opens what is there, drains it, and checks everything that must hold after any damage.
  Outcome OpenAndDrain(const Ledger& ledger) {
    Outcome outcome;
    const auto start = std::chrono::steady_clock::now();
    std::unique_ptr<Spool> spool = Open();
    if (spool == nullptr) return outcome;
    EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(10));
    std::set<std::string> seen;
    const auto drain = [&] {
      const std::vector<OutboxMessage> some = ClaimAll(spool.get());
      for (const OutboxMessage& message : some) {
        const auto known = ledger.find(message.message_id);
        const bool stale = message.message_id.substr(0, 4) == "gone";
        EXPECT_TRUE(known != ledger.end() || stale) << message.message_id;
        if (known != ledger.end()) {
          EXPECT_EQ(message.envelope_json, known->second);
        }
        EXPECT_TRUE(seen.insert(message.message_id).second) << "twice: " << message.message_id;
      }
      SettleAll(spool.get(), some, SettleKind::kConfirmed);
      return spool->Info().messages == 0;
    };
    EXPECT_TRUE(WaitFor(drain)) << "left: " << spool->Info().messages;
    SpoolFilter rejected;
    rejected.state = SpoolEntryState::kRejected;
    absl::StatusOr<SpoolPage> page = absl::UnknownError("");
    EXPECT_TRUE(WaitFor([&] {  // Damage found here is repaired; then it can be read.
      page = spool->List(rejected, 100, "", true);
      return page.ok();
    })) << page.status();
    if (page.ok()) {
      for (const SpoolEntry& entry : page->entries) {
        const auto known = ledger.find(entry.message_id);
        if (entry.last_error == "damaged: checksum does not match") ++outcome.damaged_rejected;
        if (known == ledger.end() || entry.envelope_json != known->second) continue;
        outcome.rejected += 1;
        seen.insert(entry.message_id);
      }
    }
    for (const auto& [id, envelope] : ledger) outcome.missing += seen.count(id) == 0 ? 1 : 0;
    EXPECT_TRUE(AppendOne(spool.get(), TestEnvelope("fresh")).ok());
    EXPECT_TRUE(WaitFor([&] {
      const std::vector<OutboxMessage> fresh = ClaimAll(spool.get());
      SettleAll(spool.get(), fresh, SettleKind::kConfirmed);
      return !fresh.empty();
    }));
    outcome.delivered = seen.size();
    outcome.info = spool->Info();
    outcome.damages = spool->Damages();
    return outcome;
  }

  Outcome TryImage(const std::string& database, const std::string& log, const Ledger& ledger) {
    Clear();
    if (!database.empty()) WriteAll(options_.path, database);
    if (!log.empty()) WriteAll(options_.path + "-wal", log);
    return OpenAndDrain(ledger);
  }

  // In memory where there is such a folder: thousands of opens, and no test of the disk itself.
  struct ShmFolder {
    ShmFolder() {
      struct stat info {};
      if (stat("/dev/shm", &info) == 0) setenv("TMPDIR", "/dev/shm", 1);
    }
  } shm_;
  TestFolder folder_;
  FakeClock clock_;
  CountingLog log_;
  SpoolOptions options_;
};

// Rows of one leaf page at most, or all rows with content on one overflow page.
constexpr size_t kMaxRowsHit = 16;

TEST_F(SpoolDamageTest, FlippedByteLosesAtMostOnePageAndSaysSo) {
  const Image image = MakeImage(/*clean=*/true, 30);
  const size_t stride = Long() ? 1 : 97;
  const char* given = std::getenv("VIADUCT_BYTE");  // Where to begin, to repeat a finding.
  for (size_t at = given == nullptr ? 0 : std::strtoul(given, nullptr, 10);
       at < image.database.size(); at += stride) {
    SCOPED_TRACE(absl::StrCat("byte ", at));
    std::string damaged = image.database;
    damaged[at] = static_cast<char>(damaged[at] ^ 0xff);
    const int warnings = log_.warnings();
    const Outcome outcome = TryImage(damaged, "", image.ledger);
    EXPECT_LE(outcome.missing, kMaxRowsHit);
    EXPECT_GE(outcome.info.lost_total + outcome.damaged_rejected, outcome.missing);
    // A dead letter that is hit where it lies is only shown as damaged.
    EXPECT_TRUE(outcome.info.lost_total == 0 || log_.warnings() > warnings) << "without a word";
    if (HasFailure()) return;
  }
}

TEST_F(SpoolDamageTest, CutAtAnyLengthKeepsWhatIsBeforeTheCut) {
  const Image image = MakeImage(/*clean=*/true, 30);
  const size_t stride = Long() ? 16 : 1024 + 13;
  for (size_t size = 0; size < image.database.size(); size += stride) {
    SCOPED_TRACE(absl::StrCat("length ", size));
    Clear();
    WriteAll(options_.path, image.database.substr(0, size));
    const Outcome outcome = OpenAndDrain(image.ledger);
    EXPECT_FALSE(outcome.damages.empty());
    if (HasFailure()) return;
  }
}

TEST_F(SpoolDamageTest, ZeroedPageLosesAtMostThatPage) {
  const Image image = MakeImage(/*clean=*/true, 60);
  for (size_t page = 0; page < image.database.size() / kPage; ++page) {
    SCOPED_TRACE(absl::StrCat("page ", page + 1));
    std::string damaged = image.database;
    damaged.replace(page * kPage, kPage, kPage, '\0');
    const Outcome outcome = TryImage(damaged, "", image.ledger);
    EXPECT_LE(outcome.missing, kMaxRowsHit);
    if (HasFailure()) return;
  }
}

TEST_F(SpoolDamageTest, InteriorPagesGoneLosesNothing) {
  const Image image = MakeImage(/*clean=*/true, 400);
  std::string damaged = image.database;
  size_t interior = 0;
  for (size_t at = kPage; at < damaged.size(); at += kPage) {
    if (damaged[at] != 0x05) continue;
    damaged.replace(at, kPage, kPage, '\xee');
    ++interior;
  }
  ASSERT_GT(interior, 0u);
  const Outcome outcome = TryImage(damaged, "", image.ledger);
  EXPECT_EQ(outcome.missing, 0u);
  ASSERT_FALSE(outcome.damages.empty());
  EXPECT_FALSE(outcome.damages[0].set_aside.empty());
  EXPECT_EQ(ReadAll(outcome.damages[0].set_aside), damaged);
}

TEST_F(SpoolDamageTest, DeletedPagesAreNotResurrected) {
  Clear();
  Ledger ledger;
  {
    std::unique_ptr<Spool> spool = Open();
    for (int i = 0; i < 300; ++i) {
      ASSERT_TRUE(AppendOne(spool.get(), TestEnvelope(absl::StrCat("old", i))).ok());
    }
    SettleAll(spool.get(), ClaimAll(spool.get()), SettleKind::kConfirmed);
    ASSERT_TRUE(WaitFor([&] { return spool->Info().messages == 0; }));
    const Envelope envelope = TestEnvelope("new");
    ledger["new"] = WriteEnvelope(envelope);
    ASSERT_TRUE(AppendOne(spool.get(), envelope).ok());
  }
  std::string damaged = ReadAll(options_.path);
  damaged.replace(0, 16, 16, 'x');  // Also the free list is out of reach now.
  const Outcome outcome = TryImage(damaged, "", ledger);
  EXPECT_EQ(outcome.delivered, 1u);
}

TEST_F(SpoolDamageTest, FlippedByteInTheLogLosesAtMostOnePageAndNothingChanges) {
  const Image image = MakeImage(/*clean=*/false, 20);
  const size_t stride = Long() ? 7 : 1511;
  size_t lossless = 0;
  size_t tried = 0;
  for (size_t at = 0; at < image.log.size(); at += stride) {
    SCOPED_TRACE(absl::StrCat("byte ", at));
    std::string damaged = image.log;
    damaged[at] = static_cast<char>(damaged[at] ^ 0xff);
    const Outcome outcome = TryImage(image.database, damaged, image.ledger);
    EXPECT_LE(outcome.missing, kMaxRowsHit);
    lossless += outcome.missing == 0 ? 1 : 0;
    ++tried;
    if (HasFailure()) return;
  }
  EXPECT_GT(lossless * 10, tried * 8);  // Most rows are in the log more than once.
}

TEST_F(SpoolDamageTest, CutLogNeverStopsIt) {
  const Image image = MakeImage(/*clean=*/false, 20);
  const size_t stride = Long() ? 64 : 4096 + 331;
  for (size_t size = 1; size < image.log.size(); size += stride) {
    SCOPED_TRACE(absl::StrCat("length ", size));
    TryImage(image.database, image.log.substr(0, size), image.ledger);
    if (HasFailure()) return;
  }
}

TEST_F(SpoolDamageTest, MissingDatabaseIsRebuiltFromItsLog) {
  const Image image = MakeImage(/*clean=*/false, 20);
  const Outcome outcome = TryImage("", image.log, image.ledger);
  EXPECT_EQ(outcome.missing, 0u);
  EXPECT_FALSE(outcome.damages.empty());
}

TEST_F(SpoolDamageTest, MissingSharedIndexCostsNothing) {
  const Image image = MakeImage(/*clean=*/false, 20);
  const Outcome outcome = TryImage(image.database, image.log, image.ledger);
  EXPECT_EQ(outcome.missing, 0u);
  EXPECT_TRUE(outcome.damages.empty());
}

TEST_F(SpoolDamageTest, GarbageIsSetAside) {
  Clear();
  WriteAll(options_.path, "this is no database at all");
  const Outcome outcome = OpenAndDrain({});
  ASSERT_EQ(outcome.damages.size(), 1u);
  EXPECT_EQ(ReadAll(outcome.damages[0].set_aside), "this is no database at all");
}

TEST_F(SpoolDamageTest, NewerVersionIsRefusedAndLeftAlone) {
  MakeImage(/*clean=*/true, 3);
  {
    absl::StatusOr<spool_internal::SqliteHandle> db =
        spool_internal::OpenSqlite(options_.path, SQLITE_OPEN_READWRITE, "");
    ASSERT_TRUE(db.ok());
    const std::string sql = absl::StrCat("PRAGMA user_version=9;PRAGMA application_id=",
                                         spool_internal::kApplicationIdBase | 9);
    ASSERT_TRUE(spool_internal::Execute(db->get(), sql.c_str()).ok());
  }
  const std::string before = ReadAll(options_.path);
  const absl::Status status = Spool::Open(options_, &clock_, &log_).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(status.message(),
            "spool: made by a newer program, version 9, this program knows up to 1");
  EXPECT_EQ(ReadAll(options_.path), before);
}

TEST_F(SpoolDamageTest, OlderVersionIsMigratedStepByStep) {
  MakeImage(/*clean=*/true, 3);
  absl::StatusOr<spool_internal::SqliteHandle> db =
      spool_internal::OpenSqlite(options_.path, SQLITE_OPEN_READWRITE, "");
  ASSERT_TRUE(db.ok());
  const std::vector<spool_internal::Migration> steps = {
      {1, "ALTER TABLE dead ADD COLUMN note TEXT"}, {2, "UPDATE dead SET note='moved'"}};
  ASSERT_TRUE(spool_internal::CheckAndMigrate(db->get(), 3, steps).ok());
  EXPECT_EQ(*spool_internal::QueryInt(db->get(), "PRAGMA user_version"), 3);
  EXPECT_EQ(*spool_internal::QueryInt(db->get(), "SELECT count(*) FROM dead WHERE note='moved'"),
            2);
  const std::vector<spool_internal::Migration> broken = {{3, "UPDATE dead SET nothing=1"}};
  EXPECT_FALSE(spool_internal::CheckAndMigrate(db->get(), 4, broken).ok());
  EXPECT_EQ(*spool_internal::QueryInt(db->get(), "PRAGMA user_version"), 3);
}

TEST_F(SpoolDamageTest, SetAsideFilesAreBounded) {
  for (int i = 0; i < 11; ++i) {
    WriteAll(options_.path, absl::StrCat("garbage ", i));
    ASSERT_NE(Open(), nullptr);
  }
  EXPECT_EQ(ReadAll(options_.path + ".damaged-8"), "garbage 10");
  EXPECT_EQ(ReadAll(options_.path + ".damaged-1"), "garbage 3");
}

}  // namespace
}  // namespace viaduct
