// Damaged files, and processes that are killed at every named point.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <set>

#include "core/base/disk_files.h"
#include "core/base/testing/crash_child.h"
#include "core/transfer/local_file.h"
#include "core/transfer/transfer_test_support.h"

namespace viaduct {
namespace {

namespace fs = std::filesystem;

class TransferFaultTest : public testing::Test {
 protected:
  TransferFaultTest() { options_.path = folder_.File("transfers.db"); }

  std::unique_ptr<TransferQueue> Open() {
    auto queue = TransferQueue::Open(options_, &clock_, &log_);
    EXPECT_TRUE(queue.ok()) << queue.status();
    return queue.ok() ? *std::move(queue) : nullptr;
  }

  void Fill(int files) {
    const auto queue = Open();
    std::atomic<int> done{0};
    for (int i = 0; i < files; ++i) {
      queue->Add(TestTransfer(i), [&](const absl::StatusOr<TransferQueue::Added>&) { ++done; });
    }
    ASSERT_TRUE(Eventually([&] { return done == files; }));
  }

  // Opens it whatever it is like; what it holds was put in, unchanged. Returns how many.
  size_t OpenAndCheck(const std::string& what) {
    const auto queue = Open();
    if (queue == nullptr) {
      ADD_FAILURE() << what;
      return 0;
    }
    const auto page = queue->List({}, 10'000, "");
    EXPECT_TRUE(page.ok()) << what << ": " << page.status();
    if (!page.ok()) return 0;
    std::set<std::string> seen;
    for (const Transfer& transfer : page->transfers) {
      EXPECT_TRUE(seen.insert(transfer.id).second) << what;
      const int number = std::stoi(transfer.id.substr(24));
      EXPECT_EQ(transfer.sha256, HexSha256(absl::StrCat(number))) << what;
    }
    EXPECT_TRUE(AddOne(queue.get(), TestTransfer(999'999)).ok()) << what;
    return page->transfers.size();
  }

  void Restore(const std::string& content) {
    for (const auto& entry : fs::directory_iterator(folder_.path())) fs::remove(entry.path());
    WriteText(options_.path, content);
  }

  TransferTestFolder folder_;
  SystemClock clock_;
  NullLog log_;
  TransferQueueOptions options_;
};

TEST_F(TransferFaultTest, OpensWithAnyByteFlipped) {
  constexpr int kFiles = 100;
  Fill(kFiles);
  const std::string good = ReadText(options_.path);
  const size_t step = std::getenv("VIADUCT_TEST_LONG") != nullptr ? 7 : 401;
  for (size_t at = 0; at < good.size(); at += at < 200 ? 3 : step) {
    std::string bad = good;
    bad[at] = static_cast<char>(bad[at] ^ 0x55);
    Restore(bad);
    const size_t kept = OpenAndCheck(absl::StrCat("byte ", at));
    EXPECT_GE(kept, kFiles - 20u) << at;
    if (HasFailure()) return;
  }
}

TEST_F(TransferFaultTest, KeepsWhatIsAroundADamagedPage) {
  constexpr int kFiles = 400;
  Fill(kFiles);
  const std::string good = ReadText(options_.path);
  ASSERT_GT(good.size(), 20u * 4096);
  size_t least = kFiles;
  for (size_t page = 5; page < good.size() / 4096; ++page) {
    std::string bad = good;
    std::fill_n(bad.begin() + static_cast<std::ptrdiff_t>(page * 4096), 4096, '\0');
    Restore(bad);
    least = std::min(least, OpenAndCheck(absl::StrCat("page ", page)));
    if (HasFailure()) return;
    EXPECT_TRUE(disk::FileExists(options_.path + ".damaged-1")) << page;
  }
  EXPECT_GE(least, kFiles * 8u / 10);  // A page of rows holds some seven.
}

TEST_F(TransferFaultTest, OpensAtAnyLengthAndWithoutItsFiles) {
  Fill(60);
  const std::string good = ReadText(options_.path);
  for (size_t length = 0; length < good.size(); length += 1'500) {
    Restore(good.substr(0, length));
    OpenAndCheck(absl::StrCat("length ", length));
    if (HasFailure()) return;
  }
  Restore(good);
  WriteText(options_.path + "-wal", "not a log");
  EXPECT_EQ(OpenAndCheck("a strange log"), 60u);
  fs::remove(options_.path);
  WriteText(options_.path + "-wal", std::string(5'000, 'x'));
  EXPECT_EQ(OpenAndCheck("a log alone"), 0u);
}

// SQLite takes of a log what is before the first damage, and says nothing of the rest.
TEST_F(TransferFaultTest, KeepsWhatIsBehindEveryWoundOfTheLog) {
  constexpr int kFiles = 200;
  constexpr size_t kFrame = 24 + 4096;
  std::string database;
  std::string log;
  {
    const auto queue = Open();  // As long as it is open its log stays.
    for (int i = 0; i < kFiles; ++i) ASSERT_TRUE(AddOne(queue.get(), TestTransfer(i)).ok());
    database = ReadText(options_.path);
    log = ReadText(options_.path + "-wal");
  }
  const size_t frames = (log.size() - 32) / kFrame;
  ASSERT_GT(frames, 300u);
  const auto kept = [&](const std::vector<size_t>& wounds) {
    std::string bad = log;
    for (const size_t at : wounds) bad[at] = static_cast<char>(bad[at] ^ 0x55);
    Restore(database);
    WriteText(options_.path + "-wal", bad);
    return OpenAndCheck("a wounded log");
  };
  EXPECT_EQ(kept({}), static_cast<size_t>(kFiles));
  EXPECT_FALSE(disk::FileExists(options_.path + ".damaged-1"));
  for (const size_t in_frame : {0u, 5u, 9u, 17u, 24u + 4000u}) {
    const size_t first = 32 + (frames / 3) * kFrame + in_frame;
    const size_t second = 32 + (frames / 3 * 2) * kFrame + in_frame;
    EXPECT_GE(kept({first}), kFiles - 10u) << in_frame;
    EXPECT_GE(kept({first, second}), kFiles - 20u) << in_frame;
    EXPECT_TRUE(disk::FileExists(options_.path + ".damaged-1"));
    EXPECT_FALSE(disk::FileExists(options_.path + ".mended"));
  }
  EXPECT_GE(kept({1, 32 + 10 * kFrame}), kFiles - 20u);  // The header, too.
  // A torn end is no damage: nobody was told of it.
  Restore(database);
  WriteText(options_.path + "-wal", log.substr(0, log.size() - kFrame / 2));
  EXPECT_GE(OpenAndCheck("a torn log"), kFiles - 1u);
  EXPECT_FALSE(disk::FileExists(options_.path + ".damaged-1"));
}

TEST_F(TransferFaultTest, EndsAnInterruptedSalvage) {
  Fill(50);
  const std::string good = ReadText(options_.path);
  Restore(std::string(good.size(), 'x'));
  WriteText(options_.path + ".salvaged", good);  // Complete, but not in its place.
  WriteText(options_.path + "-wal", "the log of the damaged one");
  EXPECT_EQ(OpenAndCheck("interrupted"), 50u);
}

TEST_F(TransferFaultTest, RepairsDamageThatItMeetsWhileRunning) {
  Fill(300);
  const auto queue = Open();
  {
    const auto db = sqlite::OpenSqlite(options_.path, SQLITE_OPEN_READWRITE, "");
    ASSERT_TRUE(sqlite::Execute(db->get(), "UPDATE transfer SET crc=0 WHERE seq=150").ok());
  }
  const auto gone = ChangeOne(queue.get(), TestId(149), SetState(TransferState::kDone));
  EXPECT_TRUE(absl::IsNotFound(gone.status())) << gone.status();
  EXPECT_EQ(queue->Counts().damages, 1u);
  EXPECT_TRUE(ChangeOne(queue.get(), TestId(148), SetState(TransferState::kDone)).ok());
  EXPECT_EQ(queue->Counts().files[static_cast<size_t>(TransferState::kQueued)], 298u);
}

TEST_F(TransferFaultTest, GoesOnOnceARepairThatFailedIsPossible) {
  Fill(50);
  const auto queue = Open();
  {
    const auto db = sqlite::OpenSqlite(options_.path, SQLITE_OPEN_READWRITE, "");
    ASSERT_TRUE(sqlite::Execute(db->get(), "UPDATE transfer SET crc=0 WHERE seq=20").ok());
  }
  fs::create_directories(options_.path + ".new/in_the_way");
  const auto change = [&] {
    return ChangeOne(queue.get(), TestId(30), SetState(TransferState::kDone)).status();
  };
  EXPECT_TRUE(absl::IsDataLoss(queue->Get(TestId(19)).status()));
  EXPECT_TRUE(absl::IsUnavailable(
      ChangeOne(queue.get(), TestId(19), SetState(TransferState::kDone)).status()));
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(absl::IsUnavailable(change()));
  EXPECT_TRUE(absl::IsUnavailable(queue->Get(TestId(30)).status()));
  fs::remove_all(options_.path + ".new");
  ASSERT_TRUE(Eventually([&] { return queue->Get(TestId(30)).ok(); }));  // By itself.
  ASSERT_TRUE(change().ok());
  EXPECT_EQ(queue->Counts().damages, 1u);
  EXPECT_EQ(queue->Counts().files[static_cast<size_t>(TransferState::kQueued)], 48u);
  EXPECT_EQ(queue->Counts().files[static_cast<size_t>(TransferState::kDone)], 1u);
}

constexpr char kLife[] = "VIADUCT_TRANSFER_LIFE";

// A life of a node's queue in a process of its own; says on `out` what was answered.
void Live(const std::string& folder, int first, int out) {
  const auto say = [out](const std::string& line) {
    if (write(out, line.data(), line.size()) < 0) _exit(3);
  };
  SystemClock clock;
  NullLog log;
  TransferQueueOptions options;
  options.path = folder + "/transfers.db";
  options.max_finished = 2;
  auto queue = TransferQueue::Open(options, &clock, &log);
  auto owned = OwnedFolder::Open(folder + "/files", 0);
  if (!queue.ok() || !owned.ok()) _exit(2);
  for (int i = first; i < first + 6; ++i) {
    auto file = (*owned)->Begin(TestId(i));
    if (!file.ok() || !(*file)->Write(absl::StrCat(i)).ok()) _exit(2);
    const auto digest = (*file)->Finish();
    Transfer transfer = TestTransfer(i, Priority::kNormal, digest->size);
    transfer.owner = FileOwner::kNode;
    transfer.held = true;
    if (!AddOne(queue->get(), transfer).ok()) _exit(2);
    say(absl::StrCat("+", i, "\n"));
    if (i % 2 == 0) continue;
    if (!ChangeOne(queue->get(), TestId(i), SetState(TransferState::kDone)).ok()) _exit(2);
    say(absl::StrCat("-", i, "\n"));
    if (!(*owned)->Remove(TestId(i)).ok()) _exit(2);
  }
  (*queue)->Close();
  _exit(0);
}

// Each life is a new program: one that has passed a crash point reads no other plan any more.
std::string LiveToTheCrash(const std::string& folder, int first, const std::string& plan,
                           int* kills) {
  const CrashedLife life = RunToTheCrash(plan, [&](int out) {
    setenv(kLife, absl::StrCat(first, " ", out, " ", folder).c_str(), 1);
    execl("/proc/self/exe", "life", nullptr);
  });
  if (life.killed) ++*kills;
  return life.said;
}

// What was answered before the kill is there after it, with its file.
class TransferCrashTest : public TransferFaultTest,
                          public testing::WithParamInterface<const char*> {};

INSTANTIATE_TEST_SUITE_P(Points, TransferCrashTest, testing::ValuesIn(kTransferCrashPoints),
                         [](const auto& info) {
                           std::string name = info.param;
                           for (char& c : name) c = c == '.' ? '_' : c;
                           return name;
                         });

TEST_P(TransferCrashTest, LosesNothingThatWasAnswered) {
  const std::string point = GetParam();
  const bool salvage = point.find("salvage") != std::string::npos;
  std::set<int> added;
  std::set<int> done;
  int first = 0;
  int kills = 0;
  for (const int pass : {1, 3}) {
    for (int round = 0; round < 2; ++round, first += 6) {
      if (salvage && disk::FileExists(options_.path)) {
        // A page of the index on ids: no row is in it, and the file is damaged all the same.
        std::string bad = ReadText(options_.path);
        if (bad.size() > 3 * 4096) std::fill_n(bad.begin() + 2 * 4096, 4096, '\0');
        WriteText(options_.path, bad);
      }
      std::istringstream said(LiveToTheCrash(folder_.path(), first,
                                             absl::StrCat(point, ":", salvage ? 1 : pass), &kills));
      for (std::string line; std::getline(said, line);) {
        (line[0] == '+' ? added : done).insert(std::stoi(line.substr(1)));
      }
    }
  }
  EXPECT_GT(kills, 0) << point;
  const auto queue = Open();
  ASSERT_NE(queue, nullptr);
  EXPECT_FALSE(added.empty() && point != "transfer.create.before");
  for (const int number : added) {
    if (done.count(number) != 0) continue;
    const auto found = queue->Get(TestId(number));
    ASSERT_TRUE(found.ok()) << number << ": " << found.status();
    if (found->state != TransferState::kQueued) continue;  // Done, the answer got lost.
    EXPECT_EQ(ReadText(folder_.File("files/" + TestId(number))), absl::StrCat(number));
  }
}

void LiveIfAsked() {
  const char* life = std::getenv(kLife);
  if (life == nullptr) return;
  std::istringstream said(life);
  int first = 0;
  int out = -1;
  std::string folder;
  said >> first >> out >> folder;
  Live(folder, first, out);
}

}  // namespace
}  // namespace viaduct

int main(int argc, char** argv) {
  viaduct::LiveIfAsked();
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
