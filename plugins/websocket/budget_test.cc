#include "plugins/websocket/budget.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace viaduct::websocket {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class Named final : public Holder {
 public:
  Named(std::string name, std::vector<std::string>* gone) : name_(std::move(name)), gone_(gone) {}
  void GiveWay() override { gone_->push_back(name_); }

 private:
  const std::string name_;
  std::vector<std::string>* const gone_;
};

TEST(Budget, LetsTheLargestGoUntilTheRestFits) {
  std::vector<std::string> gone;
  Named small("small", &gone), middle("middle", &gone), large("large", &gone);
  Budget budget(100'000);
  budget.Set(&large, 60'000);
  budget.Set(&middle, 40'000);
  budget.Enforce();
  EXPECT_THAT(gone, IsEmpty());
  // It is not the one that comes last that has to go.
  budget.Set(&small, 5'000);
  budget.Enforce();
  EXPECT_THAT(gone, ElementsAre("large"));
  EXPECT_EQ(budget.total(), 45'000u);
  budget.Set(&small, 99'000);
  budget.Enforce();
  EXPECT_THAT(gone, ElementsAre("large", "small"));
  EXPECT_EQ(budget.total(), 40'000u);
}

TEST(Budget, LeavesThoseAloneThatHoldLittle) {
  std::vector<std::string> gone;
  Named one("one", &gone), other("other", &gone);
  Budget budget(5'000);
  budget.Set(&one, 3'000);
  budget.Set(&other, 4'000);
  budget.Enforce();
  EXPECT_THAT(gone, IsEmpty());
  budget.Set(&one, 0);
  budget.Set(&other, 0);
  EXPECT_EQ(budget.total(), 0u);
}

}  // namespace
}  // namespace viaduct::websocket
