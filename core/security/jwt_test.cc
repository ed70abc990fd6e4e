#include "core/security/jwt.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_replace.h"
#include "core/security/jwt_test_support.h"

namespace viaduct::security {
namespace {

using ::testing::HasSubstr;

constexpr char kSecret[] = "0123456789abcdef0123456789abcdef";
constexpr char kHs[] = R"({"alg":"HS256","typ":"JWT","kid":"hs"})";
constexpr char kRs[] = R"({"alg":"RS256","typ":"JWT","kid":"rs"})";
constexpr char kEs[] = R"({"alg":"ES256","typ":"JWT","kid":"es"})";
constexpr int64_t kNow = 1'705'314'600;  // Where FakeClock begins.

// A claims set that is good, with members changed or added.
std::string Claims(std::string_view more = "", int64_t issued = kNow, int64_t expires = kNow + 600,
                   std::string_view audience = R"("viaduct")") {
  return absl::StrCat(R"({"iss":"site","aud":)", AbslView(audience),
                      R"(,"sub":"CAM001","role":"device","iat":)", issued, R"(,"exp":)", expires,
                      AbslView(more), "}");
}

class JwtTest : public testing::Test {
 protected:
  // Made once: a key of RSA takes a while.
  static void SetUpTestSuite() {
    rsa_ = MakeRsa(2048);
    ec_ = MakeEc("P-256");
  }
  static void TearDownTestSuite() {
    rsa_.reset();
    ec_.reset();
  }

  JwtOptions Options() const {
    JwtOptions options;
    options.issuer = "site";
    options.audience = "viaduct";
    options.keys = {{"hs", JwtAlgorithm::kHs256, kSecret},
                    {"rs", JwtAlgorithm::kRs256, PublicPem(rsa_)},
                    {"es", JwtAlgorithm::kEs256, PublicPem(ec_)}};
    return options;
  }

  absl::StatusOr<Principal> Check(std::string_view token) { return Check(token, Options()); }
  absl::StatusOr<Principal> Check(std::string_view token, JwtOptions options) {
    auto verifier = JwtVerifier::Create(std::move(options), &clock_);
    EXPECT_TRUE(verifier.ok()) << verifier.status();
    why_.clear();
    return (*verifier)->Check(token, &why_);
  }

