#include "core/security/logins.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "absl/strings/str_cat.h"
#include "core/base/test_folder.h"

namespace viaduct::security {
namespace {

constexpr char kPassword[] = "a password of some length";

class LoginsTest : public ::testing::Test {
 protected:
  LoginsTest() : users_(*UserStore::Open(folder_.path(), &clock_, {1024, 1})) {
    Put("anna", Role::kOperator);
    Put("vera", Role::kViewer);
  }
  void Put(const std::string& name, Role role) {
    UserRecord user;
    user.name = name;
    user.role = role;
    ASSERT_TRUE(users_->Put(user, kPassword).ok());
  }
  std::string Begin(const std::string& name) {
    std::string why;
    const uint64_t change = users_->ChangeOf(name);
    auto principal = users_->Check(name, kPassword, &why);
    EXPECT_TRUE(principal.ok()) << why;
    return logins_.Begin(*principal, change)->token;
  }
  bool Lasts(const std::string& token) {
    std::string why;
    return logins_.Check(token, &why).ok();
  }

  TestFolder folder_;
  FakeClock clock_;
  std::unique_ptr<UserStore> users_;
  Logins logins_{users_.get(), &clock_};
};

TEST_F(LoginsTest, KnowsWhoseItIs) {
  const std::string token = Begin("anna");
  EXPECT_EQ(token.size(), 64u);
  std::string why;
  const auto anna = logins_.Check(token, &why);
  ASSERT_TRUE(anna.ok()) << why;
  EXPECT_EQ(anna->id, "anna");
  EXPECT_EQ(anna->role, Role::kOperator);
  EXPECT_EQ(anna->proof, Proof::kLogin);
  EXPECT_EQ(anna->expires, clock_.Now() + Logins::kIdle);
  EXPECT_THAT(anna->Describe(), ::testing::Not(::testing::HasSubstr(token)));
  EXPECT_FALSE(Lasts(token.substr(1)));
  EXPECT_FALSE(Lasts(""));
  EXPECT_NE(Begin("anna"), token);
}

TEST_F(LoginsTest, EndsWhenNobodyUsesIt) {
  const std::string token = Begin("anna");
  clock_.Advance(Logins::kIdle - absl::Seconds(1));
  EXPECT_TRUE(Lasts(token));
  clock_.Advance(Logins::kIdle - absl::Seconds(1));
  EXPECT_TRUE(logins_.Holds(token));  // To ask that is no use of it.
  clock_.Advance(absl::Seconds(1));
  EXPECT_FALSE(logins_.Holds(token));
  EXPECT_FALSE(Lasts(token));
  EXPECT_EQ(logins_.size(), 0u);
}

TEST_F(LoginsTest, EndsWhenItsUserIsChangedOrRemovedAndNoOther) {
  const std::string anna = Begin("anna");
  const std::string vera = Begin("vera");
  ASSERT_TRUE(users_->SetPassword("anna", "another password entirely").ok());
  EXPECT_FALSE(Lasts(anna));
  EXPECT_TRUE(Lasts(vera));
  ASSERT_TRUE(users_->Remove("vera").ok());
  EXPECT_FALSE(Lasts(vera));
  Put("vera", Role::kAdmin);  // Another one of that name.
  EXPECT_FALSE(Lasts(vera));
}

TEST_F(LoginsTest, EndsWhenItsUserIsDisabledOrHasAnotherRole) {
  const std::string token = Begin("anna");
  UserRecord user;
  user.name = "anna";
  user.role = Role::kViewer;
  ASSERT_TRUE(users_->Change(user).ok());
  EXPECT_FALSE(Lasts(token));
}

TEST_F(LoginsTest, ACheckThatCameBeforeTheChangeBeginsNone) {
  std::string why;
  const uint64_t change = users_->ChangeOf("anna");
  const auto principal = users_->Check("anna", kPassword, &why);
  ASSERT_TRUE(users_->Remove("anna").ok());
  EXPECT_FALSE(Lasts(logins_.Begin(*principal, change)->token));
}

TEST_F(LoginsTest, EndsOnce) {
  const std::string one = Begin("anna");
  const std::string two = Begin("anna");
  std::string why;
  logins_.End(logins_.Check(one, &why)->proof_id);
  logins_.End("");
  EXPECT_FALSE(Lasts(one));
  EXPECT_TRUE(Lasts(two));
}

TEST_F(LoginsTest, IsBoundedForAllAndForEach) {
  const std::string vera = Begin("vera");
  std::string why;
  const uint64_t change = users_->ChangeOf("anna");
  const auto anna = users_->Check("anna", kPassword, &why);
  std::string first;
  for (size_t i = 0; i <= Logins::kMaxOfUser; ++i) {
    clock_.Advance(absl::Seconds(1));
    const std::string token = logins_.Begin(*anna, change)->token;
    if (i == 0) first = token;
  }
  EXPECT_FALSE(Lasts(first));
  EXPECT_TRUE(Lasts(vera));
  EXPECT_EQ(logins_.size(), Logins::kMaxOfUser + 1);
}

TEST_F(LoginsTest, TheOneThatIsUsedLeastGoesFirst) {
  std::vector<std::string> tokens;
  for (size_t user = 0; tokens.size() <= Logins::kMaxLogins; ++user) {
    Put(absl::StrCat("user", user), Role::kViewer);
    std::string why;
    const std::string name = absl::StrCat("user", user);
    const auto principal = users_->Check(name, kPassword, &why);
    for (size_t i = 0; i < Logins::kMaxOfUser && tokens.size() <= Logins::kMaxLogins; ++i) {
      clock_.Advance(absl::Milliseconds(1));
      tokens.push_back(logins_.Begin(*principal, users_->ChangeOf(name))->token);
    }
  }
  EXPECT_EQ(logins_.size(), Logins::kMaxLogins);
  EXPECT_FALSE(Lasts(tokens[0]));
  EXPECT_TRUE(Lasts(tokens[1]));
}

}  // namespace
}  // namespace viaduct::security
