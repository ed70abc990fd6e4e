#include "host/services/auth_service.h"

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <csignal>
#include <fstream>
#include <functional>
#include <iterator>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/test_folder.h"
#include "core/security/permissions.h"
#include "host/rpc/status.h"

namespace viaduct {
namespace {

namespace pb = control::v1;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::SizeIs;

constexpr char kPassword[] = "correct horse battery";
using Stub = pb::Auth::Stub;

class TestGate final : public rpc::Gate {
 public:
  std::optional<grpc::Status> Refuse(const grpc::ServerContextBase& /*context*/,
                                     std::string_view method) override {
    asked.emplace(method);
    if (!refuses) return std::nullopt;
    return grpc::Status(grpc::StatusCode::PERMISSION_DENIED, "no");
  }
  std::optional<grpc::Status> RefuseCommand(const grpc::ServerContextBase& /*context*/,
                                            std::string_view /*command*/) override {
    return std::nullopt;
  }
  bool asks() const override { return true; }
  uint64_t changes() const override { return 0; }
  rpc::PrincipalPtr Caller(const grpc::ServerContextBase& /*context*/) override { return caller; }
  rpc::StandingFn Standing(const grpc::ServerContextBase& /*context*/,
                           std::string_view /*method*/) override {
    return nullptr;
  }
  std::string Describe(const grpc::ServerContextBase& /*context*/) override { return "a test"; }

  bool refuses = false;
  rpc::PrincipalPtr caller;
  std::set<std::string> asked;
};

class AuthServiceTest : public ::testing::Test {
 protected:
  AuthServiceTest() {
    api_keys_ = *security::ApiKeyStore::Open(folder_.path(), &clock_);
    users_ = *security::UserStore::Open(folder_.path(), &clock_, {64, 1});
    audit_ = *security::AuditLog::Open(audit_folder_.path(), {}, &clock_);
    deps_.clock = &clock_;
    deps_.executor = &pool_;
    deps_.auth = &auth_pool_;
    deps_.gate = &gate_;
    deps_.log_hub = &log_hub_;
    deps_.hub = &hub_;
    deps_.api_keys = api_keys_.get();
    deps_.users = users_.get();
    deps_.audit = audit_.get();
    grpc::ServerBuilder builder;
    builder.RegisterService(&service_);
    server_ = builder.BuildAndStart();
    stub_ = pb::Auth::NewStub(server_->InProcessChannel(grpc::ChannelArguments()));
  }
  ~AuthServiceTest() override {
    server_->Shutdown();
    pool_.Stop();
    auth_pool_.Stop();
  }

  template <typename Request, typename Response>
  grpc::Status Call(grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Response*),
                    const Request& request, Response* response) {
    grpc::ClientContext context;
    return ((*stub_).*method)(&context, request, response);
  }
  // The same where it must succeed.
  template <typename Request, typename Response>
  Response Do(grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Response*),
              const Request& request) {
    Response response;
    const grpc::Status status = Call(method, request, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response;
  }
  template <typename Request, typename Response>
  grpc::StatusCode Code(grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&,
                                                     Response*),
                        const Request& request) {
    Response response;
    return Call(method, request, &response).error_code();
  }

