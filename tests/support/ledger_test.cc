#include "tests/support/ledger.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

namespace viaduct::support {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

Verdict JudgeText(const std::string& log, const LedgerRules& rules = {}) {
  Ledger ledger;
  std::istringstream in(log);
  const absl::Status status = ledger.Read(in, "log");
  EXPECT_TRUE(status.ok()) << status;
  return ledger.Judge(rules);
}

TEST(Ledger, IsContentWhenEveryObligationIsStoredOnce) {
  const Verdict v = JudgeText(
      "claimed A d1\naccepted A\nclaimed B d2\naccepted B\n"
      "stored sqlite A d1\nstored sqlite B d2\n");
  EXPECT_TRUE(v.ok()) << v.ToText();
  EXPECT_EQ(v.obligations, 2u);
  EXPECT_EQ(v.sources.at("sqlite").stored, 2u);
}

TEST(Ledger, DetectsALostObligation) {
  const Verdict v =
      JudgeText("claimed A d1\naccepted A\nclaimed B d2\naccepted B\nstored sqlite A d1\n");
  EXPECT_FALSE(v.ok());
  EXPECT_THAT(v.mistakes, ElementsAre("sqlite: 1 lost"));
  EXPECT_THAT(v.sources.at("sqlite").named.at("lost"), ElementsAre("B"));
}

TEST(Ledger, DoesNotOweWhatWasNeverAccepted) {
  EXPECT_TRUE(JudgeText("claimed A d1\nclaimed B d2\naccepted B\nstored sqlite B d2\n").ok());
}

TEST(Ledger, AllowsAClaimStoredWithoutAReadOk) {
  const Verdict v = JudgeText("claimed A d1\nstored sqlite A d1\n");
  EXPECT_TRUE(v.ok());
  EXPECT_EQ(v.sources.at("sqlite").unasked, 1u);
}

TEST(Ledger, DetectsADouble) {
  const Verdict v = JudgeText("claimed A d1\naccepted A\nstored sqlite A d1\nstored sqlite A d1\n");
  EXPECT_THAT(v.mistakes, ElementsAre("sqlite: 1 doubled"));
}

TEST(Ledger, DetectsADoubleOfAMessageWithoutOk) {
  EXPECT_FALSE(JudgeText("claimed A d1\nstored sqlite A d1\nstored sqlite A d1\n").ok());
}

TEST(Ledger, DetectsAChange) {
  const Verdict v = JudgeText("claimed A d1\naccepted A\nstored sqlite A d9\n");
  EXPECT_THAT(v.mistakes, ElementsAre("sqlite: 1 changed"));
}

TEST(Ledger, DetectsAChangeHiddenInTheFirstOfTwoRows) {
  const Verdict v = JudgeText("claimed A d1\naccepted A\nstored sqlite A d9\nstored sqlite A d1\n");
  EXPECT_THAT(v.mistakes, ElementsAre("sqlite: 1 doubled", "sqlite: 1 changed"));
}

TEST(Ledger, DetectsAnUnknownId) {
  const Verdict v = JudgeText("claimed A d1\naccepted A\nstored sqlite A d1\nstored sqlite X d\n");
  EXPECT_THAT(v.mistakes, ElementsAre("sqlite: 1 unknown"));
}

TEST(Ledger, HoldsEverySourceToTheSameRules) {
  const Verdict v = JudgeText(
      "claimed A d1\naccepted A\nclaimed B d2\naccepted B\n"
      "stored sqlite A d1\nstored sqlite B d2\nstored rest A -\n");
  EXPECT_THAT(v.mistakes, ElementsAre("rest: 1 lost"));
}

TEST(Ledger, ASourceWithoutDigestsIsNotHeldToThem) {
  EXPECT_TRUE(JudgeText("claimed A d1\naccepted A\nstored rest A -\n").ok());
}

TEST(Ledger, AReclaimOfTheSameMessageIsARetry) {
  EXPECT_TRUE(JudgeText("claimed A d1\nclaimed A d1\naccepted A\nstored sqlite A d1\n").ok());
}

TEST(Ledger, DetectsAGeneratorThatReusesAnId) {
  const Verdict v = JudgeText("claimed A d1\nclaimed A d2\naccepted A\nstored sqlite A d1\n");
  EXPECT_THAT(v.mistakes, ElementsAre("generator: 1 ids claimed with two contents"));
}

TEST(Ledger, AnEmptyStoreIsNeverAProof) {
  EXPECT_FALSE(JudgeText("").ok());
  EXPECT_FALSE(JudgeText("claimed A d1\n").ok());
}

TEST(Ledger, DemandsFreshMessagesAfterTheMark) {
  LedgerRules rules;
  rules.fresh_mark = "faults-over";
  const std::string before = "claimed A d1\naccepted A\nstored sqlite A d1\nmark faults-over\n";
  EXPECT_FALSE(JudgeText(before, rules).ok());
  EXPECT_TRUE(JudgeText(before + "claimed B d2\naccepted B\nstored sqlite B d2\n", rules).ok());
  EXPECT_FALSE(JudgeText("claimed A d1\naccepted A\nstored sqlite A d1\n", rules).ok())
      << "a mark that never came";
}

TEST(Ledger, AllowsOnlyTheLossThatTheNodeCounted) {
  const std::string log =
      "claimed A d\naccepted A\nclaimed B d\naccepted B\nclaimed C d\naccepted C\n"
      "stored sqlite C d\n";
  LedgerRules rules;
  rules.max_lost = 2;
  EXPECT_TRUE(JudgeText(log, rules).ok());
  rules.max_lost = 1;
  EXPECT_FALSE(JudgeText(log, rules).ok());
}

TEST(Ledger, AllowsOnlyTheRowsThatDamageCanHaveChanged) {
  const std::string log =
      "claimed A d\naccepted A\nclaimed B d\naccepted B\n"
      "stored sqlite A other\nstored sqlite ? d\nstored sqlite B d\n";
  LedgerRules rules;
  rules.max_altered = 2;
  EXPECT_TRUE(JudgeText(log, rules).ok());
  rules.max_altered = 1;
  EXPECT_FALSE(JudgeText(log, rules).ok());
}

TEST(Ledger, RowsWithoutANameAreEachUnknown) {
  Ledger ledger;
  std::istringstream in(
      "claimed A d\naccepted A\nstored sqlite A d\nstored sqlite ? d\nstored sqlite ? d\n");
  ASSERT_TRUE(ledger.Read(in, "x.log").ok());
  const Verdict verdict = ledger.Judge(LedgerRules());
  EXPECT_EQ(verdict.sources.at("sqlite").unknown, 2u);
  EXPECT_EQ(verdict.sources.at("sqlite").doubled, 0u);
  EXPECT_FALSE(verdict.ok());
}

TEST(Ledger, RefusesALineItCannotRead) {
  for (const char* text : {"claimed A\n", "stored A d\n", "lost A d\n", "\n", "accepted \n"}) {
    Ledger ledger;
    std::istringstream in(text);
    const absl::Status status = ledger.Read(in, "x.log");
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << text;
    EXPECT_THAT(std::string(status.message()), HasSubstr("x.log:1"));
  }
}

TEST(Ledger, RefusesAnAcceptanceWithoutAClaim) {
  Ledger ledger;
  std::istringstream in("accepted A\n");
  EXPECT_EQ(ledger.Read(in, "x").code(), absl::StatusCode::kInvalidArgument);
}

TEST(Ledger, ReportsAsJson) {
  const std::string json = JudgeText("claimed A d1\naccepted A\nstored sqlite A d1\n").ToJson();
  EXPECT_THAT(json, HasSubstr("\"ok\":true"));
  EXPECT_THAT(json, HasSubstr("\"obligations\":1"));
}

}  // namespace
}  // namespace viaduct::support
