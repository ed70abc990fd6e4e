#include "core/config/revision_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "absl/strings/str_cat.h"

namespace viaduct {
namespace {

using ::testing::HasSubstr;
using ::testing::SizeIs;

namespace fs = std::filesystem;

class RevisionStoreTest : public ::testing::Test {
 protected:
  RevisionStoreTest() {
    std::string pattern = ::testing::TempDir() + "/revisions-XXXXXX";
    root_ = ::mkdtemp(pattern.data());
    dir_ = root_ + "/config";
  }
  ~RevisionStoreTest() override { fs::remove_all(root_); }

  std::unique_ptr<RevisionStore> Open() {
    auto store = RevisionStore::Open(dir_, &clock_, &log_);
    EXPECT_TRUE(store.ok()) << store.status();
    return *std::move(store);
  }
  static RevisionStore::Proposal Text(std::string yaml, std::string request_id = "") {
    RevisionStore::Proposal proposal;
    proposal.yaml = std::move(yaml);
    proposal.author = "uid 0";
    proposal.request_id = std::move(request_id);
    return proposal;
  }
  static void Overwrite(const fs::path& path, const std::string& text) {
    std::ofstream(path, std::ios::binary | std::ios::trunc) << text;
  }
  // Start, prove good, stop.
  void GoodStart(const std::optional<std::string>& file) {
    auto store = Open();
    ASSERT_TRUE(store->ChooseForStart(file).ok());
    ASSERT_TRUE(store->MarkStarting().ok());
    ASSERT_TRUE(store->MarkGood().ok());
  }
  // Start and die.
  RevisionStore::StartChoice DeadStart(const std::optional<std::string>& file) {
    auto store = Open();
    auto choice = store->ChooseForStart(file);
    EXPECT_TRUE(choice.ok()) << choice.status();
    EXPECT_TRUE(store->MarkStarting().ok());
    return *std::move(choice);
  }

