#include "core/security/user_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <fstream>
#include <iterator>
#include <thread>
#include <vector>

#include "absl/time/clock.h"
#include "core/base/test_folder.h"

namespace viaduct::security {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr char kPassword[] = "correct horse battery";
// The cost is not what these tests are about.
constexpr PasswordCost kCheap = {64, 1};

class UserStoreTest : public testing::Test {
 protected:
  void Open(PasswordCost cost = kCheap) {
    store_.reset();
    auto store = UserStore::Open(folder_.path(), &clock_, cost);
    ASSERT_TRUE(store.ok()) << store.status();
    store_ = std::move(*store);
  }
  absl::Status Put(const std::string& name, Role role = Role::kOperator,
                   std::string_view password = kPassword) {
    UserRecord user;
    user.name = name;
    user.role = role;
    return store_->Put(user, password);
  }
  absl::StatusOr<Principal> Check(std::string_view name, std::string_view password) {
    return store_->Check(name, password, &why_);
  }

  TestFolder folder_;
  FakeClock clock_;
  std::unique_ptr<UserStore> store_;
  std::string why_;
};

TEST_F(UserStoreTest, APasswordProvesItsUserAlsoAfterARestart) {
  Open();
  ASSERT_TRUE(Put("anna").ok());
  for (int round = 0; round < 2; ++round) {
    const auto principal = Check("anna", kPassword);
    ASSERT_TRUE(principal.ok()) << why_;
    EXPECT_EQ(principal->role, Role::kOperator);
    EXPECT_EQ(principal->kind, PrincipalKind::kUser);
    Open();
  }
  std::ifstream file(folder_.File("users.db"), std::ios::binary);
  const std::string text(std::istreambuf_iterator<char>(file), {});
  EXPECT_THAT(text, Not(HasSubstr(kPassword)));
}

TEST_F(UserStoreTest, UnknownWrongAndDisabledLookAlike) {
  Open();
  ASSERT_TRUE(Put("anna").ok());
  ASSERT_TRUE(Put("bert").ok());
  UserRecord bert = store_->List().at(1);
  bert.disabled = true;
  ASSERT_TRUE(store_->Change(bert).ok());
  const std::string huge(100'000, 'x');
  const struct {
    std::string_view name;
    std::string_view password;
    const char* why;
  } kCases[] = {{"anna", "wrong horse battery", "wrong password"},
                {"anna", "", "wrong password"},
                {"carl", kPassword, "unknown"},
                {"", kPassword, "unknown"},
                {"bert", kPassword, "disabled"},
                {"anna", huge, "too long"},
                {huge, kPassword, "unknown"}};
  for (const auto& one : kCases) {
    const auto principal = Check(one.name, one.password);
    EXPECT_EQ(principal.status().message(), "credentials: not accepted") << one.why;
    EXPECT_THAT(why_, HasSubstr(one.why));
    EXPECT_LT(why_.size(), 256u);
    if (one.password.empty()) continue;
    EXPECT_THAT(why_, Not(HasSubstr(std::string(one.password))));
  }
}

TEST_F(UserStoreTest, AnUnknownUserCostsWhatAKnownOneDoes) {
  const PasswordCost cost{8'192, 2};
  Open(cost);
  ASSERT_TRUE(Put("anna").ok());
  const auto took = [&](const char* name) {
    const absl::Time begin = absl::Now();
    for (int i = 0; i < 5; ++i) EXPECT_FALSE(Check(name, "wrong horse battery").ok());
    return absl::Now() - begin;
  };
  // Without the work it would be thousands of times less; a busy machine only makes it more.
  EXPECT_GT(took("nobody"), took("anna") / 20);
}

TEST_F(UserStoreTest, AnotherCostIsTakenOverAtTheNextLogin) {
  const auto file = [&] {
    std::ifstream in(folder_.File("users.db"), std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(in), {});
  };
  Open();
  ASSERT_TRUE(Put("anna").ok());
  Open({128, 2});
  EXPECT_FALSE(Check("anna", "wrong horse battery").ok());
  ASSERT_TRUE(Check("anna", kPassword).ok()) << why_;
  ASSERT_TRUE(Check("anna", kPassword).ok()) << why_;
  store_.reset();
  EXPECT_THAT(file(), HasSubstr("$m=128,t=2,p=1$"));
  EXPECT_THAT(file(), Not(HasSubstr("$m=64,t=1,p=1$")));
}

TEST_F(UserStoreTest, ManyChecksAtOnceAreBounded) {
  Open(PasswordCost{32'768, 3});
  ASSERT_TRUE(Put("anna").ok());
  std::atomic<int> good{0};
  std::atomic<int> busy{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 16; ++i) {
    threads.emplace_back([&] {
      std::string why;
      const auto principal = store_->Check("anna", kPassword, &why);
      if (principal.ok()) ++good;
      if (absl::IsResourceExhausted(principal.status())) ++busy;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(good + busy, 16);
  EXPECT_GE(good, 1);
  EXPECT_TRUE(Check("anna", kPassword).ok());  // Every place was given back.
}

TEST_F(UserStoreTest, RefusesBadUsersAndPasswords) {
  Open();
  EXPECT_FALSE(Put("").ok());
  EXPECT_FALSE(Put("a:b").ok());
  EXPECT_FALSE(Put("a\nb").ok());
  EXPECT_FALSE(Put("anna", Role::kDevice).ok());  // A user is no device.
  EXPECT_FALSE(Put("anna", Role::kViewer, "short").ok());
  EXPECT_FALSE(Put("annaannaanna", Role::kViewer, "annaannaanna").ok());
  EXPECT_FALSE(Put("anna", Role::kViewer, std::string(300, 'p')).ok());
  EXPECT_FALSE(Put("anna", Role::kViewer, std::string("with a zero\0octet", 17)).ok());
  EXPECT_TRUE(store_->List().empty());
  EXPECT_EQ(store_->Remove("anna").code(), absl::StatusCode::kNotFound);
}

TEST_F(UserStoreTest, AChangeKeepsThePasswordAndANewPasswordTheRest) {
  Open();
  ASSERT_TRUE(Put("anna").ok());
  UserRecord anna = store_->List().at(0);
  const absl::Time created = anna.created;
  anna.role = Role::kAdmin;
  anna.created = absl::InfinitePast();
  clock_.Advance(absl::Hours(1));
  ASSERT_TRUE(store_->Change(anna).ok());
  EXPECT_EQ(Check("anna", kPassword)->role, Role::kAdmin);
  ASSERT_TRUE(store_->SetPassword("anna", "another password").ok());
  Open();
  EXPECT_FALSE(Check("anna", kPassword).ok());
  EXPECT_EQ(Check("anna", "another password")->role, Role::kAdmin);
  EXPECT_EQ(store_->List().at(0).created, created);
  anna.name = "bert";
  EXPECT_EQ(store_->Change(anna).code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(store_->SetPassword("bert", kPassword).code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(store_->SetPassword("anna", "short").code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(UserStoreTest, ANewPasswordEndsTheOldOne) {
  Open();
  ASSERT_TRUE(Put("anna").ok());
  ASSERT_TRUE(Put("anna", Role::kViewer, "another password").ok());
  EXPECT_FALSE(Check("anna", kPassword).ok());
  EXPECT_EQ(Check("anna", "another password")->role, Role::kViewer);
  ASSERT_TRUE(store_->Remove("anna").ok());
  EXPECT_FALSE(Check("anna", "another password").ok());
}

}  // namespace
}  // namespace viaduct::security