  static pb::AuthCreateKeyRequest KeyOf(const std::string& device) {
    pb::AuthCreateKeyRequest request;
    request.mutable_principal()->set_kind(pb::PRINCIPAL_KIND_DEVICE);
    request.mutable_principal()->set_role(pb::ROLE_DEVICE);
    request.mutable_principal()->set_id(device);
    return request;
  }
  static pb::AuthSetUserRequest UserOf(const std::string& name, pb::Role role,
                                       const std::string& password) {
    pb::AuthSetUserRequest request;
    pb::Principal* principal = request.mutable_user()->mutable_principal();
    principal->set_kind(pb::PRINCIPAL_KIND_USER);
    principal->set_role(role);
    principal->set_id(name);
    request.set_password(password);
    return request;
  }
  pb::AuthRevokeKeyRequest Revoke(const std::string& key_id, bool forget = false) {
    pb::AuthRevokeKeyRequest request;
    request.set_key_id(key_id);
    request.set_forget(forget);
    return request;
  }
  absl::StatusOr<security::Principal> Check(const std::string& key) {
    std::string why;
    return api_keys_->Check(key, &why);
  }
  // The audit without what is no news: "what result: subject".
  std::vector<std::string> Audited() {
    std::vector<std::string> lines;
    const auto page = Do(&Stub::ListAudit, pb::AuthListAuditRequest());
    for (const auto& entry : page.entries()) {
      lines.push_back(absl::StrCat(entry.what(), " ", entry.result(), ": ", entry.subject()));
    }
    return lines;
  }
  static std::string Text(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(file), {});
  }

  TestFolder folder_;
  TestFolder audit_folder_;
  FakeClock clock_;
  TestGate gate_;
  LogHub log_hub_{LogHubOptions(), &clock_};
  StateHub hub_{&clock_, nullptr, nullptr};
  ThreadPool pool_{{"control", 2}};
  ThreadPool auth_pool_{{"auth", 2}};
  std::unique_ptr<security::ApiKeyStore> api_keys_;
  std::unique_ptr<security::UserStore> users_;
  std::unique_ptr<security::AuditLog> audit_;
  ServiceDeps deps_;
  AuthService service_{&deps_};
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<Stub> stub_;
};

TEST_F(AuthServiceTest, AKeyIsShownOnceAndHoldsUntilItIsRevoked) {
  pb::AuthCreateKeyRequest request = KeyOf("HUB1");
  request.mutable_principal()->add_scopes(pb::SCOPE_INGEST);
  request.mutable_principal()->add_devices("CAM*");
  request.set_note("on the roof");
  request.mutable_valid_for()->set_seconds(3600);
  const auto made = Do(&Stub::CreateKey, request);
  const auto principal = Check(made.key());
  ASSERT_TRUE(principal.ok()) << principal.status();
  EXPECT_EQ(principal->id, "HUB1");
  EXPECT_TRUE(principal->SpeaksFor("CAM7"));
  EXPECT_FALSE(principal->scopes.Has(security::Scope::kRead));
  EXPECT_EQ(principal->expires, clock_.Now() + absl::Hours(1));

  const auto list = Do(&Stub::ListKeys, pb::AuthListKeysRequest());
  ASSERT_THAT(list.keys(), SizeIs(1));
  EXPECT_EQ(list.keys(0).key_id(), made.record().key_id());
  EXPECT_EQ(list.keys(0).note(), "on the roof");
  EXPECT_EQ(list.keys(0).state(), pb::API_KEY_STATE_ACTIVE);
  EXPECT_TRUE(list.keys(0).has_last_used_at());
  EXPECT_THAT(list.ShortDebugString(), Not(HasSubstr(made.key().substr(21, 52))));

  const auto revoked = Do(&Stub::RevokeKey, Revoke(made.record().key_id()));
  EXPECT_EQ(revoked.record().state(), pb::API_KEY_STATE_REVOKED);
  EXPECT_FALSE(Check(made.key()).ok());
  Do(&Stub::RevokeKey, Revoke(made.record().key_id(), true));
  EXPECT_THAT(Do(&Stub::ListKeys, pb::AuthListKeysRequest()).keys(), SizeIs(0));
  EXPECT_EQ(Code(&Stub::RevokeKey, Revoke(made.record().key_id())), grpc::StatusCode::NOT_FOUND);
}

