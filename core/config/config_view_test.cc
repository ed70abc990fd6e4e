#include "core/config/config_view.h"

#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

namespace viaduct {
namespace {

constexpr char kJson[] = R"({"s":"text","i":-5,"u":18446744073709551615,"n":1.5,"w":3.0,"b":true,
  "z":null,"l":[1,{"k":"v"}],"o":{"a/b":1,"m~n":2,"":3},"huge":1e300})";

class ConfigViewTest : public ::testing::Test {
 protected:
  ConfigViewTest() : view_(*ConfigView::FromJson(kJson)) {}
  std::shared_ptr<const ConfigView> view_;
};

TEST_F(ConfigViewTest, KnowsEveryType) {
  EXPECT_EQ(view_->type(""), ConfigType::kObject);
  EXPECT_EQ(view_->type("/s"), ConfigType::kString);
  EXPECT_EQ(view_->type("/i"), ConfigType::kInteger);
  EXPECT_EQ(view_->type("/n"), ConfigType::kNumber);
  EXPECT_EQ(view_->type("/b"), ConfigType::kBoolean);
  EXPECT_EQ(view_->type("/z"), ConfigType::kNull);
  EXPECT_EQ(view_->type("/l"), ConfigType::kList);
  EXPECT_EQ(view_->type("/none"), ConfigType::kMissing);
}

TEST_F(ConfigViewTest, FollowsPointersByTheRfc) {
  EXPECT_EQ(*view_->GetString("/l/1/k"), "v");
  EXPECT_EQ(*view_->GetInteger("/o/a~1b"), 1);
  EXPECT_EQ(*view_->GetInteger("/o/m~0n"), 2);
  EXPECT_EQ(*view_->GetInteger("/o/"), 3);
  for (const char* bad : {"s", "/l/2", "/l/01", "/l/-", "/l/-1", "/l/ 1", "/l/99999999999", "/l/1/",
                          "/s/x", "/o/a~2b", "/o/a~", "//", "/o/a/b"}) {
    EXPECT_EQ(view_->type(bad), ConfigType::kMissing) << bad;
  }
}

TEST_F(ConfigViewTest, ReadsNumbersAcrossTypesWhereNothingIsLost) {
  EXPECT_EQ(*view_->GetInteger("/i"), -5);
  EXPECT_EQ(*view_->GetInteger("/w"), 3);
  EXPECT_EQ(*view_->GetNumber("/i"), -5.0);
  EXPECT_EQ(view_->GetInteger("/n").status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(view_->GetInteger("/u").status().code(), absl::StatusCode::kOutOfRange);
  EXPECT_EQ(view_->GetInteger("/huge").status().code(), absl::StatusCode::kOutOfRange);
  EXPECT_TRUE(*view_->GetBoolean("/b"));
  EXPECT_EQ(*view_->GetSize("/l"), 2u);
  EXPECT_EQ(*view_->GetSize("/o"), 3u);
}

TEST_F(ConfigViewTest, TellsMissingFromWrong) {
  EXPECT_EQ(view_->GetString("/x").status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(view_->GetString("/i").status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(view_->GetBoolean("/s").status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(view_->GetSize("/s").status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(view_->GetNumber("/b").status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(view_->GetJson("/x").status().code(), absl::StatusCode::kNotFound);
}

TEST_F(ConfigViewTest, TextsLiveAsLongAsTheView) {
  const std::string_view first = *view_->GetJson("/l");
  EXPECT_EQ(first, R"([1,{"k":"v"}])");
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([this] {
      for (const char* pointer : {"", "/l", "/l/1", "/o", "/s", "/huge"}) {
        EXPECT_TRUE(view_->GetJson(pointer).ok());
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(view_->GetJson("/l")->data(), first.data());
  EXPECT_EQ(first, R"([1,{"k":"v"}])");
}

TEST_F(ConfigViewTest, RefusesWhatIsNoJson) {
  EXPECT_FALSE(ConfigView::FromJson("{").ok());
  EXPECT_FALSE(ConfigView::FromJson(std::string(100'000, '[')).ok());
  EXPECT_FALSE(ConfigView::FromJson("{\"a\":\"\xff\"}").ok());
}

}  // namespace
}  // namespace viaduct
