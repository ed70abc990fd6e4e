#include "core/lpr/gatekeeper.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "core/base/clock.h"
#include "core/base/test_folder.h"

namespace viaduct {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr absl::Duration kPatience = absl::Seconds(30);
constexpr char kPassword[] = "a password of some length";

// Keeps what reached it.
class Behind final : public CallHandler {
 public:
  void Handle(CallRequest request, ReplyFn reply) override {
    last = std::move(request);
    ++calls;
    reply(CallReply());
  }
  void OnListenerGone(std::string_view instance) override { gone = std::string(instance); }

  CallRequest last;
  int calls = 0;
  std::string gone;
};

class GatekeeperTest : public ::testing::Test {
 protected:
  GatekeeperTest() {
    keys_ = *security::ApiKeyStore::Open(folder_.path(), &clock_);
    users_ = *security::UserStore::Open(folder_.path(), &clock_, {1024, 1});
    audit_ = *security::AuditLog::Open(folder_.path(), security::AuditFileOptions(), &clock_);
    security::AuthenticatorParts parts;
    parts.api_keys = keys_.get();
    parts.users = users_.get();
    authenticator_.emplace(*security::Authenticator::Create(std::move(parts)));
    security::ApiKeyRecord camera;
    camera.owner = "CAM001";
    key_ = keys_->Create(camera)->text;
    security::UserRecord anna;
    anna.name = "anna";
    anna.role = security::Role::kOperator;
    EXPECT_TRUE(users_->Put(anna, kPassword).ok());
    MakeGate(security::RateLimits{{}, {}, {}, {0.001, 3}});
  }

  void MakeGate(const security::RateLimits& limits) {
    gate_.reset();
    limiter_ = std::make_unique<security::RateLimiter>(limits, &clock_);
    Gatekeeper::Parts parts;
    parts.clock = &clock_;
    parts.authenticator = &*authenticator_;
    parts.users = users_.get();
    parts.limiter = limiter_.get();
    parts.audit = audit_.get();
    parts.metrics = &metrics_;
    parts.next = &behind_;
    parts.brokers = {{"topics", security::Role::kDevice, {"CAM*"}}};
    gate_ = std::make_unique<Gatekeeper>(std::move(parts));
  }

  static CallRequest Request(Attributes credentials, const std::string& protocol = "http",
                             const std::string& method = "GET") {
    CallRequest request;
    request.protocol = protocol;
    request.method = method;
    request.path = "/api/records";
    request.peer = {"web", "192.0.2.7:1234", std::move(credentials)};
    return request;
  }
  CallReply Ask(CallRequest request) {
    auto done = std::make_shared<absl::Notification>();
    auto out = std::make_shared<CallReply>();
    gate_->Handle(std::move(request), [done, out](CallReply reply) {
      *out = std::move(reply);
      done->Notify();
    });
    EXPECT_TRUE(done->WaitForNotificationWithTimeout(kPatience));
    return *out;
  }
  static std::string Basic(const std::string& name, const std::string& password) {
    return absl::Base64Escape(absl::StrCat(name, ":", password));
  }
  std::string AuditText() {
    audit_.reset();
    std::ifstream file(folder_.path() + "/audit.jsonl");
    return std::string(std::istreambuf_iterator<char>(file), {});
  }

