// Full, failing and dying disks, and processes that are killed at every named point.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <thread>

#include "core/spool/spool_files.h"
#include "core/spool/spool_test_support.h"
#include "core/spool/test_vfs.h"

namespace viaduct {
namespace {

class SpoolFaultTest : public testing::Test {
 protected:
  SpoolFaultTest() {
    options_.confirm_delay = absl::ZeroDuration();
    options_.path = folder_.File("spool.db");
    options_.reserve_bytes = 0;
  }
  std::unique_ptr<Spool> Open() {
    absl::StatusOr<std::unique_ptr<Spool>> spool = Spool::Open(options_, &clock_, &log_);
    EXPECT_TRUE(spool.ok()) << spool.status();
    return spool.ok() ? *std::move(spool) : nullptr;
  }
  TestFolder folder_;
  SystemClock clock_;
  NullLog log_;
  SpoolOptions options_;
};

TEST_F(SpoolFaultTest, FailingDiskRefusesKeepsAndGoesOn) {
  TestVfs vfs("failing");
  options_.vfs = vfs.name();
  std::unique_ptr<Spool> spool = Open();
  ASSERT_TRUE(AppendOne(spool.get(), TestEnvelope("before")).ok());
  for (const int code : {SQLITE_IOERR_WRITE, SQLITE_READONLY}) {
    vfs.FailWrites(code);
    EXPECT_EQ(AppendOne(spool.get(), TestEnvelope("lost")).code(), absl::StatusCode::kUnavailable);
  }
  vfs.FailWrites(0);
  vfs.FailSyncs(SQLITE_IOERR_FSYNC);
  EXPECT_EQ(AppendOne(spool.get(), TestEnvelope("lost")).code(), absl::StatusCode::kUnavailable);
  vfs.FailSyncs(0);
  vfs.FailWrites(SQLITE_IOERR_WRITE);  // A confirmation is written, but not always synced.
  const std::vector<OutboxMessage> claimed = ClaimAll(spool.get());
  ASSERT_THAT(Ids(claimed), testing::ElementsAre("before"));
  SettleAll(spool.get(), claimed, SettleKind::kConfirmed);
  EXPECT_EQ(AppendOne(spool.get(), TestEnvelope("lost")).code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(spool->Info().messages, 1u);  // Not yet removed, and remembered to be.
  vfs.FailWrites(0);
  ASSERT_TRUE(AppendOne(spool.get(), TestEnvelope("after")).ok());
  EXPECT_THAT(Ids(ClaimAll(spool.get())), testing::ElementsAre("after"));
  ASSERT_TRUE(WaitFor([&] { return spool->Info().messages == 1; }));
  EXPECT_GE(spool->Info().refused, 4u);
  EXPECT_TRUE(spool->Damages().empty());
}

TEST_F(SpoolFaultTest, DamageWhileRunningIsRepairedAndClaimsSurvive) {
  std::unique_ptr<Spool> spool;
  TestVfs vfs("damaging");
  options_.vfs = vfs.name();
  options_.max_ready_messages = 1;
  spool = Open();
  std::vector<Envelope> many;
  for (int i = 0; i < 2'000; ++i) many.push_back(TestEnvelope(absl::StrCat("m", i)));
  AppendAll(spool.get(), std::move(many));
  const std::vector<OutboxMessage> claimed = ClaimAll(spool.get(), 10);
  ASSERT_EQ(claimed.size(), 10u);
  spool->Close();
  spool = Open();  // With cold caches every read comes from the file.
  const std::vector<OutboxMessage> again = ClaimAll(spool.get(), 10);
  vfs.DamageReads(true);
  std::vector<OutboxMessage> meanwhile;
  spool->Claim({5'000, 64u << 20}, &meanwhile);  // Once: each look may cost a repair.
  vfs.DamageReads(false);
  std::set<std::string> seen;
  for (const std::vector<OutboxMessage>& some : {again, meanwhile}) {
    for (const OutboxMessage& message : some) {
      EXPECT_TRUE(seen.insert(message.message_id).second);
    }
    SettleAll(spool.get(), some, SettleKind::kConfirmed);
  }
  // The file itself is good: what could not be read is there again, but for rows that were set
  // aside as damaged one by one.
  ASSERT_TRUE(WaitFor([&] {
    const std::vector<OutboxMessage> some = ClaimAll(spool.get());
    for (const OutboxMessage& message : some) seen.insert(message.message_id);
    SettleAll(spool.get(), some, SettleKind::kConfirmed);
    return spool->Info().messages == 0;
  })) << spool->Info().messages
      << " left, " << spool->Info().in_flight << " in flight, " << spool->Info().delayed
      << " delayed, " << spool->Damages().size() << " damages";
  EXPECT_TRUE(AppendOne(spool.get(), TestEnvelope("fresh")).ok());
  const SpoolInfo info = spool->Info();
  EXPECT_FALSE(info.failed);
  EXPECT_GE(info.confirmed_total + info.rejected + info.lost_total, 2'000u);
  spool.reset();
}

// Does something when a repair begins.
class RepairLog final : public Log {
 public:
  bool Enabled(LogLevel, std::string_view) const override { return true; }
  void Write(LogLevel, std::string_view, std::string_view text,
             absl::Span<const LogField>) override {
    if (text == "file is damaged, salvaging") on_repair();
  }
  std::function<void()> on_repair;
};

TEST_F(SpoolFaultTest, ADamageThatIsMetTwiceIsRepairedOnce) {
  constexpr std::streamoff kPage = 4'096;
  std::unique_ptr<Spool> spool = Open();
  std::vector<Envelope> many;
  for (int i = 0; i < 2'000; ++i) many.push_back(TestEnvelope(absl::StrCat("m", i)));
  AppendAll(spool.get(), std::move(many));
  spool.reset();
  RepairLog log;
  size_t more = 0;
  std::vector<OutboxMessage> claimed;
  log.on_repair = [&] { more += spool->Claim({5'000, 64u << 20}, &claimed); };
  spool = *Spool::Open(options_, &clock_, &log);
  std::fstream file(options_.path, std::ios::in | std::ios::out | std::ios::binary);
  for (std::streamoff page = 40; page < 60; ++page) {
    file.seekp(page * kPage);
    file.put(0x77);  // No kind of page.
  }
  file.close();
  spool->Claim({5'000, 64u << 20}, &claimed);
  ASSERT_TRUE(WaitFor([&] { return !spool->Damages().empty(); }));
  spool->Close();
  EXPECT_EQ(more, 0u) << "it met the damage too";
  EXPECT_EQ(spool->Damages().size(), 1u);
}

// A file that is damaged, on a disk that has no room for another one.
class SpoolRepairFailsTest : public SpoolFaultTest {
 protected:
  static constexpr size_t kMessages = 2'000;

  SpoolRepairFailsTest() : vfs_("unrepaired") {
    options_.vfs = vfs_.name();
    spool_ = Open();
    std::vector<Envelope> many;
    for (size_t i = 0; i < kMessages; ++i) many.push_back(TestEnvelope(absl::StrCat("m", i)));
    AppendAll(spool_.get(), std::move(many));
    spool_.reset();
    spool_ = Open();  // With cold caches every read comes from the file.
  }
  // A claim meets the damage; the repair fails.
  void FailARepair() {
    ClaimAll(spool_.get(), 1);
    vfs_.DamageReads(true);
    vfs_.FailWrites(SQLITE_FULL);
    std::vector<OutboxMessage> none;
    ASSERT_TRUE(WaitFor([&] {
      spool_->Claim({kMessages, 64u << 20}, &none);
      return !spool_->Info().repair_error.empty();
    }));
  }
  void MakeRoom() {
    vfs_.DamageReads(false);
    vfs_.FailWrites(0);
  }

  TestVfs vfs_;
  std::unique_ptr<Spool> spool_;
};

TEST_F(SpoolRepairFailsTest, IsTriedAgainUntilItSucceedsAndTheDispatcherIsTold) {
  ASSERT_NO_FATAL_FAILURE(FailARepair());
  EXPECT_EQ(AppendOne(spool_.get(), TestEnvelope("refused")).code(),
            absl::StatusCode::kUnavailable);
  std::atomic<bool> ready{false};
  spool_->SetReadyHandler([&] { ready = true; });
  MakeRoom();
  // Nobody appends, claims or settles meanwhile.
  EXPECT_TRUE(WaitFor([&] { return ready.load(); }));
  spool_->SetReadyHandler(nullptr);
  EXPECT_EQ(spool_->Info().repair_error, "");
  EXPECT_EQ(spool_->Damages().size(), 1u);
  EXPECT_TRUE(AppendOne(spool_.get(), TestEnvelope("fresh")).ok());
  const SpoolInfo info = spool_->Info();
  EXPECT_FALSE(info.failed);
  EXPECT_GE(info.messages + info.rejected + info.lost_total, kMessages);
  EXPECT_FALSE(ClaimAll(spool_.get()).empty());
}

TEST_F(SpoolRepairFailsTest, LeavesNoHalfFileThatTakesTheRoomOfTheNextTry) {
  ASSERT_NO_FATAL_FAILURE(FailARepair());
  EXPECT_FALSE(std::filesystem::exists(options_.path + ".salvage"));
}

TEST_F(SpoolRepairFailsTest, IsClosedAtOnceAndRepairedAtTheNextStart) {
  const std::vector<OutboxMessage> claimed = ClaimAll(spool_.get(), 10);
  ASSERT_NO_FATAL_FAILURE(FailARepair());
  SettleAll(spool_.get(), claimed, SettleKind::kConfirmed);
  std::future<void> closed = std::async(std::launch::async, [&] { spool_->Close(); });
  EXPECT_EQ(closed.wait_for(std::chrono::seconds(10)), std::future_status::ready);
  MakeRoom();
  closed.wait();
  spool_ = Open();
  EXPECT_GE(spool_->Info().messages + spool_->Info().rejected, kMessages - claimed.size());
}

TEST_F(SpoolFaultTest, ClosesOnAFailingDiskAndGivesTheUnwrittenAgainLater) {
  TestVfs vfs("closing");
  options_.vfs = vfs.name();
  std::unique_ptr<Spool> spool = Open();
  for (int i = 0; i < 300; ++i) {
    ASSERT_TRUE(spool->Append({TestEnvelope(absl::StrCat("m", i))}, nullptr).ok());
  }
  std::vector<OutboxMessage> claimed;
  ASSERT_TRUE(WaitFor([&] {
    spool->Claim({300, 64u << 20}, &claimed);
    return claimed.size() == 300;
  }));
  for (const int code : {SQLITE_IOERR_WRITE, SQLITE_READONLY}) {
    vfs.FailWrites(code);
    SettleAll(spool.get(), claimed, SettleKind::kConfirmed);
    std::future<void> closed = std::async(std::launch::async, [&] { spool->Close(); });
    EXPECT_EQ(closed.wait_for(std::chrono::seconds(10)), std::future_status::ready);
    vfs.FailWrites(0);
    closed.wait();
    spool.reset();
    spool = Open();
    claimed = ClaimAll(spool.get());
    EXPECT_EQ(claimed.size(), 300u);
  }
}

TEST_F(SpoolFaultTest, FreeSpaceGoesBackInStepsWhileMessagesCome) {
  constexpr int kMessages = 3'000;
  constexpr size_t kBytes = 8'000;
  std::unique_ptr<Spool> spool = Open();
  std::vector<Envelope> many;
  for (int i = 0; i < kMessages; ++i) {
    many.push_back(TestEnvelope(absl::StrCat("m", i), Priority::kNormal, kBytes));
  }
  AppendAll(spool.get(), std::move(many));
  SettleAll(spool.get(), ClaimAll(spool.get()), SettleKind::kConfirmed);
  ASSERT_TRUE(WaitFor([&] { return spool->Info().messages == 0; }));
  spool.reset();
  ASSERT_GE(std::filesystem::file_size(options_.path), kMessages * kBytes);
  spool = Open();  // It is looked at once a minute, and at the start.
  size_t came = 0;
  size_t gone = 0;
  EXPECT_TRUE(WaitFor([&] {
    came += AppendOne(spool.get(), TestEnvelope(absl::StrCat("n", came))).ok() ? 1 : 0;
    const std::vector<OutboxMessage> claimed = ClaimAll(spool.get());
    SettleAll(spool.get(), claimed, SettleKind::kConfirmed);
    gone += claimed.size();
    return std::filesystem::file_size(options_.path) < kMessages * kBytes / 2;
  }));
  EXPECT_EQ(gone, came);
  EXPECT_TRUE(spool->Damages().empty());
}

struct FullDisk {
  const char* name;
  int checkpoint_pages;
  size_t message_bytes;
};

class SpoolFullDiskTest : public SpoolFaultTest, public testing::WithParamInterface<FullDisk> {};

// A log that would hold all of the disk, one that is emptied often; small messages and pictures.
INSTANTIATE_TEST_SUITE_P(Logs, SpoolFullDiskTest,
                         testing::Values(FullDisk{"SmallLog", 64, 4'000},
                                         FullDisk{"LargeLog", 4'096, 4'000},
                                         FullDisk{"LargeLogAndMessages", 4'096, 80'000}),
                         [](const auto& info) { return info.param.name; });

// A small file system of its own where that is allowed; else the VFS says that the disk is full.
// The file system is filled by the spool itself, then by others, then emptied again.
TEST_F(SpoolFaultTest, LeavesMinFreeBytesToOthers) {
  const std::string place = folder_.File("shared");
  ASSERT_EQ(mkdir(place.c_str(), 0700), 0);
  options_.path = place + "/spool.db";
  if (mount("viaduct-test", place.c_str(), "tmpfs", 0, "size=16m,mode=700") != 0) {
    options_.min_free_bytes = uint64_t{1} << 60;  // More than any disk has.
    EXPECT_EQ(AppendOne(Open().get(), TestEnvelope("a")).code(),
              absl::StatusCode::kResourceExhausted);
    return;
  }
  constexpr int64_t kMinFree = 8 << 20;
  options_.min_free_bytes = kMinFree;
  std::unique_ptr<Spool> spool = Open();
  const auto append = [&](int i) {
    return AppendOne(spool.get(), TestEnvelope(absl::StrCat(i), Priority::kNormal, 80'000));
  };
  absl::Status last;
  int accepted = 0;
  while (accepted < 1'000 && (last = append(accepted)).ok()) ++accepted;
  EXPECT_EQ(last.code(), absl::StatusCode::kResourceExhausted) << last;
  EXPECT_THAT(std::string(last.message()), testing::HasSubstr("min_free_bytes"));
  EXPECT_GT(accepted, 20);
  EXPECT_GE(spool_internal::FreeBytes(options_.path), kMinFree);
  EXPECT_TRUE(spool->Info().low_space);
  EXPECT_FALSE(spool->Info().disk_full);
  const std::string others = place + "/others";
  std::ofstream(others, std::ios::binary) << std::string(6 << 20, 'x');
  EXPECT_EQ(append(accepted).code(), absl::StatusCode::kResourceExhausted);
  // What waits goes on leaving.
  SettleAll(spool.get(), ClaimAll(spool.get()), SettleKind::kConfirmed);
  EXPECT_TRUE(WaitFor([&] { return spool->Info().messages == 0; }));
  std::filesystem::remove(others);
  EXPECT_TRUE(WaitFor([&] { return append(accepted).ok(); }));
  EXPECT_FALSE(spool->Info().low_space);
  spool.reset();
  EXPECT_EQ(umount(place.c_str()), 0);
}

TEST_P(SpoolFullDiskTest, RefusesKeepsAndGoesOnWithoutRestart) {
  const std::string place = folder_.File("small");
  ASSERT_EQ(mkdir(place.c_str(), 0700), 0);
  const bool mounted = mount("viaduct-test", place.c_str(), "tmpfs", 0, "size=6m,mode=700") == 0;
  TestVfs vfs("full");
  if (!mounted) options_.vfs = vfs.name();
  options_.path = place + "/spool.db";
  options_.reserve_bytes = mounted ? 1 << 20 : 0;
  options_.checkpoint_pages = GetParam().checkpoint_pages;
  std::set<std::string> accepted;
  std::set<std::string> delivered;
  {
    std::unique_ptr<Spool> spool = Open();
    absl::Status last;
    const auto fill = [&](const char* prefix) {
      for (int i = 0; i < 3'000; ++i) {
        if (!mounted && i == 200) vfs.FailWrites(SQLITE_FULL);
        const std::string id = absl::StrCat(prefix, i);
        last =
            AppendOne(spool.get(), TestEnvelope(id, Priority::kNormal, GetParam().message_bytes));
        if (!last.ok()) return;
        accepted.insert(id);
      }
    };
    fill("a");
    EXPECT_EQ(last.code(), absl::StatusCode::kResourceExhausted) << last;
    // Most of the disk was used, so little was refused too early.
    EXPECT_GT(accepted.size() * GetParam().message_bytes, mounted ? 3'000'000u : 0u);
    EXPECT_EQ(spool->Info().messages, accepted.size());
    if (!mounted) vfs.FailWrites(0);
    // Delivering makes room, also on the full disk.
    ASSERT_TRUE(WaitFor([&] {
      const std::vector<OutboxMessage> some = ClaimAll(spool.get(), 50);
      for (const OutboxMessage& message : some) delivered.insert(message.message_id);
      SettleAll(spool.get(), some, SettleKind::kConfirmed);
      return spool->Info().messages == 0;
    })) << spool->Info().messages;
    EXPECT_EQ(delivered, accepted);
    ASSERT_TRUE(WaitFor([&] { return AppendOne(spool.get(), TestEnvelope("again")).ok(); }));
    EXPECT_FALSE(spool->Info().disk_full);
    EXPECT_TRUE(spool->Damages().empty());
  }
  {
    std::unique_ptr<Spool> spool = Open();
    EXPECT_THAT(Ids(ClaimAll(spool.get())), testing::ElementsAre("again"));
  }
  if (mounted) {
    EXPECT_EQ(umount(place.c_str()), 0);
  }
}

#ifdef VIADUCT_TEST_HOOKS

constexpr char kChildFlag[] = "--child";

// The work of the child: everything that passes a crash point. Writes "ack <id>" and "end <id>".
void ChildWork(const std::string& path, int round, int report) {
  const auto say = [report](const std::string& line) {
    const std::string text = line + "\n";
    if (write(report, text.data(), text.size()) < 0) _exit(3);
  };
  SystemClock clock;
  NullLog log;
  SpoolOptions options;
  options.path = path;
  options.confirm_delay = absl::ZeroDuration();
  options.checkpoint_pages = 4;
  options.max_rejects = 1;
  options.reserve_bytes = 0;
  absl::StatusOr<std::unique_ptr<Spool>> spool = Spool::Open(options, &clock, &log);
  if (!spool.ok()) _exit(4);
  for (int i = 0; i < 6; ++i) {
    const std::string id = absl::StrCat("r", round, "-", i);
    if (!AppendOne(spool->get(), TestEnvelope(id)).ok()) _exit(5);
    say("ack " + id);
  }
  const std::vector<OutboxMessage> some = ClaimAll(spool->get(), 2);
  say("end " + some[0].message_id);
  SettleAll(spool->get(), {some[0]}, SettleKind::kConfirmed);
  SettleAll(spool->get(), {some[1]}, SettleKind::kReject, 0, "no");
  if (!WaitFor([&] { return (*spool)->Info().rejected > 0; })) _exit(6);
  (*spool)->Close();
  // Damage, so that the salvage too is passed: the first bytes of the file.
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.write("damage", 6);
  file.close();
  spool = Spool::Open(options, &clock, &log);
  if (!spool.ok()) _exit(7);
  spool->reset();
  _exit(0);
}

// Runs the work in a process of its own that dies at `point`; true when it did.
bool RunChild(const std::string& path, const std::string& point, int round,
              std::set<std::string>* acked, std::set<std::string>* ended) {
  int ends[2];
  EXPECT_EQ(pipe(ends), 0);
  const pid_t child = fork();
  if (child == 0) {
    close(ends[0]);
    setenv("VIADUCT_CRASH_AT", point.c_str(), 1);
    const std::string round_text = absl::StrCat(round);
    const std::string report_text = absl::StrCat(ends[1]);
    execl("/proc/self/exe", "spool_child", kChildFlag, path.c_str(), round_text.c_str(),
          report_text.c_str(), nullptr);
    _exit(2);
  }
  close(ends[1]);
  std::string report;
  char buffer[4096];
  for (ssize_t got; (got = read(ends[0], buffer, sizeof(buffer))) > 0;) {
    report.append(buffer, static_cast<size_t>(got));
  }
  close(ends[0]);
  int status = 0;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  std::istringstream lines(report);
  for (std::string line; std::getline(lines, line);) {
    (line.substr(0, 4) == "ack " ? acked : ended)->insert(line.substr(4));
  }
  if (WIFEXITED(status)) {
    EXPECT_EQ(WEXITSTATUS(status), 0);
  }
  return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
}

TEST_F(SpoolFaultTest, KilledAtEveryNamedPointTwiceInARowKeepsWhatWasAcknowledged) {
  for (const char* point : kSpoolCrashPoints) {
    SCOPED_TRACE(point);
    TestFolder place;
    const std::string path = place.File("spool.db");
    std::set<std::string> acked;
    std::set<std::string> ended;
    const bool killed = RunChild(path, point, 1, &acked, &ended);
    const bool migrates = std::string(point).find("spool.migrate") == 0;
    EXPECT_TRUE(killed || migrates) << "never passed";
    RunChild(path, point, 2, &acked, &ended);
    options_.path = path;
    std::unique_ptr<Spool> spool = Open();
    ASSERT_NE(spool, nullptr);
    std::set<std::string> found;
    for (const OutboxMessage& message : ClaimAll(spool.get())) {
      EXPECT_EQ(message.envelope_json, WriteEnvelope(TestEnvelope(message.message_id)));
      EXPECT_TRUE(found.insert(message.message_id).second);
    }
    SpoolFilter rejected;
    rejected.state = SpoolEntryState::kRejected;
    const absl::StatusOr<SpoolPage> page = spool->List(rejected, 100, "", false);
    ASSERT_TRUE(page.ok()) << page.status();
    for (const SpoolEntry& entry : page->entries) {
      EXPECT_TRUE(found.insert(entry.message_id).second);
    }
    for (const std::string& id : acked) {
      EXPECT_TRUE(ended.count(id) == 1 || found.count(id) == 1) << "lost: " << id;
    }
    if (HasFailure()) return;
  }
}

#endif  // VIADUCT_TEST_HOOKS

}  // namespace
}  // namespace viaduct

// A mount namespace of our own, before there are threads: what a test mounts goes with it.
int main(int argc, char** argv) {
#ifdef VIADUCT_TEST_HOOKS
  if (argc == 5 && std::string(argv[1]) == viaduct::kChildFlag) {
    viaduct::ChildWork(argv[2], std::atoi(argv[3]), std::atoi(argv[4]));
  }
#endif
  if (unshare(CLONE_NEWNS) == 0) {
    // Fails in a chroot, whose root is no mount point; the test unmounts what it mounts in any
    // case.
    static_cast<void>(mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr));
  }
  testing::InitGoogleMock(&argc, argv);
  return RUN_ALL_TESTS();
}
