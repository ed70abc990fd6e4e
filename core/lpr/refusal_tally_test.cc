#include "core/lpr/refusal_tally.h"

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"

namespace viaduct {
namespace {

constexpr int64_t kSecond = 1'000'000'000;

security::AuditRecord Refusal(const std::string& who) {
  security::AuditRecord record;
  record.who = who;
  record.what = "DELETE /api/blacklist/{plate}";
  record.result = "401";
  return record;
}

TEST(RefusalTallyTest, NobodyIsWrittenDownOnceAMinuteAndThenCounted) {
  RefusalTally tally;
  size_t written = 0;
  for (int i = 0; i < 2000; ++i) {
    written += tally.Note(Refusal("nobody"), "web", kSecond + i).size();
  }
  EXPECT_EQ(written, 1u);
  EXPECT_EQ(tally.Note(Refusal("nobody"), "another", kSecond).size(), 1u);
  const auto later = tally.Note(Refusal("nobody"), "web", 62 * kSecond);
  ASSERT_EQ(later.size(), 2u);
  EXPECT_EQ(later[0].result, "401");
  EXPECT_EQ(later[1].who, "nobody at web");
  EXPECT_EQ(later[1].result, "1999 more were refused");
  EXPECT_TRUE(tally.Rest().empty());
}

TEST(RefusalTallyTest, EachPrincipalHasTenAndKeepsTheNumberForTheEnd) {
  RefusalTally tally;
  size_t written = 0;
  for (int i = 0; i < 100; ++i) written += tally.Note(Refusal("user anna"), "", kSecond).size();
  EXPECT_EQ(written, size_t{RefusalTally::kOfPrincipal});
  EXPECT_EQ(tally.Note(Refusal("user bert"), "", kSecond).size(), 1u);
  const auto rest = tally.Rest();
  ASSERT_EQ(rest.size(), 1u);
  EXPECT_EQ(rest[0].who, "user anna");
  EXPECT_EQ(rest[0].result, "90 more were refused");
}

TEST(RefusalTallyTest, ACrowdIsFewRecords) {
  RefusalTally tally;
  for (int i = 0; i < 5000; ++i) {
    for (int n = 0; n < 12; ++n) tally.Note(Refusal(absl::StrCat("user ", i)), "", kSecond);
  }
  EXPECT_LE(tally.Rest().size(), RefusalTally::kMaxCounted + 1);
}

}  // namespace
}  // namespace viaduct