  TestFolder folder_;
  FakeClock clock_;
  Metrics metrics_;
  Behind behind_;
  std::unique_ptr<security::ApiKeyStore> keys_;
  std::unique_ptr<security::UserStore> users_;
  std::unique_ptr<security::AuditLog> audit_;
  std::optional<security::Authenticator> authenticator_;
  std::unique_ptr<security::RateLimiter> limiter_;
  std::unique_ptr<Gatekeeper> gate_;
  std::string key_;
};

TEST_F(GatekeeperTest, SaysWhoItIsAndTakesTheCredentialsAway) {
  EXPECT_EQ(Ask(Request({{"api_key", key_}})).status, 200);
  ASSERT_NE(behind_.last.principal, nullptr);
  EXPECT_EQ(behind_.last.principal->id, "CAM001");
  EXPECT_TRUE(behind_.last.peer.credentials.empty());
}

TEST_F(GatekeeperTest, LetsNobodyThroughAsNobody) {
  EXPECT_EQ(Ask(Request({})).status, 200);
  EXPECT_EQ(behind_.last.principal, nullptr);
}

TEST_F(GatekeeperTest, TurnsWrongCredentialsAwayAndWritesItDown) {
  const CallReply reply = Ask(Request({{"api_key", key_ + "x"}}));
  EXPECT_EQ(reply.status, 401);
  EXPECT_THAT(reply.body, HasSubstr("credentials: not accepted"));
  EXPECT_EQ(behind_.calls, 0);
  gate_.reset();
  const std::string audit = AuditText();
  EXPECT_THAT(audit, HasSubstr("\"what\":\"login\""));
  EXPECT_THAT(audit, HasSubstr("192.0.2.7"));
  EXPECT_THAT(audit, Not(HasSubstr(key_)));
}

TEST_F(GatekeeperTest, LooksAtNoMoreAfterTooManyFailures) {
  for (int i = 0; i < 3; ++i) EXPECT_EQ(Ask(Request({{"api_key", "wrong"}})).status, 401);
  const CallReply reply = Ask(Request({{"api_key", key_}}));  // Right, but who can tell a guess?
  EXPECT_EQ(reply.status, 429);
  EXPECT_EQ(reply.attributes.back().first, "retry-after");
  CallRequest elsewhere = Request({{"api_key", key_}});
  elsewhere.peer.address = "192.0.2.8:1";
  EXPECT_EQ(Ask(std::move(elsewhere)).status, 200);
}

TEST_F(GatekeeperTest, AnswersInTheWordsOfTheProtocol) {
  const CallReply event = Ask(Request({{"bearer", "x"}}, "socketio", "EVENT"));
  EXPECT_EQ(event.status, 401);
  EXPECT_THAT(event.attributes, ::testing::Contains(::testing::Pair("event", "error")));
  const CallReply plain = Ask(Request({{"bearer", "x"}}, "websocket", "MESSAGE"));
  EXPECT_THAT(plain.body, HasSubstr("\"status\":\"error\""));
}

TEST_F(GatekeeperTest, PasswordsAreCheckedElsewhereAndRememberedUntilTheyChange) {
  const Attributes right = {{"basic", Basic("anna", kPassword)}};
  EXPECT_EQ(Ask(Request(right)).status, 200);
  ASSERT_NE(behind_.last.principal, nullptr);
  EXPECT_EQ(behind_.last.principal->role, security::Role::kOperator);
  EXPECT_EQ(Ask(Request(right)).status, 200);
  ASSERT_TRUE(users_->SetDisabled("anna", true).ok());
  EXPECT_EQ(Ask(Request(right)).status, 401);
  EXPECT_EQ(Ask(Request({{"basic", Basic("anna", "another password")}})).status, 401);
}

TEST_F(GatekeeperTest, WhoComesTooOftenWaits) {
  MakeGate(security::RateLimits{{1, 2}, {}, {}, {1, 10}});
  EXPECT_EQ(Ask(Request({{"api_key", key_}})).status, 200);
  EXPECT_EQ(Ask(Request({{"api_key", key_}})).status, 200);
  const CallReply reply = Ask(Request({{"api_key", key_}}));
  EXPECT_EQ(reply.status, 429);
  EXPECT_THAT(reply.body, HasSubstr("device"));
  clock_.Advance(absl::Seconds(1));
  EXPECT_EQ(Ask(Request({{"api_key", key_}})).status, 200);
  EXPECT_THAT(metrics_.ExpositionText(),
              HasSubstr("viaduct_auth_refusals_total{reason=\"rate\"} 1"));
}

TEST_F(GatekeeperTest, BelievesTheBrokersThatItIsToldTo) {
  CallRequest request = Request({}, "mqtt", "PUBLISH");
  request.peer.instance = "topics";
  EXPECT_EQ(Ask(request).status, 200);
  ASSERT_NE(behind_.last.principal, nullptr);
  EXPECT_TRUE(behind_.last.principal->SpeaksFor("CAM007"));
  EXPECT_FALSE(behind_.last.principal->SpeaksFor("EDGE1"));
  request.peer.instance = "another";
  EXPECT_EQ(Ask(request).status, 200);
  EXPECT_EQ(behind_.last.principal, nullptr);
}

TEST_F(GatekeeperTest, AMethodOfHttpIsNotTheBrokers) {
  CallRequest request = Request({}, "http", "PUBLISH");
  request.peer.instance = "topics";
  EXPECT_EQ(Ask(request).status, 200);
  EXPECT_EQ(behind_.last.principal, nullptr);
}

TEST_F(GatekeeperTest, PassesOnThatAListenerHasGone) {
  gate_->OnListenerGone("web");
  EXPECT_EQ(behind_.gone, "web");
}

}  // namespace
}  // namespace viaduct
