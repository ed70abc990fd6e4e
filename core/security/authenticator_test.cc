#include "core/security/authenticator.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/escaping.h"
#include "core/base/test_folder.h"
#include "core/security/jwt_test_support.h"
#include "core/security/urn.h"

namespace viaduct::security {
namespace {

using ::testing::HasSubstr;

constexpr char kSecret[] = "0123456789abcdef0123456789abcdef";
constexpr char kPassword[] = "correct horse battery";
const char kFingerprint[] = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

std::string Basic(const std::string& name, const std::string& password) {
  return absl::Base64Escape(absl::StrCat(name, ":", password));
}

class AuthenticatorTest : public testing::Test {
 protected:
  void SetUp() override {
    keys_ = std::move(*ApiKeyStore::Open(folder_.path(), &clock_));
    users_ = std::move(*UserStore::Open(folder_.path(), &clock_, PasswordCost{64, 1}));
    JwtOptions options;
    options.issuer = "site";
    options.audience = "viaduct";
    options.keys = {{"", JwtAlgorithm::kHs256, kSecret}};
    tokens_ = std::move(*JwtVerifier::Create(options, &clock_));
    ApiKeyRecord camera;
    camera.owner = "CAM001";
    key_ = (*keys_->Create(camera)).text;
    UserRecord anna;
    anna.name = "anna";
    anna.role = Role::kAdmin;
    ASSERT_TRUE(users_->Put(anna, kPassword).ok());
    parts_.api_keys = keys_.get();
    parts_.users = users_.get();
    parts_.tokens = tokens_.get();
    parts_.device_certificates = true;
    parts_.unix_peers = {{0, Role::kAdmin}, {1000, Role::kViewer}};
    token_ = TokenHs(R"({"alg":"HS256"})",
                     R"({"iss":"site","aud":"viaduct","sub":"CAM002","role":"device",)"
                     R"("iat":1705314600,"exp":1705315000})",
                     kSecret);
  }

  Authentication Ask(Attributes credentials, const std::string& instance = "") {
    auto authenticator = Authenticator::Create(parts_);
    EXPECT_TRUE(authenticator.ok()) << authenticator.status();
    return authenticator->Authenticate(Peer{instance, "192.0.2.7:1", std::move(credentials)});
  }