  FakeClock clock_;
  std::string why_;
  static TestKey rsa_;
  static TestKey ec_;
};
TestKey JwtTest::rsa_;
TestKey JwtTest::ec_;

TEST_F(JwtTest, TakesEachAlgorithmWithItsKey) {
  for (const std::string& token : {TokenHs(kHs, Claims(), kSecret), TokenRs(kRs, Claims(), rsa_),
                                   TokenEs(kEs, Claims(), ec_)}) {
    const auto principal = Check(token);
    ASSERT_TRUE(principal.ok()) << why_;
    EXPECT_EQ(principal->id, "CAM001");
    EXPECT_EQ(principal->kind, PrincipalKind::kDevice);
    EXPECT_EQ(principal->role, Role::kDevice);
    EXPECT_EQ(principal->scopes, ScopeSet::All());
    EXPECT_EQ(principal->proof, Proof::kToken);
    EXPECT_EQ(principal->expires, absl::FromUnixSeconds(kNow + 600));
  }
}

TEST_F(JwtTest, RefusesEveryAttackOfTheTable) {
  const std::string good = TokenHs(kHs, Claims(), kSecret);
  const std::string header_and_claims = good.substr(0, good.rfind('.'));
  const std::string bomb = std::string(1000, '[') + std::string(1000, ']');
  const TestKey other = MakeEc("P-256");
  const TestKey larger = MakeEc("P-384");
  const std::string rsa_pem = PublicPem(rsa_);
  std::string many_audiences = "[\"a\"";
  for (int i = 0; i < 20; ++i) many_audiences += ",\"b\"";
  std::string flipped = good;
  flipped[good.find('.') + 5] ^= 1;
  const struct {
    const char* name;
    std::string token;
    const char* why;
  } kAttacks[] = {
      {"nothing", "", "not of three parts"},
      {"two parts", header_and_claims, "not of three parts"},
      {"four parts", good + ".x", "not of three parts"},
      {"five parts", "a.b.c.d.e", "not of three parts"},
      {"alg none", Unsigned(R"({"alg":"none","kid":"hs"})", Claims()) + ".", "alg"},
      {"alg None", Unsigned(R"({"alg":"None"})", Claims()) + ".", "kid: missing"},
      {"alg none, signed", TokenHs(R"({"alg":"none","kid":"hs"})", Claims(), kSecret), "alg"},
      {"alg absent", TokenHs(R"({"kid":"hs"})", Claims(), kSecret), "alg: missing"},
      {"alg a number", TokenHs(R"({"alg":1,"kid":"hs"})", Claims(), kSecret), "alg: no text"},
      {"alg in lower case", TokenHs(R"({"alg":"hs256","kid":"hs"})", Claims(), kSecret), "alg"},
      {"alg HS384", TokenHs(R"({"alg":"HS384","kid":"hs"})", Claims(), kSecret), "alg"},
      {"HS with the public RSA key", TokenHs(R"({"alg":"HS256","kid":"rs"})", Claims(), rsa_pem),
       "alg"},
      {"HS with the public EC key",
       TokenHs(R"({"alg":"HS256","kid":"es"})", Claims(), PublicPem(ec_)), "alg"},
      {"RS called ES", TokenRs(R"({"alg":"ES256","kid":"es"})", Claims(), rsa_), "signature"},
      {"another EC key", TokenEs(kEs, Claims(), other), "signature"},
      {"another curve", TokenEs(kEs, Claims(), larger, 48), "signature"},
      {"another curve, cut", TokenEs(kEs, Claims(), larger, 48).substr(0, 300), "signature"},
      {"signature of zeros", Unsigned(kEs, Claims()) + "." + Base64Url(std::string(64, '\0')),
       "signature"},
      {"no signature", header_and_claims + ".", "signature"},
      {"signature cut", good.substr(0, good.size() - 4), ""},
      {"signature of an empty secret", TokenHs(kHs, Claims(), ""), "signature"},
      {"claims changed", flipped, ""},
      {"padding", good + "=", "no base64url"},
      {"line break", good + "\n", "no base64url"},
      {"a zero octet", good + std::string(1, '\0'), "no base64url"},
      {"unknown kid", TokenHs(R"({"alg":"HS256","kid":"zz"})", Claims(), kSecret), "kid: unknown"},
      {"kid a path", TokenHs(R"({"alg":"HS256","kid":"../../etc/passwd"})", Claims(), kSecret),
       "kid: unknown"},
      {"kid absent", TokenHs(R"({"alg":"HS256"})", Claims(), kSecret), "kid: missing"},
      {"kid empty", TokenHs(R"({"alg":"HS256","kid":""})", Claims(), kSecret), "kid: unknown"},
      {"kid twice", TokenHs(R"({"alg":"HS256","kid":"zz","kid":"hs"})", Claims(), kSecret),
       "no JSON object"},
      {"alg twice", TokenHs(R"({"alg":"none","alg":"HS256","kid":"hs"})", Claims(), kSecret),
       "no JSON object"},
      {"crit", TokenHs(R"({"alg":"HS256","kid":"hs","crit":["exp"]})", Claims(), kSecret), "crit"},
      {"typ", TokenHs(R"({"alg":"HS256","kid":"hs","typ":"dpop"})", Claims(), kSecret), "typ"},
      {"header a list", TokenHs("[]", Claims(), kSecret), "no JSON object"},
      {"header nested", TokenHs(bomb, Claims(), kSecret), "no JSON object"},
      {"claims nested", TokenHs(kHs, Claims(absl::StrCat(",\"x\":", bomb)), kSecret), ""},
      {"claims a text", TokenHs(kHs, "\"x\"", kSecret), ""},
      {"claims no UTF-8", TokenHs(kHs, Claims(",\"x\":\"\xff\""), kSecret), ""},
      {"exp twice", TokenHs(kHs, Claims(R"(,"exp":99999999999)"), kSecret), ""},
      {"sub twice", TokenHs(kHs, Claims(R"(,"sub":"CAM002")"), kSecret), ""},
      {"huge",
       TokenHs(kHs, Claims(absl::StrCat(R"(,"x":")", std::string(9000, 'x'), "\"")), kSecret),
       "too long"},
      {"expired", TokenHs(kHs, Claims("", kNow - 900, kNow - 31), kSecret), "expired"},
      {"not yet", TokenHs(kHs, Claims(absl::StrCat(",\"nbf\":", kNow + 60)), kSecret),
       "does not hold yet"},
      {"from the future", TokenHs(kHs, Claims("", kNow + 60), kSecret), "in the future"},
      {"for years", TokenHs(kHs, Claims("", kNow, kNow + 100'000), kSecret), "too long"},
      {"no exp", TokenHs(kHs, absl::StrReplaceAll(Claims(), {{"exp", "xxx"}}), kSecret),
       "exp: missing"},
      {"no iat", TokenHs(kHs, absl::StrReplaceAll(Claims(), {{"iat", "xxx"}}), kSecret),
       "iat: missing"},
      {"exp a text",
       TokenHs(kHs, absl::StrReplaceAll(Claims(), {{"1705315200", "\"9\""}}), kSecret),
       "exp: no time"},
      {"exp past the year 9999",
       TokenHs(kHs, absl::StrReplaceAll(Claims(), {{"1705315200", "1e300"}}), kSecret),
       "exp: no time"},
      {"exp negative", TokenHs(kHs, absl::StrReplaceAll(Claims(), {{"1705315200", "-1"}}), kSecret),
       "exp: no time"},
      {"other audience", TokenHs(kHs, Claims("", kNow, kNow + 60, R"("shop")"), kSecret),
       "another audience"},
      {"no audience of a list", TokenHs(kHs, Claims("", kNow, kNow + 60, R"(["a","b"])"), kSecret),
       "another audience"},
      {"audience a number", TokenHs(kHs, Claims("", kNow, kNow + 60, "1"), kSecret), "aud"},
      {"audiences without end",
       TokenHs(kHs, Claims("", kNow, kNow + 60, many_audiences + "]"), kSecret), "aud"},
      {"other issuer",
       TokenHs(kHs, absl::StrReplaceAll(Claims(), {{"\"site\"", "\"evil\""}}), kSecret),
       "another issuer"},
      {"unknown role",
       TokenHs(kHs, absl::StrReplaceAll(Claims(), {{"\"device\"", "\"root\""}}), kSecret), "role"},
      {"sub with a line break",
       TokenHs(kHs, absl::StrReplaceAll(Claims(), {{"CAM001", "CAM\\n001"}}), kSecret),
       "control character"},
      {"sub empty", TokenHs(kHs, absl::StrReplaceAll(Claims(), {{"CAM001", ""}}), kSecret),
       "empty"},
  };
  for (const auto& attack : kAttacks) {
    const auto principal = Check(attack.token);
    ASSERT_EQ(principal.status().code(), absl::StatusCode::kUnauthenticated) << attack.name;
    EXPECT_EQ(principal.status().message(), "credentials: not accepted") << attack.name;
    EXPECT_THAT(why_, HasSubstr(attack.why)) << attack.name;
    EXPECT_LT(why_.size(), 256u) << attack.name;
  }
}

TEST_F(JwtTest, AllowsForClocksThatDiffer) {
  EXPECT_TRUE(Check(TokenHs(kHs, Claims("", kNow - 600, kNow - 29), kSecret)).ok()) << why_;
  EXPECT_FALSE(Check(TokenHs(kHs, Claims("", kNow - 600, kNow - 30), kSecret)).ok());
  EXPECT_TRUE(Check(TokenHs(kHs, Claims("", kNow + 30), kSecret)).ok()) << why_;
  EXPECT_FALSE(Check(TokenHs(kHs, Claims("", kNow + 31), kSecret)).ok());
  EXPECT_TRUE(Check(TokenHs(kHs, Claims(absl::StrCat(",\"nbf\":", kNow + 30)), kSecret)).ok());
  clock_.Advance(absl::Seconds(700));
  EXPECT_FALSE(Check(TokenHs(kHs, Claims(), kSecret)).ok());
}

TEST_F(JwtTest, ATokenThatIsRememberedHoldsNoLonger) {
  auto verifier = std::move(*JwtVerifier::Create(Options(), &clock_));
  const std::string token = TokenEs(kEs, Claims(absl::StrCat(",\"nbf\":", kNow)), ec_);
  std::string forged = token;
  forged[forged.size() - 10] = forged[forged.size() - 10] == 'A' ? 'B' : 'A';
  for (int i = 0; i < 3; ++i) {
    const auto principal = verifier->Check(token, &why_);
    ASSERT_TRUE(principal.ok()) << why_;
    EXPECT_EQ(principal->id, "CAM001");
    EXPECT_EQ(principal->expires, absl::FromUnixSeconds(kNow + 600));
    EXPECT_FALSE(verifier->Check(forged, &why_).ok());
  }
  clock_.JumpWall(absl::Seconds(-31));
  EXPECT_FALSE(verifier->Check(token, &why_).ok());
  EXPECT_THAT(why_, HasSubstr("in the future"));
  clock_.JumpWall(absl::Seconds(31 + 629));
  EXPECT_TRUE(verifier->Check(token, &why_).ok()) << why_;
  clock_.Advance(absl::Seconds(1));
  EXPECT_FALSE(verifier->Check(token, &why_).ok());
  EXPECT_THAT(why_, HasSubstr("expired"));
}

TEST(TokenCacheTest, ForgetsWhatWasAskedForLongestAgo) {
  TokenCache cache(3);
  const absl::Time now = absl::FromUnixSeconds(kNow);
  VerifiedToken verified{Principal(), now, now + absl::Seconds(10)};
  for (const char* token : {"a", "b", "c"}) cache.Keep(token, verified);
  EXPECT_TRUE(cache.Find("a", now).has_value());
  cache.Keep("d", verified);
  cache.Keep("d", verified);
  EXPECT_EQ(cache.size(), 3u);
  EXPECT_TRUE(cache.Find("a", now).has_value());
  EXPECT_FALSE(cache.Find("b", now).has_value());
  EXPECT_FALSE(cache.Find("a", now - absl::Seconds(1)).has_value());
  EXPECT_FALSE(cache.Find("c", now + absl::Seconds(10)).has_value());
  EXPECT_EQ(cache.size(), 1u);
}

TEST_F(JwtTest, OneKeyNeedsNoKidAndSeveralOverlap) {
  JwtOptions options = Options();
  options.keys.resize(1);
  EXPECT_TRUE(Check(TokenHs(R"({"alg":"HS256"})", Claims(), kSecret), options).ok()) << why_;
  // A new key beside the old one, then without it.
  const std::string fresh(40, 'n');
  options.keys.push_back({"hs2", JwtAlgorithm::kHs256, fresh});
  const std::string with_new = TokenHs(R"({"alg":"HS256","kid":"hs2"})", Claims(), fresh);
  const std::string with_old = TokenHs(kHs, Claims(), kSecret);
  EXPECT_TRUE(Check(with_old, options).ok()) << why_;
  EXPECT_TRUE(Check(with_new, options).ok()) << why_;
  options.keys.erase(options.keys.begin());
  EXPECT_FALSE(Check(with_old, options).ok());
  EXPECT_TRUE(Check(with_new, options).ok()) << why_;
}

TEST_F(JwtTest, ReadsScopesKindAndDevices) {
  const auto tool =
      Check(TokenHs(kHs,
                    absl::StrReplaceAll(Claims(R"(,"scope":"openid read email","kind":"tool")"),
                                        {{"\"device\"", "\"viewer\""}}),
                    kSecret));
  ASSERT_TRUE(tool.ok()) << why_;
  EXPECT_EQ(tool->kind, PrincipalKind::kTool);
  EXPECT_EQ(ScopeNames(tool->scopes), "read");
  const auto hub = Check(TokenHs(kHs, Claims(R"(,"devices":["CAM002","SITE-*"])"), kSecret));
  ASSERT_TRUE(hub.ok()) << why_;
  EXPECT_TRUE(hub->SpeaksFor("CAM001"));
  EXPECT_TRUE(hub->SpeaksFor("CAM002"));
  EXPECT_TRUE(hub->SpeaksFor("SITE-9"));
  EXPECT_FALSE(hub->SpeaksFor("CAM003"));
  // An empty scope is no scope, not every one.
  const auto none = Check(TokenHs(kHs, Claims(R"(,"scope":"")"), kSecret));
  ASSERT_TRUE(none.ok());
  EXPECT_EQ(none->scopes, ScopeSet::None());
  EXPECT_FALSE(Check(TokenHs(kHs,
                             absl::StrReplaceAll(Claims(R"(,"devices":["CAM002"])"),
                                                 {{"\"role\":\"device\"", "\"role\":\"viewer\""}}),
                             kSecret))
                   .ok());
}

TEST_F(JwtTest, RefusesKeysThatDoNotFitTheirAlgorithm) {
  const TestKey ed(EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519"), EVP_PKEY_free);
  const struct {
    const char* name;
    JwtKey key;
    const char* why;
  } kKeys[] = {
      {"short secret", {"k", JwtAlgorithm::kHs256, "short"}, "shorter"},
      {"public key as a secret", {"k", JwtAlgorithm::kHs256, PublicPem(rsa_)}, "PEM"},
      {"small RSA", {"k", JwtAlgorithm::kRs256, PublicPem(MakeRsa(1024))}, "not RSA"},
      {"EC for RSA", {"k", JwtAlgorithm::kRs256, PublicPem(ec_)}, "not RSA"},
      {"RSA for EC", {"k", JwtAlgorithm::kEs256, PublicPem(rsa_)}, "P-256"},
      {"P-384", {"k", JwtAlgorithm::kEs256, PublicPem(MakeEc("P-384"))}, "P-256"},
      {"secp256k1", {"k", JwtAlgorithm::kEs256, PublicPem(MakeEc("secp256k1"))}, "P-256"},
      {"Ed25519", {"k", JwtAlgorithm::kEs256, PublicPem(ed)}, "P-256"},
      {"no PEM", {"k", JwtAlgorithm::kEs256, "-----BEGIN"}, "no public key"},
      {"huge", {"k", JwtAlgorithm::kHs256, std::string(20'000, 'x')}, "too long"},
  };
  for (const auto& one : kKeys) {
    JwtOptions options = Options();
    options.keys = {one.key};
    const auto status = JwtVerifier::Create(options, &clock_).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << one.name;
    EXPECT_THAT(std::string(status.message()), HasSubstr(one.why)) << one.name;
    EXPECT_THAT(std::string(status.message()), testing::Not(HasSubstr("BEGIN"))) << one.name;
  }
}

TEST_F(JwtTest, RefusesOptionsThatLeaveSomethingOpen) {
  const auto code = [&](const JwtOptions& options) {
    return JwtVerifier::Create(options, &clock_).status().code();
  };
  JwtOptions options = Options();
  options.audience.clear();
  EXPECT_EQ(code(options), absl::StatusCode::kInvalidArgument);
  options = Options();
  options.issuer.clear();
  EXPECT_EQ(code(options), absl::StatusCode::kInvalidArgument);
  options = Options();
  options.keys[1].kid = "hs";
  EXPECT_EQ(code(options), absl::StatusCode::kInvalidArgument);
  options = Options();
  options.keys[1].kid.clear();
  EXPECT_EQ(code(options), absl::StatusCode::kInvalidArgument);
  options = Options();
  options.keys.clear();
  EXPECT_EQ(code(options), absl::StatusCode::kInvalidArgument);
  options = Options();
  options.leeway = absl::Hours(1);
  EXPECT_EQ(code(options), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace viaduct::security
