#include "core/config/units.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/config/suggest.h"

namespace viaduct {
namespace {

TEST(UnitsTest, ReadsSizes) {
  EXPECT_EQ(*ParseBytes("0"), 0u);
  EXPECT_EQ(*ParseBytes("1500"), 1500u);
  EXPECT_EQ(*ParseBytes("64KiB"), 65536u);
  EXPECT_EQ(*ParseBytes("4GiB"), 4ull << 30);
  EXPECT_EQ(*ParseBytes("4 GiB"), 4ull << 30);
  EXPECT_EQ(*ParseBytes("1.5GB"), 1'500'000'000u);
  EXPECT_EQ(*ParseBytes("1TiB"), 1ull << 40);
  for (const char* bad : {"", "-1", "+1", "4Gib", "4 G", "GiB", "1..5GB", ".5GB", "5.GB", "1e3",
                          "0x10", "4GiBx", "1.5", "99999999999TiB", "1 2", "\xff"}) {
    EXPECT_FALSE(ParseBytes(bad).ok()) << bad;
  }
}

TEST(UnitsTest, ReadsDurations) {
  EXPECT_EQ(*ParseDuration("0"), absl::ZeroDuration());
  EXPECT_EQ(*ParseDuration("200ms"), absl::Milliseconds(200));
  EXPECT_EQ(*ParseDuration("30s"), absl::Seconds(30));
  EXPECT_EQ(*ParseDuration("1h30m"), absl::Minutes(90));
  EXPECT_EQ(*ParseDuration("1.5s"), absl::Milliseconds(1500));
  EXPECT_EQ(*ParseDuration("30d"), absl::Hours(720));
  EXPECT_EQ(*ParseDuration("5us"), absl::Microseconds(5));
  for (const char* bad :
       {"", "30", "-1s", "s", "30 sec", "1h 30", "1y", "30S", "1000000d", "s30", "1s-", "1.2.3s"}) {
    EXPECT_FALSE(ParseDuration(bad).ok()) << bad;
  }
  EXPECT_THAT(std::string(ParseDuration("30").status().message()),
              ::testing::HasSubstr("unit is missing"));
}

TEST(SuggestTest, FindsTheWordThatWasMeant) {
  const std::vector<std::string> known = {"max_bytes", "max_messages", "when_full", "path"};
  EXPECT_EQ(Suggest("max_byte", known), "max_bytes");
  EXPECT_EQ(Suggest("Max-Bytes", known), "max_bytes");
  EXPECT_EQ(Suggest("wehn_full", known), "when_full");
  EXPECT_EQ(Suggest("paht", known), "path");
  EXPECT_EQ(Suggest("colour", known), "");
  EXPECT_EQ(Suggest("", known), "");
  EXPECT_EQ(Suggest(std::string(100'000, 'x'), known), "");
}

}  // namespace
}  // namespace viaduct