  TestFolder folder_;
  FakeClock clock_;
  std::unique_ptr<ApiKeyStore> keys_;
  std::unique_ptr<UserStore> users_;
  std::unique_ptr<JwtVerifier> tokens_;
  AuthenticatorParts parts_;
  std::string key_;
  std::string token_;
};

TEST_F(AuthenticatorTest, EveryKindOfCredentialFindsItsPrincipal) {
  CertificateRule hub;
  hub.value = "DNS:hub.site";
  hub.id = "HUB1";
  parts_.certificates = {hub};
  const struct {
    const char* name;
    Attributes credentials;
    const char* who;
  } kCases[] = {
      {"key", {{"api_key", key_}}, "device CAM001 (api key"},
      {"key as a bearer token", {{"bearer", key_}}, "device CAM001 (api key"},
      {"key as a password", {{"basic", Basic("CAM001", key_)}}, "device CAM001 (api key"},
      {"key as an MQTT password", {{"user", "CAM001"}, {"password", key_}}, "device CAM001"},
      {"token", {{"bearer", token_}}, "device CAM002 (token)"},
      {"password", {{"basic", Basic("anna", kPassword)}}, "user anna (password)"},
      {"password apart", {{"user", "anna"}, {"password", kPassword}}, "user anna (password)"},
      {"certificate by rule",
       {{"certificate_sha256", kFingerprint}, {"certificate_san", "DNS:hub.site"}},
       "device HUB1 (certificate 0011"},
      {"certificate of ours",
       {{"certificate_sha256", kFingerprint},
        {"certificate_san", "URI:urn:viaduct:device:CAM%203"}},
       "device CAM 3 (certificate"},
      {"local process", {{"uid", "1000"}}, "local peer uid 1000 (unix peer)"},
      {"what is said before what is shown",
       {{"uid", "0"}, {"api_key", key_}},
       "device CAM001 (api key"},
      {"the same twice", {{"bearer", token_}, {"bearer", token_}}, "device CAM002 (token)"},
      {"beside names that mean nothing", {{"cookie", "x"}, {"api_key", key_}}, "device CAM001"},
  };
  for (const auto& one : kCases) {
    const Authentication result = Ask(one.credentials);
    ASSERT_TRUE(result.principal.ok()) << one.name << ": " << result.why;
    EXPECT_THAT(result.principal->Describe(), HasSubstr(one.who)) << one.name;
  }
}

TEST_F(AuthenticatorTest, OneAnswerForEverythingThatIsWrong) {
  const struct {
    const char* name;
    Attributes credentials;
  } kCases[] = {
      {"garbage key", {{"api_key", "x"}}},
      {"empty key", {{"api_key", ""}}},
      {"garbage token", {{"bearer", "x.y.z"}}},
      {"garbage basic", {{"basic", "%%%"}}},
      {"basic without a colon", {{"basic", absl::Base64Escape("anna")}}},
      {"wrong password", {{"basic", Basic("anna", "wrong horse battery")}}},
      {"unknown user", {{"basic", Basic("nobody", kPassword)}}},
      {"the key of another", {{"basic", Basic("CAM002", key_)}}},
      {"key and token", {{"api_key", key_}, {"bearer", token_}}},
      {"two keys", {{"api_key", key_}, {"api_key", "x"}}},
      {"two tokens", {{"bearer", token_}, {"bearer", key_}}},
      {"unknown certificate", {{"certificate_sha256", kFingerprint}}},
      {"device name that is none",
       {{"certificate_sha256", kFingerprint}, {"certificate_san", "URI:urn:viaduct:device:"}}},
      {"device name with a control character",
       {{"certificate_sha256", kFingerprint}, {"certificate_san", "URI:urn:viaduct:device:a%0Ab"}}},
      {"device name in another spelling",
       {{"certificate_sha256", kFingerprint}, {"certificate_san", "URI:urn:viaduct:device:%43AM"}}},
      {"device name cut",
       {{"certificate_sha256", kFingerprint}, {"certificate_san", "URI:urn:viaduct:device:C%4"}}},
      {"unknown uid", {{"uid", "4711"}}},
      {"uid that is none", {{"uid", "0x0"}}},
      {"uid too large", {{"uid", "4294967296"}}},
      {"uid negative", {{"uid", "-0"}}},
      {"huge", {{"bearer", std::string(20'000, 'x')}}},
  };
  for (const auto& one : kCases) {
    const Authentication result = Ask(one.credentials);
    if (result.principal.ok()) ADD_FAILURE() << one.name << " " << result.principal->Describe();
    EXPECT_EQ(result.principal.status(), absl::UnauthenticatedError("credentials: not accepted"))
        << one.name;
    EXPECT_FALSE(result.why.empty()) << one.name;
    EXPECT_THAT(result.why, testing::Not(HasSubstr("horse"))) << one.name;
  }
  const Attributes many(100, {"cookie", "x"});
  EXPECT_FALSE(Ask(many).principal.ok());
}

TEST_F(AuthenticatorTest, NothingIsMissingNotWrong) {
  const Authentication result = Ask({});
  EXPECT_EQ(result.principal.status(), absl::UnauthenticatedError("credentials: missing"));
  // A name without the certificate that a listener has checked proves nothing.
  EXPECT_EQ(Ask({{"certificate_san", "URI:urn:viaduct:device:CAM1"}}).principal.status(),
            absl::UnauthenticatedError("credentials: missing"));
}

TEST_F(AuthenticatorTest, APluginCanNotSpeakForAProcess) {
  EXPECT_TRUE(Ask({{"uid", "0"}}).principal.ok());
  EXPECT_FALSE(Ask({{"uid", "0"}}, "rest").principal.ok());
}

TEST_F(AuthenticatorTest, WhatIsNotConfiguredIsNotAccepted) {
  parts_ = AuthenticatorParts();
  for (const Attributes& credentials :
       {Attributes{{"api_key", key_}}, Attributes{{"bearer", token_}},
        Attributes{{"basic", Basic("anna", kPassword)}}, Attributes{{"uid", "0"}},
        Attributes{{"certificate_sha256", kFingerprint},
                   {"certificate_san", "URI:urn:viaduct:device:CAM1"}}}) {
    EXPECT_EQ(Ask(credentials).principal.status().message(), "credentials: not accepted");
  }
}

TEST_F(AuthenticatorTest, AFingerprintGoesBeforeANameAndThatBeforeASubject) {
  CertificateRule subject{CertificateRule::Match::kSubject, "CN=cam", PrincipalKind::kDevice, "S"};
  CertificateRule name{CertificateRule::Match::kSan, "DNS:cam", PrincipalKind::kDevice, "N"};
  CertificateRule print{CertificateRule::Match::kSha256, kFingerprint, PrincipalKind::kUser, "F"};
  print.role = Role::kAdmin;
  const Attributes shown = {{"certificate_sha256", kFingerprint},
                            {"certificate_subject", "CN=cam"},
                            {"certificate_san", "DNS:cam"}};
  parts_.certificates = {subject, name, print};
  EXPECT_EQ(Ask(shown).principal->id, "F");
  parts_.certificates = {subject, name};
  EXPECT_EQ(Ask(shown).principal->id, "N");
  parts_.certificates = {subject};
  EXPECT_EQ(Ask(shown).principal->id, "S");
}

TEST_F(AuthenticatorTest, RefusesRulesThatCanNotBe) {
  const auto code = [&](CertificateRule rule) {
    parts_.certificates = {std::move(rule)};
    return Authenticator::Create(parts_).status().code();
  };
  using Match = CertificateRule::Match;
  EXPECT_EQ(code({Match::kSha256, "abc", PrincipalKind::kDevice, "A"}),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(code({Match::kSan, "", PrincipalKind::kDevice, "A"}),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(code({Match::kSan, "DNS:a", PrincipalKind::kUser, "A"}),
            absl::StatusCode::kInvalidArgument);
  parts_.certificates.clear();
  parts_.unix_peers = {{0, Role::kDevice}};
  EXPECT_EQ(Authenticator::Create(parts_).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(AuthenticatorTest, SaysWhatTakesLong) {
  const auto takes_long = [](Attributes credentials) {
    return Authenticator::TakesLong(Peer{"", "", std::move(credentials)});
  };
  EXPECT_TRUE(takes_long({{"basic", Basic("anna", "x")}}));
  EXPECT_TRUE(takes_long({{"user", "anna"}, {"password", "x"}}));
  EXPECT_FALSE(takes_long({{"basic", Basic("CAM001", key_)}}));
  EXPECT_FALSE(takes_long({{"basic", "%"}}));
  EXPECT_FALSE(takes_long({{"api_key", key_}}));
  EXPECT_FALSE(takes_long({}));
}

TEST(UrnTest, EveryIdComesBack) {
  std::string every;
  for (int c = 1; c < 256; ++c) every.push_back(static_cast<char>(c));
  for (const std::string& id : {std::string("CAM001"), std::string("a b/c?d#e%"), every}) {
    std::string back;
    ASSERT_TRUE(IdOfUrn(UrnOf(id), &back));
    EXPECT_EQ(back, id);
  }
}

TEST(PrincipalTest, NamesAndSetsReadBack) {
  for (const auto role : {Role::kDevice, Role::kViewer, Role::kOperator, Role::kAdmin}) {
    EXPECT_EQ(*ParseRole(RoleName(role)), role);
  }
  EXPECT_FALSE(ParseRole("root").ok());
  EXPECT_EQ(*ParseScopes(ScopeNames(ScopeSet::All())), ScopeSet::All());
  EXPECT_EQ(*ParseScopes(""), ScopeSet::None());
  EXPECT_EQ(ScopeNames(*ParseScopes("read,files")), "read files");
  EXPECT_FALSE(ParseScopes("read all").ok());
}

TEST(PrincipalTest, ADeviceSpeaksForItselfAndWhomItIsGiven) {
  Principal hub;
  hub.kind = PrincipalKind::kDevice;
  hub.role = Role::kDevice;
  hub.id = "HUB1";
  hub.devices = {"CAM2", "SITE-*"};
  EXPECT_TRUE(hub.SpeaksFor("HUB1"));
  EXPECT_TRUE(hub.SpeaksFor("CAM2"));
  EXPECT_TRUE(hub.SpeaksFor("SITE-1"));
  for (const char* other : {"", "hub1", "HUB1 ", "HUB10", "CAM20", "SITE", "SITE-\n", "*"}) {
    EXPECT_FALSE(hub.SpeaksFor(other)) << other;
  }
  hub.id = "CAM*";  // An id is no pattern.
  EXPECT_FALSE(hub.SpeaksFor("CAM9"));
}

}  // namespace
}  // namespace viaduct::security
