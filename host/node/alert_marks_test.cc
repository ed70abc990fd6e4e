#include "host/node/alert_marks.h"

#include <gtest/gtest.h>

#include <fstream>

#include "absl/strings/str_cat.h"
#include "core/base/test_folder.h"

namespace viaduct {
namespace {

Alert LinkDown(const std::string& id, const std::string& subject = "uplink") {
  Alert alert;
  alert.id = id;
  alert.kind = AlertKind::kLinkDown;
  alert.subject = subject;
  return alert;
}

class AlertMarksTest : public ::testing::Test {
 protected:
  AlertMark Mark(const std::string& note) { return {"anna", note, clock_.Now()}; }
  void Restart() { marks_ = std::make_unique<AlertMarks>(folder_.path(), &clock_); }

  TestFolder folder_;
  FakeClock clock_;
  std::unique_ptr<AlertMarks> marks_ = std::make_unique<AlertMarks>(folder_.path(), &clock_);
};

TEST_F(AlertMarksTest, KnowsWhoHasSeenToIt) {
  EXPECT_FALSE(marks_->Find(LinkDown("a")).has_value());
  ASSERT_TRUE(marks_->Put(LinkDown("a"), Mark("cable")).ok());
  const auto mark = marks_->Find(LinkDown("a"));
  ASSERT_TRUE(mark.has_value());
  EXPECT_EQ(mark->by, "anna");
  EXPECT_EQ(mark->note, "cable");
  EXPECT_EQ(mark->at, clock_.Now());
  EXPECT_FALSE(marks_->Find(LinkDown("b")).has_value());
  ASSERT_TRUE(marks_->Put(LinkDown("a"), Mark("switch")).ok());
  EXPECT_EQ(marks_->Find(LinkDown("a"))->note, "switch");
}

TEST_F(AlertMarksTest, IsKeptOverARestartForWhatIsRaisedAnew) {
  ASSERT_TRUE(marks_->Put(LinkDown("a"), Mark("cable")).ok());
  Restart();
  EXPECT_FALSE(marks_->Find(LinkDown("b", "other")).has_value());
  EXPECT_EQ(marks_->Find(LinkDown("c"))->note, "cable");
  EXPECT_EQ(marks_->Find(LinkDown("c"))->note, "cable");
  EXPECT_FALSE(marks_->Find(LinkDown("d")).has_value());  // A later one is another matter.
  Restart();
  EXPECT_EQ(marks_->Find(LinkDown("e"))->note, "cable");
}

TEST_F(AlertMarksTest, IsNotCarriedToOneThatComesLong) {
  ASSERT_TRUE(marks_->Put(LinkDown("a"), Mark("cable")).ok());
  Restart();
  clock_.Advance(AlertMarks::kCarriedOver);
  EXPECT_FALSE(marks_->Find(LinkDown("b")).has_value());
}

TEST_F(AlertMarksTest, EndsWithItsAlert) {
  ASSERT_TRUE(marks_->Put(LinkDown("a"), Mark("cable")).ok());
  EXPECT_TRUE(marks_->NoteCleared(LinkDown("a")));
  EXPECT_FALSE(marks_->NoteCleared(LinkDown("a")));
  EXPECT_FALSE(marks_->NoteCleared(LinkDown("b")));
  ASSERT_TRUE(marks_->Keep().ok());
  EXPECT_EQ(marks_->Find(LinkDown("a"))->note, "cable");  // As long as it is shown.
  Restart();
  EXPECT_FALSE(marks_->Find(LinkDown("c")).has_value());
}

TEST_F(AlertMarksTest, IsBoundedAndSurvivesADamagedFile) {
  for (size_t i = 0; i <= AlertMarks::kMaxMarks; ++i) {
    clock_.Advance(absl::Seconds(1));
    ASSERT_TRUE(marks_->Put(LinkDown(absl::StrCat("a", i)), Mark("x")).ok());
  }
  EXPECT_FALSE(marks_->Find(LinkDown("a0")).has_value());
  EXPECT_TRUE(marks_->Find(LinkDown("a1")).has_value());
  for (const char* text : {"", "{", "[1,{}]", R"([{"alert_id":"a","kind":"none","at_ms":1}])"}) {
    std::ofstream(folder_.path() + "/" + AlertMarks::kFileName) << text;
    Restart();
    EXPECT_FALSE(marks_->Find(LinkDown("a")).has_value()) << text;
  }
}

}  // namespace
}  // namespace viaduct