  FakeClock clock_;
  NullLog log_;
  std::string root_;
  std::string dir_;
};

TEST_F(RevisionStoreTest, CountsRevisionsAndKeepsTheirTexts) {
  {
    auto store = Open();
    EXPECT_FALSE(store->head().has_value());
    const auto first = store->Commit(Text("a: 1\n"));
    ASSERT_TRUE(first.ok());
    EXPECT_EQ(first->revision.number, 1u);
    ASSERT_TRUE(store->Commit(Text("a: 2\n")).ok());
  }
  auto store = Open();
  EXPECT_EQ(store->head()->number, 2u);
  EXPECT_EQ(store->head()->based_on, 1u);
  EXPECT_EQ(store->head()->author, "uid 0");
  EXPECT_EQ(store->head()->applied_at, clock_.Now());
  EXPECT_EQ(*store->ReadYaml(1), "a: 1\n");
  EXPECT_EQ(store->Get(1)->state, RevisionState::kSuperseded);
  EXPECT_EQ(store->Get(3).status().code(), absl::StatusCode::kNotFound);
  ASSERT_THAT(store->List(10), SizeIs(2));
  EXPECT_EQ(store->List(1).at(0).number, 2u);
}

TEST_F(RevisionStoreTest, NobodyElseCanReadIt) {
  auto store = Open();
  ASSERT_TRUE(store->Commit(Text("secret: x\n")).ok());
  EXPECT_EQ(fs::status(dir_).permissions(), fs::perms::owner_all);
  for (const auto& entry : fs::directory_iterator(dir_)) {
    EXPECT_EQ(entry.status().permissions(), fs::perms::owner_read | fs::perms::owner_write)
        << entry.path();
  }
}

TEST_F(RevisionStoreTest, OneProcessOnly) {
  auto store = Open();
  EXPECT_EQ(RevisionStore::Open(dir_, &clock_, &log_).status().code(),
            absl::StatusCode::kFailedPrecondition);
  store.reset();
  EXPECT_TRUE(RevisionStore::Open(dir_, &clock_, &log_).ok());
}

TEST_F(RevisionStoreTest, ComparesBeforeItSets) {
  auto store = Open();
  ASSERT_TRUE(store->Commit(Text("a: 1\n")).ok());
  auto proposal = Text("a: 2\n");
  proposal.if_revision = 1;
  ASSERT_TRUE(store->Commit(proposal).ok());
  EXPECT_EQ(store->Commit(proposal).status().code(), absl::StatusCode::kAborted);
  EXPECT_EQ(store->head()->number, 2u);
}

TEST_F(RevisionStoreTest, TheSameRequestIsAppliedOnce) {
  auto store = Open();
  ASSERT_TRUE(store->Commit(Text("a: 1\n", "r1")).ok());
  ASSERT_TRUE(store->Commit(Text("a: 2\n", "r2")).ok());
  const auto again = store->Commit(Text("a: 1\n", "r1"));
  ASSERT_TRUE(again.ok());
  EXPECT_TRUE(again->replayed);
  EXPECT_EQ(again->revision.number, 1u);
  EXPECT_EQ(store->head()->number, 2u);
  EXPECT_EQ(store->Commit(Text("a: 3\n", "r1")).status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_FALSE(store->FindRequest("", "a: 1\n")->has_value());
  EXPECT_TRUE(store->FindRequest("r2", "a: 2\n")->has_value());
}

TEST_F(RevisionStoreTest, HistoryIsBoundedButKeepsWhatIsNeeded) {
  GoodStart("good: 1\n");
  auto store = Open();
  for (size_t i = 0; i < RevisionStore::kMaxRevisions + 20; ++i) {
    ASSERT_TRUE(store->Commit(Text(absl::StrCat("a: ", i, "\n"))).ok());
  }
  EXPECT_THAT(store->List(1000), SizeIs(RevisionStore::kMaxRevisions));
  EXPECT_EQ(store->last_good()->number, 1u);
  EXPECT_EQ(*store->ReadYaml(1), "good: 1\n");
  size_t texts = 0;
  for (const auto& entry : fs::directory_iterator(dir_)) {
    texts += entry.path().extension() == ".yaml" ? 1 : 0;
  }
  EXPECT_EQ(texts, RevisionStore::kMaxRevisions);
}

TEST_F(RevisionStoreTest, RefusesWhatIsTooLarge) {
  auto store = Open();
  EXPECT_EQ(store->Commit(Text(std::string(RevisionStore::kMaxTextBytes + 1, 'x'))).status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_FALSE(store->head().has_value());
  auto long_author = Text("a: 1\n");
  long_author.author = std::string(100'000, 'a');
  ASSERT_TRUE(store->Commit(long_author).ok());
  EXPECT_EQ(store->head()->author.size(), RevisionStore::kMaxTagBytes);
}

TEST_F(RevisionStoreTest, TheFileIsTakenOverOnlyWhenItHasChanged) {
  GoodStart("a: 1\n");
  {
    auto store = Open();
    ASSERT_TRUE(store->Commit(Text("a: 2\n")).ok());  // By the control plane.
  }
  auto choice = DeadStart("a: 1\n");
  EXPECT_FALSE(choice.from_file);
  EXPECT_EQ(choice.yaml, "a: 2\n");
  choice = DeadStart("a: 3\n");
  EXPECT_TRUE(choice.from_file);
  EXPECT_EQ(choice.revision.origin, RevisionOrigin::kFile);
  EXPECT_EQ(choice.yaml, "a: 3\n");
  EXPECT_EQ(DeadStart(std::nullopt).yaml, "a: 3\n");
}

TEST_F(RevisionStoreTest, KnowsTheTextThatCameFromTheFileLast) {
  auto store = Open();
  EXPECT_FALSE(store->IsLastFile("a: 1\n"));
  ASSERT_TRUE(store->ChooseForStart("a: 1\n").ok());
  ASSERT_TRUE(store->Commit(Text("a: 2\n")).ok());
  EXPECT_TRUE(store->IsLastFile("a: 1\n"));
  EXPECT_FALSE(store->IsLastFile("a: 2\n"));
}

TEST_F(RevisionStoreTest, NothingToStartWith) {
  auto store = Open();
  EXPECT_EQ(store->ChooseForStart(std::nullopt).status().code(),
            absl::StatusCode::kFailedPrecondition);
}

TEST_F(RevisionStoreTest, ARevisionThatKillsTheNodeFallsBackToTheLastGoodOne) {
  GoodStart("a: good\n");
  EXPECT_EQ(DeadStart("a: bad\n").yaml, "a: bad\n");
  EXPECT_EQ(DeadStart("a: bad\n").yaml, "a: bad\n");
  const auto choice = DeadStart("a: bad\n");
  EXPECT_TRUE(choice.fell_back);
  EXPECT_EQ(choice.yaml, "a: good\n");
  EXPECT_THAT(choice.reason, HasSubstr("died 2 times"));
  EXPECT_EQ(choice.revision.origin, RevisionOrigin::kRollback);
  {
    auto store = Open();
    EXPECT_EQ(store->Get(2)->state, RevisionState::kFailed);
    EXPECT_THAT(store->Get(2)->reason, HasSubstr("died 2 times"));
    EXPECT_EQ(store->head()->state, RevisionState::kRunning);
  }
  // The bad file is still there and unchanged: it does not come back by itself.
  EXPECT_EQ(DeadStart("a: bad\n").yaml, "a: good\n");
  EXPECT_TRUE(DeadStart("a: repaired\n").from_file);
}

TEST_F(RevisionStoreTest, AStopInGoodOrderDoesNotCount) {
  GoodStart("a: good\n");
  for (int i = 0; i < 5; ++i) {
    auto store = Open();
    const auto choice = store->ChooseForStart("a: next\n");
    ASSERT_TRUE(choice.ok());
    EXPECT_EQ(choice->yaml, "a: next\n");
    ASSERT_TRUE(store->MarkStarting().ok());
    ASSERT_TRUE(store->MarkStoppedInOrder().ok());
  }
}

TEST_F(RevisionStoreTest, KillingANodeAgainAndAgainDoesNotFillTheHistory) {
  GoodStart("a: 1\n");
  for (int i = 0; i < 20; ++i) EXPECT_EQ(DeadStart("a: 1\n").yaml, "a: 1\n");
  EXPECT_THAT(Open()->List(1000), SizeIs(1));
}

TEST_F(RevisionStoreTest, AnUnconfirmedRevisionDoesNotOutliveItsProcess) {
  GoodStart("a: good\n");
  {
    auto store = Open();
    auto proposal = Text("a: risky\n");
    proposal.confirm_within = absl::Minutes(5);
    const auto committed = store->Commit(proposal);
    ASSERT_TRUE(committed.ok());
    EXPECT_EQ(committed->revision.state, RevisionState::kUnconfirmed);
    EXPECT_EQ(committed->revision.confirm_by, clock_.Now() + absl::Minutes(5));
    ASSERT_TRUE(store->MarkGood().ok());  // Too early to say.
    EXPECT_EQ(store->last_good()->number, 1u);
  }
  const auto choice = DeadStart("a: good\n");
  EXPECT_TRUE(choice.fell_back);
  EXPECT_EQ(choice.yaml, "a: good\n");
  EXPECT_EQ(Open()->Get(2)->state, RevisionState::kRolledBack);
}

TEST_F(RevisionStoreTest, AConfirmedRevisionStays) {
  GoodStart("a: good\n");
  {
    auto store = Open();
    auto proposal = Text("a: risky\n");
    proposal.confirm_within = absl::Minutes(5);
    ASSERT_TRUE(store->Commit(proposal).ok());
    EXPECT_EQ(store->Confirm(1).code(), absl::StatusCode::kFailedPrecondition);
    ASSERT_TRUE(store->Confirm(2).ok());
    EXPECT_EQ(store->Confirm(2).code(), absl::StatusCode::kFailedPrecondition);
    ASSERT_TRUE(store->MarkGood().ok());
    EXPECT_TRUE(store->head()->last_good);
  }
  EXPECT_EQ(DeadStart("a: good\n").yaml, "a: risky\n");
}

TEST_F(RevisionStoreTest, FallingBackSaysWhy) {
  auto store = Open();
  ASSERT_TRUE(store->Commit(Text("a: 1\n")).ok());
  ASSERT_TRUE(store->Commit(Text("a: 2\n")).ok());
  const auto back = store->FallBack(1, RevisionState::kRolledBack, "cancelled", "uid 7");
  ASSERT_TRUE(back.ok());
  EXPECT_EQ(back->number, 3u);
  EXPECT_EQ(*store->ReadYaml(3), "a: 1\n");
  EXPECT_EQ(store->Get(2)->state, RevisionState::kRolledBack);
  EXPECT_EQ(store->Get(2)->reason, "cancelled");
  EXPECT_EQ(store->FallBack(99, RevisionState::kFailed, "", "").status().code(),
            absl::StatusCode::kNotFound);
}

TEST_F(RevisionStoreTest, ADamagedIndexIsSetAsideAndTheTextsAreFoundAgain) {
  for (const char* damage : {"", "{", "[]", "{\"format\":1}", "{\"format\":99,\"revisions\":[]}",
                             "{\"format\":1,\"next\":1,\"head\":7,\"revisions\":[]}", "\xff\x00"}) {
    fs::remove_all(dir_);
    GoodStart("a: 1\n");
    Overwrite(dir_ + "/index.json", damage);
    auto store = Open();
    EXPECT_EQ(store->head()->number, 1u) << damage;
    EXPECT_EQ(*store->ReadYaml(1), "a: 1\n");
    EXPECT_TRUE(fs::exists(dir_ + "/index.json.damaged"));
    EXPECT_EQ(store->Commit(Text("a: 2\n"))->revision.number, 2u);
  }
}

TEST_F(RevisionStoreTest, AMissingIndexLosesNoText) {
  {
    auto store = Open();
    ASSERT_TRUE(store->Commit(Text("a: 1\n")).ok());
    ASSERT_TRUE(store->Commit(Text("a: 2\n")).ok());
  }
  fs::remove(dir_ + "/index.json");
  auto store = Open();
  ASSERT_TRUE(store->head().has_value());
  EXPECT_EQ(store->head()->number, 2u);
  EXPECT_EQ(*store->ReadYaml(1), "a: 1\n");
  EXPECT_EQ(*store->ReadYaml(2), "a: 2\n");
}

TEST_F(RevisionStoreTest, TagsThatAreTooLongOrNotUtf8AreRefused) {
  auto store = Open();
  RevisionStore::Proposal proposal = Text("a: 1\n");
  proposal.comment = std::string(RevisionStore::kMaxTagBytes - 1, 'x') + "\u00e9";
  EXPECT_TRUE(absl::IsInvalidArgument(store->Commit(proposal).status()));
  proposal.comment = "\xff";
  EXPECT_TRUE(absl::IsInvalidArgument(store->Commit(proposal).status()));
  proposal.comment = "caf\u00e9";
  EXPECT_TRUE(store->Commit(proposal).ok());
  // What the node itself writes is cut, at a character.
  const std::string reason = std::string(RevisionStore::kMaxTagBytes - 1, 'x') + "\u00e9";
  ASSERT_TRUE(store->FallBack(1, RevisionState::kFailed, reason, "node").ok());
  EXPECT_EQ(store->Get(1)->reason, reason.substr(0, RevisionStore::kMaxTagBytes - 1));
}

TEST_F(RevisionStoreTest, RemembersWhatWasGoodAndWhatWasRolledBack) {
  {
    auto store = Open();
    ASSERT_TRUE(store->Commit(Text("a: 1\n")).ok());
    ASSERT_TRUE(store->MarkGood().ok());
    ASSERT_TRUE(store->Commit(Text("a: 2\n")).ok());
    RevisionStore::Proposal back = Text("a: 1\n", "r-1");
    back.origin = RevisionOrigin::kRollback;
    ASSERT_TRUE(store->Commit(back).ok());
  }
  auto store = Open();
  EXPECT_TRUE(store->Get(1)->good);
  EXPECT_FALSE(store->Get(2)->good);
  EXPECT_EQ(store->Get(2)->state, RevisionState::kRolledBack);
  EXPECT_EQ(store->Get(2)->reason, "rolled back by uid 0");
  ASSERT_TRUE(store->FindRequest("r-1").has_value());
  EXPECT_EQ(store->FindRequest("r-1")->number, 3u);
  EXPECT_FALSE(store->FindRequest("r-2").has_value());
  EXPECT_FALSE(store->FindRequest("").has_value());
}

TEST_F(RevisionStoreTest, ADamagedTextIsNeverStarted) {
  GoodStart("a: good\n");
  {
    auto store = Open();
    ASSERT_TRUE(store->Commit(Text("a: next\n")).ok());
  }
  Overwrite(dir_ + "/0000000002.yaml", "a: evil\n");
  EXPECT_EQ(Open()->ReadYaml(2).status().code(), absl::StatusCode::kDataLoss);
  const auto choice = DeadStart("a: good\n");
  EXPECT_TRUE(choice.fell_back);
  EXPECT_EQ(choice.yaml, "a: good\n");
}

TEST_F(RevisionStoreTest, ADamagedOnlyTextIsTakenFromTheFileAgain) {
  DeadStart("a: 1\n");
  fs::remove(dir_ + "/0000000001.yaml");
  const auto choice = DeadStart("a: 1\n");
  EXPECT_TRUE(choice.from_file);
  EXPECT_EQ(choice.yaml, "a: 1\n");
}

#ifdef VIADUCT_TEST_HOOKS
// SIGKILL at every step of a commit: the old head or the new one, with its text, and a store that
// goes on.
TEST_F(RevisionStoreTest, ACommitIsWholeOrNotThereAfterACrashAtAnyStep) {
  for (const char* point : {"file.written:1", "file.renamed:1", "config.index.before",
                            "file.written:2", "file.renamed:2", "config.index.after"}) {
    fs::remove_all(dir_);
    { ASSERT_TRUE(Open()->Commit(Text("a: old\n")).ok()); }
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      ::setenv("VIADUCT_CRASH_AT", point, 1);
      ::execl(VIADUCT_CRASH_CHILD, VIADUCT_CRASH_CHILD, dir_.c_str(), nullptr);
      ::_exit(9);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) << point << " " << status;
    auto store = Open();
    ASSERT_TRUE(store->head().has_value()) << point;
    const auto text = store->ReadYaml(store->head()->number);
    ASSERT_TRUE(text.ok()) << point << text.status();
    EXPECT_TRUE(*text == "a: old\n" || *text == "a: new\n") << point;
    ASSERT_TRUE(store->Commit(Text("a: more\n")).ok()) << point;
    for (const auto& entry : fs::directory_iterator(dir_)) {
      EXPECT_NE(entry.path().extension(), ".new") << point;
    }
  }
}
#endif

}  // namespace
}  // namespace viaduct