TEST_F(AuthServiceTest, ARotatedKeyHoldsForTheOverlap) {
  pb::AuthCreateKeyRequest request = KeyOf("CAM001");
  request.mutable_valid_for()->set_seconds(7 * 86'400);
  const auto old = Do(&Stub::CreateKey, request);
  clock_.Advance(absl::Hours(48));
  pb::AuthRotateKeyRequest rotate;
  rotate.set_key_id(old.record().key_id());
  rotate.mutable_overlap()->set_seconds(600);
  const auto rotated = Do(&Stub::RotateKey, rotate);
  EXPECT_EQ(rotated.record().replaces(), old.record().key_id());
  EXPECT_EQ(rotated.replaced().expires_at().seconds(),
            absl::ToUnixSeconds(clock_.Now() + absl::Minutes(10)));
  // As long as the old one was made for.
  EXPECT_EQ(rotated.record().expires_at().seconds(),
            absl::ToUnixSeconds(clock_.Now() + absl::Hours(7 * 24)));
  EXPECT_TRUE(Check(old.key()).ok());
  EXPECT_TRUE(Check(rotated.key()).ok());
  clock_.Advance(absl::Minutes(10));
  EXPECT_FALSE(Check(old.key()).ok());
  EXPECT_TRUE(Check(rotated.key()).ok());
  EXPECT_EQ(Code(&Stub::RotateKey, rotate), grpc::StatusCode::FAILED_PRECONDITION);
  rotate.mutable_overlap()->set_seconds(91 * 86'400);
  EXPECT_EQ(Code(&Stub::RotateKey, rotate), grpc::StatusCode::INVALID_ARGUMENT);
}

TEST_F(AuthServiceTest, PagesThroughKeysOfOneMoment) {
  for (int i = 0; i < 25; ++i) {
    if (i % 5 == 0) clock_.Advance(absl::Seconds(1));
    Do(&Stub::CreateKey, KeyOf(absl::StrCat("CAM", i % 3)));
  }
  pb::AuthListKeysRequest request;
  request.set_page_size(7);
  std::set<std::string> seen;
  do {
    const auto page = Do(&Stub::ListKeys, request);
    for (const auto& key : page.keys()) EXPECT_TRUE(seen.insert(key.key_id()).second);
    request.set_page_token(page.next_page_token());
  } while (!request.page_token().empty());
  EXPECT_THAT(seen, SizeIs(25));
  pb::AuthListKeysRequest one;
  one.set_principal_id("CAM1");
  EXPECT_THAT(Do(&Stub::ListKeys, one).keys(), SizeIs(8));
  one.set_state(pb::API_KEY_STATE_REVOKED);
  EXPECT_THAT(Do(&Stub::ListKeys, one).keys(), SizeIs(0));
  for (const char* token : {"x", "12", "-", "a-b"}) {
    one.set_page_token(token);
    EXPECT_EQ(Code(&Stub::ListKeys, one), grpc::StatusCode::INVALID_ARGUMENT) << token;
  }
  one.clear_page_token();
  one.set_page_size(1001);
  EXPECT_EQ(Code(&Stub::ListKeys, one), grpc::StatusCode::INVALID_ARGUMENT);
}

TEST_F(AuthServiceTest, RefusesPrincipalsThatCanNotBe) {
  const auto refused = [&](const std::function<void(pb::Principal*)>& spoil) {
    pb::AuthCreateKeyRequest request = KeyOf("CAM001");
    spoil(request.mutable_principal());
    return Code(&Stub::CreateKey, request) == grpc::StatusCode::INVALID_ARGUMENT;
  };
  EXPECT_TRUE(refused([](auto* p) { p->Clear(); }));
  EXPECT_TRUE(refused([](auto* p) { p->set_id(""); }));
  EXPECT_TRUE(refused([](auto* p) { p->set_id("a\nb"); }));
  EXPECT_TRUE(refused([](auto* p) { p->set_kind(pb::PRINCIPAL_KIND_LOCAL_PEER); }));
  EXPECT_TRUE(refused([](auto* p) { p->set_kind(static_cast<pb::PrincipalKind>(77)); }));
  EXPECT_TRUE(refused([](auto* p) { p->set_role(pb::ROLE_ADMIN); }));
  EXPECT_TRUE(refused([](auto* p) { p->set_role(static_cast<pb::Role>(77)); }));
  EXPECT_TRUE(refused([](auto* p) { p->add_scopes(static_cast<pb::Scope>(7)); }));
  EXPECT_TRUE(refused([](auto* p) {
    for (int i = 0; i < 65; ++i) p->add_devices("CAM");
  }));
  pb::AuthCreateKeyRequest request = KeyOf("CAM001");
  request.set_note(std::string(257, 'x'));
  EXPECT_EQ(Code(&Stub::CreateKey, request), grpc::StatusCode::INVALID_ARGUMENT);
  request.clear_note();
  request.mutable_valid_for()->set_seconds(-1);
  EXPECT_EQ(Code(&Stub::CreateKey, request), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_TRUE(api_keys_->List().empty());
}

TEST_F(AuthServiceTest, UsersAreAddedChangedAndRemoved) {
  Do(&Stub::SetUser, UserOf("anna", pb::ROLE_OPERATOR, kPassword));
  std::string why;
  EXPECT_TRUE(users_->Check("anna", kPassword, &why).ok());
  // Without a password it stays.
  const auto changed = Do(&Stub::SetUser, UserOf("anna", pb::ROLE_ADMIN, ""));
  EXPECT_EQ(changed.user().principal().role(), pb::ROLE_ADMIN);
  EXPECT_EQ(changed.user().created_at().seconds(), absl::ToUnixSeconds(clock_.Now()));
  EXPECT_EQ(users_->Check("anna", kPassword, &why)->role, security::Role::kAdmin);
  EXPECT_EQ(Code(&Stub::SetUser, UserOf("bert", pb::ROLE_VIEWER, "")),
            grpc::StatusCode::INVALID_ARGUMENT);
  pb::AuthSetPasswordRequest password;
  password.set_name("anna");
  password.set_password("another password");
  Do(&Stub::SetPassword, password);
  EXPECT_TRUE(users_->Check("anna", "another password", &why).ok());
  password.set_password("short");
  EXPECT_EQ(Code(&Stub::SetPassword, password), grpc::StatusCode::INVALID_ARGUMENT);
  pb::AuthSetUserRequest disable = UserOf("anna", pb::ROLE_ADMIN, "");
  disable.mutable_user()->set_disabled(true);
  Do(&Stub::SetUser, disable);
  EXPECT_FALSE(users_->Check("anna", "another password", &why).ok());
  Do(&Stub::SetUser, UserOf("carl", pb::ROLE_VIEWER, kPassword));
  pb::AuthListUsersRequest list;
  list.set_page_size(1);
  auto page = Do(&Stub::ListUsers, list);
  ASSERT_THAT(page.users(), SizeIs(1));
  EXPECT_TRUE(page.users(0).disabled());
  list.set_page_token(page.next_page_token());
  page = Do(&Stub::ListUsers, list);
  EXPECT_EQ(page.users(0).principal().id(), "carl");
  EXPECT_EQ(page.next_page_token(), "");
  pb::AuthRemoveUserRequest remove;
  remove.set_name("anna");
  Do(&Stub::RemoveUser, remove);
  EXPECT_EQ(Code(&Stub::RemoveUser, remove), grpc::StatusCode::NOT_FOUND);
}

TEST_F(AuthServiceTest, EveryChangeIsInTheAuditBeforeItsAnswerAndNoSecretIs) {
  const auto made = Do(&Stub::CreateKey, KeyOf("CAM001"));
  Do(&Stub::SetUser, UserOf("anna", pb::ROLE_ADMIN, kPassword));
  EXPECT_EQ(Code(&Stub::RevokeKey, Revoke("nothing")), grpc::StatusCode::NOT_FOUND);
  const std::string name = "viaduct.control.v1.Auth/";
  const std::string anna = ": user anna, role admin, scopes all, with a password";
  const std::string device = ": device CAM001, role device, scopes all";
  EXPECT_THAT(Audited(),
              ElementsAre(AllOf(HasSubstr(name + "RevokeKey NOT_FOUND"), HasSubstr("\"nothing\"")),
                          HasSubstr("RevokeKey begins"), name + "SetUser ok" + anna,
                          name + "SetUser begins" + anna,
                          name + "CreateKey ok" + device + ", key " + made.record().key_id(),
                          name + "CreateKey begins" + device));
  const std::string text = Text(audit_folder_.File("audit.jsonl"));
  EXPECT_THAT(text, Not(HasSubstr(kPassword)));
  EXPECT_THAT(text, Not(HasSubstr(made.key().substr(21, 52))));
  for (const LogRecord& record : log_hub_.Recent(100, LogFilter())) {
    for (const auto& [key, value] : record.fields) EXPECT_THAT(value, Not(HasSubstr(kPassword)));
  }
}

// What can not be written down is not done.
TEST_F(AuthServiceTest, WithoutAnAuditNothingChanges) {
  struct rlimit before {};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  struct rlimit none = before;
  none.rlim_cur = 0;
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &none), 0);
  const grpc::StatusCode create = Code(&Stub::CreateKey, KeyOf("CAM001"));
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
  std::signal(SIGXFSZ, handler);
  EXPECT_NE(create, grpc::StatusCode::OK);
  EXPECT_TRUE(api_keys_->List().empty());
  Do(&Stub::CreateKey, KeyOf("CAM001"));
  EXPECT_THAT(api_keys_->List(), SizeIs(1));
}

TEST_F(AuthServiceTest, TheAuditIsListedInPagesAndVerified) {
  for (int i = 0; i < 20; ++i) Do(&Stub::CreateKey, KeyOf(absl::StrCat("CAM", i)));
  pb::AuthListAuditRequest request;
  request.set_page_size(7);
  request.set_what("createkey");
  request.set_subject("cam1");
  int entries = 0;
  do {
    const auto page = Do(&Stub::ListAudit, request);
    entries += page.entries_size();
    request.set_page_token(page.next_page_token());
  } while (!request.page_token().empty());
  EXPECT_EQ(entries, 22);  // CAM1 and CAM10 to CAM19, begun and done.
  request.set_page_token("x.y");
  EXPECT_EQ(Code(&Stub::ListAudit, request), grpc::StatusCode::INVALID_ARGUMENT);

  const auto verified = Do(&Stub::VerifyAudit, pb::AuthVerifyAuditRequest());
  EXPECT_EQ(verified.records(), 40u);
  EXPECT_EQ(verified.first(), 1u);
  EXPECT_EQ(verified.head().hash(), audit_->head().hash);
  pb::AuthVerifyAuditRequest noted;
  *noted.mutable_noted() = verified.head();
  Do(&Stub::CreateKey, KeyOf("CAM001"));
  EXPECT_EQ(Do(&Stub::VerifyAudit, noted).records(), 42u);
  noted.mutable_noted()->set_hash(std::string(64, '0'));
  EXPECT_EQ(Code(&Stub::VerifyAudit, noted), grpc::StatusCode::DATA_LOSS);

  std::string text = Text(audit_folder_.File("audit.jsonl"));
  text[text.find("CAM5")] = 'X';
  std::ofstream(audit_folder_.File("audit.jsonl"), std::ios::binary | std::ios::in) << text;
  EXPECT_EQ(Code(&Stub::VerifyAudit, pb::AuthVerifyAuditRequest()), grpc::StatusCode::DATA_LOSS);
}

TEST_F(AuthServiceTest, SaysWhoCalls) {
  const auto nobody = Do(&Stub::WhoAmI, pb::AuthWhoAmIRequest());
  EXPECT_TRUE(nobody.enforced());
  EXPECT_FALSE(nobody.has_principal());
  security::Principal anna;
  anna.id = "anna";
  anna.role = security::Role::kOperator;
  anna.scopes = security::ScopeSet::FromBits(3);
  anna.proof = security::Proof::kToken;
  anna.proof_id = "k1";
  anna.expires = clock_.Now() + absl::Hours(1);
  gate_.caller = std::make_shared<const security::Principal>(anna);
  const auto who = Do(&Stub::WhoAmI, pb::AuthWhoAmIRequest());
  EXPECT_EQ(who.principal().id(), "anna");
  EXPECT_EQ(who.principal().role(), pb::ROLE_OPERATOR);
  EXPECT_THAT(who.principal().scopes(), ElementsAre(pb::SCOPE_INGEST, pb::SCOPE_READ));
  EXPECT_EQ(who.proof(), "token");
  EXPECT_EQ(who.proof_id(), "k1");
  EXPECT_TRUE(who.has_expires_at());
}

TEST_F(AuthServiceTest, EveryCallAsksTheGate) {
  gate_.refuses = true;
  const auto denied = grpc::StatusCode::PERMISSION_DENIED;
  EXPECT_EQ(Code(&Stub::WhoAmI, pb::AuthWhoAmIRequest()), denied);
  EXPECT_EQ(Code(&Stub::ListKeys, pb::AuthListKeysRequest()), denied);
  EXPECT_EQ(Code(&Stub::CreateKey, KeyOf("CAM001")), denied);
  EXPECT_EQ(Code(&Stub::RotateKey, pb::AuthRotateKeyRequest()), denied);
  EXPECT_EQ(Code(&Stub::RevokeKey, pb::AuthRevokeKeyRequest()), denied);
  EXPECT_EQ(Code(&Stub::ListUsers, pb::AuthListUsersRequest()), denied);
  EXPECT_EQ(Code(&Stub::SetUser, UserOf("anna", pb::ROLE_ADMIN, kPassword)), denied);
  EXPECT_EQ(Code(&Stub::SetPassword, pb::AuthSetPasswordRequest()), denied);
  EXPECT_EQ(Code(&Stub::RemoveUser, pb::AuthRemoveUserRequest()), denied);
  EXPECT_EQ(Code(&Stub::ListAudit, pb::AuthListAuditRequest()), denied);
  EXPECT_EQ(Code(&Stub::VerifyAudit, pb::AuthVerifyAuditRequest()), denied);
  EXPECT_THAT(gate_.asked, SizeIs(11));
  for (const std::string& name : gate_.asked) {
    EXPECT_NE(security::FindPermission(security::Surface::kRpc, name), nullptr) << name;
  }
}

TEST_F(AuthServiceTest, ANodeWithoutAuthSaysWhatIsMissing) {
  deps_.api_keys = nullptr;
  deps_.users = nullptr;
  deps_.audit = nullptr;
  pb::AuthCreateKeyResponse response;
  const grpc::Status status = Call(&Stub::CreateKey, KeyOf("CAM001"), &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_THAT(status.error_message(), HasSubstr("section auth"));
  const auto none = grpc::StatusCode::FAILED_PRECONDITION;
  EXPECT_EQ(Code(&Stub::ListKeys, pb::AuthListKeysRequest()), none);
  EXPECT_EQ(Code(&Stub::RotateKey, pb::AuthRotateKeyRequest()), none);
  EXPECT_EQ(Code(&Stub::RevokeKey, pb::AuthRevokeKeyRequest()), none);
  EXPECT_EQ(Code(&Stub::ListUsers, pb::AuthListUsersRequest()), none);
  EXPECT_EQ(Code(&Stub::SetUser, pb::AuthSetUserRequest()), none);
  EXPECT_EQ(Code(&Stub::SetPassword, pb::AuthSetPasswordRequest()), none);
  EXPECT_EQ(Code(&Stub::RemoveUser, pb::AuthRemoveUserRequest()), none);
  EXPECT_EQ(Code(&Stub::ListAudit, pb::AuthListAuditRequest()), none);
  EXPECT_EQ(Code(&Stub::VerifyAudit, pb::AuthVerifyAuditRequest()), none);
  EXPECT_FALSE(Do(&Stub::WhoAmI, pb::AuthWhoAmIRequest()).enforced());
}

}  // namespace
}  // namespace viaduct
