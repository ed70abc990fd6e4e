#include "core/lpr/gatekeeper.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

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
    methods.push_back(last.method);
    ++calls;
    reply(CallReply());
  }
  void OnListenerGone(std::string_view instance) override { gone = std::string(instance); }

  CallRequest last;
  std::vector<std::string> methods;
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
    logins_ = std::make_unique<security::Logins>(users_.get(), &clock_);
    parts.logins = logins_.get();
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
    parts.logins = logins_.get();
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
  absl::StatusOr<SignedIn> LogIn(const std::string& name, const std::string& password) {
    absl::Notification done;
    absl::StatusOr<SignedIn> out = absl::InternalError("no answer");
    gate_->LogIn({"web", "192.0.2.7:1234", {}}, name, password,
                 [&](absl::StatusOr<SignedIn> login, absl::Duration) {
                   out = std::move(login);
                   done.Notify();
                 });
    EXPECT_TRUE(done.WaitForNotificationWithTimeout(kPatience));
    return out;
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
  std::unique_ptr<security::Logins> logins_;
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

TEST_F(GatekeeperTest, WhoGuessesDoesNotLockOutItsNeighbours) {
  EXPECT_EQ(Ask(Request({{"api_key", key_}})).status, 200);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(Ask(Request({{"api_key", "wrong"}})).status, 401);
  EXPECT_EQ(Ask(Request({{"api_key", "wrong"}})).status, 429);
  for (int i = 0; i < 4; ++i) {  // For as long as it comes, not only once.
    clock_.Advance(Gatekeeper::kTrusted * 3 / 4);
    for (int n = 0; n < 3; ++n) Ask(Request({{"api_key", "wrong"}}));
    EXPECT_EQ(Ask(Request({{"api_key", key_}})).status, 200) << i;
  }
  ASSERT_TRUE(keys_->Revoke(keys_->List().front().key_id).ok());
  EXPECT_EQ(Ask(Request({{"api_key", key_}})).status, 401);
  EXPECT_EQ(Ask(Request({{"api_key", key_}})).status, 429);  // A guess like any other.
}

TEST_F(GatekeeperTest, TheNodesOwnSocketIsNeverLocked) {
  absl::Duration wait;
  Peer own = {"", "unix:uid 0", {{"api_key", "wrong"}}};
  for (int i = 0; i < 10; ++i) {
    EXPECT_TRUE(absl::IsUnauthenticated(gate_->Identify(own, &wait).status())) << i;
  }
  own.credentials = {{"api_key", key_}};
  EXPECT_TRUE(gate_->Identify(own, &wait).ok());
}

TEST_F(GatekeeperTest, AnAddressPaysForNobodyAndForFailures) {
  MakeGate(security::RateLimits{{}, {}, {0.001, 15}, {0.001, 100}});
  for (int i = 0; i < 30; ++i) EXPECT_EQ(Ask(Request({{"api_key", key_}})).status, 200) << i;
  EXPECT_EQ(Ask(Request({})).status, 200);
  EXPECT_EQ(Ask(Request({{"api_key", "wrong"}})).status, 401);
  for (int i = 0; i < 4; ++i) EXPECT_EQ(Ask(Request({})).status, 200) << i;
  EXPECT_EQ(Ask(Request({})).status, 429);
  EXPECT_EQ(Ask(Request({{"api_key", key_}})).status, 200);
}

TEST_F(GatekeeperTest, AnswersInTheWordsOfTheProtocol) {
  const CallReply event = Ask(Request({{"bearer", "x"}}, "socketio", "EVENT"));
  EXPECT_EQ(event.status, 401);
  EXPECT_THAT(event.attributes, ::testing::Contains(::testing::Pair("event", "error")));
  const CallReply plain = Ask(Request({{"bearer", "x"}}, "websocket", "MESSAGE"));
  EXPECT_THAT(plain.body, HasSubstr("\"status\":\"error\""));
}

TEST_F(GatekeeperTest, ASessionOfNobodyIsClosed) {
  const CallReply reply = Ask(Request({}, "socketio", "OPEN"));
  EXPECT_EQ(reply.status, 401);
  EXPECT_THAT(reply.attributes,
              ::testing::Contains(::testing::Pair("close", "credentials: missing")));
  EXPECT_EQ(behind_.calls, 0);
  EXPECT_EQ(Ask(Request({{"api_key", key_}}, "socketio", "OPEN")).attributes.size(), 0u);
  EXPECT_EQ(Ask(Request({}, "socketio", "CLOSE")).status, 200);  // The listener's own word.
}

TEST_F(GatekeeperTest, ASessionIsToldWhenItsCredentialsEnd) {
  security::ApiKeyRecord guest;
  guest.owner = "CAM002";
  guest.expires = clock_.Now() + absl::Seconds(90);
  const std::string key = keys_->Create(guest)->text;
  EXPECT_THAT(Ask(Request({{"api_key", key}}, "socketio", "OPEN")).attributes,
              ::testing::Contains(::testing::Pair("expires-in-ms", "90000")));
}

TEST_F(GatekeeperTest, PasswordsAreCheckedElsewhereAndRememberedUntilTheyChange) {
  const Attributes right = {{"basic", Basic("anna", kPassword)}};
  EXPECT_EQ(Ask(Request(right)).status, 200);
  ASSERT_NE(behind_.last.principal, nullptr);
  EXPECT_EQ(behind_.last.principal->role, security::Role::kOperator);
  EXPECT_EQ(Ask(Request(right)).status, 200);
  security::UserRecord anna = users_->List().front();
  anna.disabled = true;
  ASSERT_TRUE(users_->Change(anna).ok());
  EXPECT_EQ(Ask(Request(right)).status, 401);
  EXPECT_EQ(Ask(Request({{"basic", Basic("anna", "another password")}})).status, 401);
}

TEST_F(GatekeeperTest, CallsOfASessionStayInOrderBehindItsPassword) {
  const Attributes right = {{"basic", Basic("anna", kPassword)}};
  const auto made = [](const std::string& method, Attributes credentials) {
    CallRequest request = Request(std::move(credentials), "socketio", method);
    request.attributes = {{"session", "s1"}};
    return request;
  };
  std::vector<std::string> wanted = {"OPEN"};
  std::atomic<int> answered{0};
  gate_->Handle(made("OPEN", right), [&](const CallReply&) { ++answered; });
  for (int i = 0; i < 20; ++i) {
    gate_->Handle(made("EVENT", right), [&](const CallReply&) { ++answered; });
    wanted.emplace_back("EVENT");
  }
  wanted.emplace_back("CLOSE");
  EXPECT_EQ(Ask(made("CLOSE", {})).status, 200);
  EXPECT_EQ(answered, 21);
  EXPECT_EQ(behind_.methods, wanted);
}

TEST_F(GatekeeperTest, TheEndOfASessionWaitsForItsBeginning) {
  CallRequest open = Request({{"basic", Basic("anna", kPassword)}}, "socketio", "OPEN");
  open.attributes = {{"session", "s1"}};
  gate_->Handle(std::move(open), [](const CallReply&) {});
  CallRequest close = Request({}, "socketio", "CLOSE");
  close.attributes = {{"session", "s1"}};
  EXPECT_EQ(Ask(std::move(close)).status, 200);
  EXPECT_EQ(behind_.methods, (std::vector<std::string>{"OPEN", "CLOSE"}));
}

TEST_F(GatekeeperTest, NothingIsPassedOnAfterTheStop) {
  EXPECT_EQ(gate_->Stop(kPatience), 0);
  EXPECT_EQ(Ask(Request({})).status, 503);
  EXPECT_EQ(Ask(Request({{"basic", Basic("anna", kPassword)}})).status, 503);
  EXPECT_EQ(Ask(Request({{"api_key", key_}}, "websocket", "OPEN")).status, 503);
  EXPECT_EQ(behind_.calls, 0);
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

TEST_F(GatekeeperTest, BelievesWhatAPluginSaysItself) {
  CallRequest request = Request({}, "hailo_lpr", "POST");
  EXPECT_EQ(Ask(request).status, 200);
  EXPECT_EQ(behind_.last.principal, nullptr);
  request.of_plugin = true;
  EXPECT_EQ(Ask(request).status, 200);
  ASSERT_NE(behind_.last.principal, nullptr);
  EXPECT_EQ(behind_.last.principal->role, security::Role::kAdmin);
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

TEST_F(GatekeeperTest, ALoginIsACredentialUntilItEnds) {
  const auto login = LogIn("anna", kPassword);
  ASSERT_TRUE(login.ok()) << login.status();
  EXPECT_EQ(login->token.size(), 64u);
  const Attributes cookie = {{"session", login->token}};
  EXPECT_EQ(Ask(Request(cookie)).status, 200);
  ASSERT_NE(behind_.last.principal, nullptr);
  EXPECT_EQ(behind_.last.principal->id, "anna");
  EXPECT_THAT(behind_.last.peer.credentials, testing::IsEmpty());
  gate_->LogOut({"web", "192.0.2.7:1234", {}}, *behind_.last.principal);
  // Nobody, not somebody with wrong credentials: whoever has an old cookie may sign in again.
  EXPECT_EQ(Ask(Request(cookie)).status, 200);
  EXPECT_EQ(behind_.last.principal, nullptr);
  EXPECT_EQ(Ask(Request(cookie, "socketio", "OPEN")).status, 401);
  const std::string audit = AuditText();
  EXPECT_THAT(audit, HasSubstr("user anna (login "));
  EXPECT_THAT(audit, HasSubstr("logout"));
  EXPECT_THAT(audit, Not(HasSubstr(login->token)));
}

TEST_F(GatekeeperTest, AKeyOrTokenCountsBeforeACookie) {
  const std::string token = LogIn("anna", kPassword)->token;
  EXPECT_EQ(Ask(Request({{"session", token}, {"api_key", key_}})).status, 200);
  EXPECT_EQ(behind_.last.principal->id, "CAM001");
  EXPECT_EQ(Ask(Request({{"session", token}, {"api_key", "wrong"}})).status, 401);
}

TEST_F(GatekeeperTest, WithACookieOnlyAnOwnPageChangesSomething) {
  const Attributes cookie = {{"session", LogIn("anna", kPassword)->token}};
  const auto ask = [&](const Attributes& fields) {
    CallRequest request = Request(cookie, "http", "POST");
    request.attributes = {{"host", "hub.lan:8000"}};
    request.attributes.insert(request.attributes.end(), fields.begin(), fields.end());
    return Ask(std::move(request)).status;
  };
  EXPECT_EQ(ask({}), 403);
  EXPECT_EQ(ask({{"origin", "null"}}), 403);
  EXPECT_EQ(ask({{"origin", "http://evil.example"}}), 403);
  EXPECT_EQ(ask({{"origin", "http://hub.lan:8001"}}), 403);
  EXPECT_EQ(ask({{"origin", "http://hub.lan:8000"}, {"sec-fetch-site", "cross-site"}}), 403);
  EXPECT_EQ(ask({{"origin", "http://HUB.lan:8000"}}), 200);
  EXPECT_EQ(ask({{"sec-fetch-site", "same-origin"}}), 200);
  CallRequest own_key = Request({{"api_key", key_}}, "http", "POST");
  own_key.attributes = {{"origin", "http://evil.example"}};
  EXPECT_EQ(Ask(std::move(own_key)).status, 200);  // No browser shows a key by itself.
}

TEST_F(GatekeeperTest, LoginsAreLimitedAsAllPasswords) {
  EXPECT_TRUE(absl::IsUnauthenticated(LogIn("nobody", kPassword).status()));
  EXPECT_TRUE(absl::IsUnauthenticated(LogIn("anna", "wrong password").status()));
  EXPECT_TRUE(absl::IsUnauthenticated(LogIn("CAM001", key_).status()));  // A key is no password.
  EXPECT_TRUE(absl::IsUnauthenticated(LogIn("anna", "wrong password").status()));
  EXPECT_TRUE(absl::IsResourceExhausted(LogIn("anna", "wrong password").status()));
}

TEST_F(GatekeeperTest, NoLoginForDevicesAndNoneWhileStopping) {
  security::UserRecord camera;
  camera.name = "CAM002";
  camera.kind = security::PrincipalKind::kDevice;
  camera.role = security::Role::kDevice;
  ASSERT_TRUE(users_->Put(camera, kPassword).ok());
  EXPECT_TRUE(absl::IsPermissionDenied(LogIn("CAM002", kPassword).status()));
  gate_->Stop(absl::Seconds(5));
  EXPECT_TRUE(absl::IsUnavailable(LogIn("anna", kPassword).status()));
}

}  // namespace
}  // namespace viaduct
