#include "host/ctl/lpr_report.h"

#include <sstream>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace viaduct::ctl {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

eval::SetResult Result(const std::string& name, const std::string& read) {
  eval::SetResult set;
  set.name = name;
  eval::Answer answer;
  answer.candidates = {{{10, 10, 50, 20}, 1, true, {{read, 0.97, "", "กระบี่"}}}};
  answer.stages = {{"read", 4.0}, {"total", 6.0}};
  const eval::TruePicture picture = {"/p", name + "/p.jpg", {{{10, 10, 50, 20}, "1กข80", "ตาก"}}};
  set.pictures.push_back(eval::Compare(picture, answer, &set.tally));
  return set;
}

int LinesOfTotal(const std::string& text) {
  int count = 0;
  for (size_t at = text.find("\ntotal "); at != std::string::npos;
       at = text.find("\ntotal ", at + 1)) {
    ++count;
  }
  return count;
}

TEST(LprReport, HasALineForEachSetAndATotal) {
  std::vector<eval::SetResult> sets = {Result("one", "1กข80"), Result("two", "1กข8O")};
  sets[1].without = {"two/q.jpg"};
  std::ostringstream out;
  PrintReport(sets, out);
  EXPECT_THAT(out.str(), HasSubstr("\none "));
  EXPECT_THAT(out.str(), HasSubstr("\ntwo "));
  EXPECT_EQ(LinesOfTotal(out.str()), 2);  // Of the sets, and of the stages.
  EXPECT_THAT(out.str(), HasSubstr("Province, of 1 plates"));
  EXPECT_THAT(out.str(), HasSubstr("two: 1 without ground truth, the first is two/q.jpg"));
  std::ostringstream alone;
  PrintReport({sets[0]}, alone);
  EXPECT_EQ(LinesOfTotal(alone.str()), 1);
}

TEST(LprReport, AListTellsEachPlate) {
  std::ostringstream out;
  PrintList(Result("one", "1กข8\x1b"), out);
  EXPECT_THAT(out.str(), HasSubstr("one/p.jpg\t1กข80\t"));
  EXPECT_THAT(out.str(), HasSubstr("wrong\tfound\ttold\tตาก\tกระบี่"));
  EXPECT_THAT(out.str(), Not(HasSubstr("\x1b")));
}

TEST(LprReport, JsonHasPartsOfOne) {
  const auto json = ReportJson({Result("one", "1กข80"), Result("two", "XX")}, /*list=*/true);
  EXPECT_EQ(json["total"]["plates"], 2);
  EXPECT_EQ(json["total"]["exact"], 0.5);
  EXPECT_EQ(json["sets"]["two"]["told_wrong"], 1.0);
  EXPECT_EQ(json["sets"]["one"]["province_right"], 0.0);
  EXPECT_EQ(json["sets"]["one"]["stages"]["total"]["median_ms"], 6.0);
  EXPECT_EQ(json["sets"]["one"]["list"][0]["plates"][0]["read"], "1กข80");
  EXPECT_EQ(ReportJson({}, false)["total"]["exact"], 0.0);
}

TEST(LprReport, JsonIsWrittenWhateverTheFilesSay) {
  std::ostringstream out;
  PrintReportJson({Result("n\xf6rd", "1\xa1")}, /*list=*/true, out);
  const auto json = nlohmann::json::parse(out.str());
  EXPECT_EQ(json["sets"]["n\ufffdrd"]["list"][0]["plates"][0]["read"], "1\ufffd");
}

TEST(LprReport, QuantilesAreValuesThatAreThere) {
  EXPECT_EQ(Quantile({}, 0.5), 0);
  EXPECT_EQ(Quantile({3, 1, 2}, 0.5), 2);
  EXPECT_EQ(Quantile({3, 1, 2}, 1), 3);
  EXPECT_EQ(Quantile({5, 1, 2, 3, 4, 6, 7, 8, 9, 10}, 0.9), 9);
}

}  // namespace
}  // namespace viaduct::ctl
