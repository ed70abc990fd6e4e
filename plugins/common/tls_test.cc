// What listeners and roads are told of TLS, and their files.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <string>
#include <string_view>
#include <utility>

#include "absl/time/clock.h"
#include "plugins/common/listener_tls.h"
#include "plugins/common/road_files.h"
#include "plugins/common/testing/test_identity.h"
#include "plugins/common/tls_context.h"
#include "plugins/common/tls_options.h"
#include "tests/support/test_folder.h"

namespace viaduct {
namespace {

using ::testing::HasSubstr;

template <typename Options>
std::pair<Options, std::string> Read(void (*read)(OptionMembers*, Options*), const char* json) {
  OptionMembers config(nlohmann::json::parse(json));
  Options options;
  read(&config, &options);
  return {options, config.wrong_pointer()};
}

TEST(TlsOptions, ReadsAListener) {
  const auto [options, wrong] =
      Read(&ReadTlsListener,
           R"({"certificate":"c","key":"k","client_ca":"a","client_certificate":"optional",
          "tls_min_version":"1.3"})");
  EXPECT_EQ(wrong, "");
  EXPECT_TRUE(options.enabled());
  EXPECT_EQ(options.client_certificate, ClientCertificate::kOptional);
  EXPECT_EQ(options.min_version, TlsVersion::k13);
}

TEST(TlsOptions, AnAuthorityAloneMeansRequired) {
  const auto [options, wrong] =
      Read(&ReadTlsListener, R"({"certificate":"c","key":"k","client_ca":"a"})");
  EXPECT_EQ(wrong, "");
  EXPECT_EQ(options.client_certificate, ClientCertificate::kRequired);
}

TEST(TlsOptions, RefusesWhatWouldProtectNobody) {
  const struct {
    const char* config;
    const char* pointer;
  } kCases[] = {
      {R"({"certificate":"c"})", "/key"},
      {R"({"key":"k"})", "/certificate"},
      {R"({"client_ca":"a"})", "/certificate"},
      {R"({"certificate":"c","key":"k","client_certificate":"required"})", "/client_ca"},
      {R"({"certificate":"c","key":"k","client_ca":"a","client_certificate":"none"})",
       "/client_ca"},
      {R"({"certificate":"c","key":"k","ca_file":"a"})", "/ca_file"},
  };
  for (const auto& c : kCases) EXPECT_EQ(Read(&ReadTlsListener, c.config).second, c.pointer);
  for (const char* key : {"client_ca", "client_certificate"}) {
    const std::string config = std::string("{\"") + key + "\":\"x\"}";
    EXPECT_EQ(Read(&ReadTlsRoad, config.c_str()).second, std::string("/") + key);
  }
  EXPECT_EQ(Read(&ReadTlsRoad, R"({"certificate":"c"})").second, "/key");
}

class TlsFilesTest : public ::testing::Test {
 protected:
  TlsFilesTest()
      : authority_(TestIdentity::Make({"authority", "", -60, 86'400, true})),
        options_{folder_ / "crt", folder_ / "key", "", ClientCertificate::kNone, TlsVersion::k12} {}

  TestIdentity Signed(TestCertificate what) { return TestIdentity::Make(what, &authority_); }
  std::string Trouble() const {
    return std::string(MakeListenerContext(options_, absl::Now()).status().message());
  }

  support::TestFolder folder_;
  TestIdentity authority_;
  TlsListenerOptions options_;
};

TEST_F(TlsFilesTest, KnowsWhenTheCertificateEnds) {
  Signed({"here"}).Write(options_.certificate, options_.key);
  const auto made = MakeListenerContext(options_, absl::Now());
  ASSERT_TRUE(made.ok()) << made.status();
  EXPECT_NEAR(absl::ToDoubleSeconds(made->not_after - absl::Now()), 86'400, 100);
}

TEST_F(TlsFilesTest, SaysWhichFileIsWrongAndWhy) {
  EXPECT_THAT(Trouble(), HasSubstr("certificate: " + options_.certificate + ", No such file"));
  const TestIdentity good = Signed({"here"});
  good.Write(options_.certificate, options_.key, 0640);
  EXPECT_THAT(Trouble(), HasSubstr("others may read it (mode 0640)"));
  good.Write(options_.certificate, options_.key, 0604);
  EXPECT_THAT(Trouble(), HasSubstr("others may read it (mode 0604)"));
  good.Write(options_.certificate, options_.key);
  EXPECT_EQ(Trouble(), "");
  Signed({"other"}).WriteCertificate(options_.certificate);
  EXPECT_THAT(Trouble(), HasSubstr("is not the key of"));
  Signed({"old", "", -7200, -3600}).Write(options_.certificate, options_.key);
  EXPECT_THAT(Trouble(), HasSubstr("expired"));
  Signed({"young", "", 3600, 7200}).Write(options_.certificate, options_.key);
  EXPECT_THAT(Trouble(), HasSubstr("is not valid before"));
  support::WriteFile(options_.certificate, "no PEM");
  EXPECT_THAT(Trouble(), HasSubstr("has no certificate in PEM"));
  good.Write(options_.certificate, options_.key);
  support::WriteFile(options_.key,
                     "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n");
  EXPECT_THAT(Trouble(), HasSubstr("has no key"));
  std::filesystem::remove(options_.key);
  ASSERT_EQ(mkfifo(options_.key.c_str(), 0600), 0);
  EXPECT_THAT(Trouble(), HasSubstr("is no file"));
}

TEST_F(TlsFilesTest, RefusesAChainWithoutEndAndAFileWithoutEnd) {
  const TestIdentity good = Signed({"here"});
  good.Write(options_.certificate, options_.key);
  const std::string one = support::ReadFile(options_.certificate);
  std::string many;
  for (size_t i = 0; i <= kMaxChain; ++i) many += one;
  support::WriteFile(options_.certificate, many);
  EXPECT_THAT(Trouble(), HasSubstr("has more than"));
  support::WriteFile(options_.certificate, std::string(kMaxPemBytes + 1, 'x'));
  EXPECT_THAT(Trouble(), HasSubstr("is larger than"));
}

TEST_F(TlsFilesTest, ReadsARoadsFiles) {
  TlsRoadOptions road;
  EXPECT_TRUE(CheckRoad(road, absl::Now()).ok()) << "the system's authorities";
  road.ca_file = folder_ / "ca";
  EXPECT_THAT(std::string(CheckRoad(road, absl::Now()).message()), HasSubstr("ca_file: "));
  authority_.WriteCertificate(road.ca_file);
  road.certificate = options_.certificate;
  road.key = options_.key;
  Signed({"me"}).Write(road.certificate, road.key, 0644);
  EXPECT_THAT(std::string(CheckRoad(road, absl::Now()).message()), HasSubstr("others may read"));
  Signed({"me"}).Write(road.certificate, road.key);
  EXPECT_TRUE(CheckRoad(road, absl::Now()).ok());
}

TEST_F(TlsFilesTest, TakesANewPairAndKeepsABrokenOneOut) {
  Signed({"first"}).Write(options_.certificate, options_.key);
  ListenerTls tls(options_);
  ASSERT_TRUE(tls.Load(absl::Now()).ok());
  const TlsContext first = tls.context();
  EXPECT_EQ(tls.Look(absl::Now()), ListenerTls::Seen::kSame);

  const TestIdentity second = Signed({"second", "DNS:localhost", -60, 30 * 86'400});
  second.WriteCertificate(options_.certificate);  // Its key is not there yet.
  EXPECT_EQ(tls.Look(absl::Now()), ListenerTls::Seen::kKeptOut);
  EXPECT_EQ(tls.Look(absl::Now()), ListenerTls::Seen::kSame) << "said once";
  EXPECT_EQ(tls.context(), first);
  EXPECT_THAT(tls.Problem(absl::Now()), HasSubstr("new certificate not taken, key: "));

  second.Write(options_.certificate, options_.key);
  EXPECT_EQ(tls.Look(absl::Now()), ListenerTls::Seen::kTaken);
  EXPECT_NE(tls.context(), first);
  EXPECT_EQ(tls.Problem(absl::Now()), "");

  std::filesystem::remove(options_.certificate);
  EXPECT_EQ(tls.Look(absl::Now()), ListenerTls::Seen::kKeptOut);
  EXPECT_THAT(tls.Problem(absl::Now()), HasSubstr("No such file"));
}

TEST_F(TlsFilesTest, WarnsBeforeTheEndAndGoesOnAfterIt) {
  Signed({"here", "DNS:localhost", -60, 20 * 86'400}).Write(options_.certificate, options_.key);
  ListenerTls tls(options_);
  const absl::Time now = absl::Now();
  ASSERT_TRUE(tls.Load(now).ok());
  EXPECT_EQ(tls.Problem(now + absl::Hours(5 * 24)), "");
  EXPECT_THAT(tls.Problem(now + absl::Hours(7 * 24)), HasSubstr("certificate: expires "));
  EXPECT_THAT(tls.Problem(now + absl::Hours(21 * 24)), HasSubstr("certificate: expired "));
  EXPECT_NE(tls.context(), nullptr);
  Signed({"next", "DNS:localhost", -60, 60 * 86'400}).Write(options_.certificate, options_.key);
  EXPECT_EQ(tls.Look(now + absl::Hours(21 * 24)), ListenerTls::Seen::kTaken);
  EXPECT_EQ(tls.Problem(now + absl::Hours(21 * 24)), "");
}

TEST_F(TlsFilesTest, ARoadNoticesRenewedFilesEveryNowAndThen) {
  TlsRoadOptions road;
  road.certificate = options_.certificate;
  road.key = options_.key;
  Signed({"me"}).Write(road.certificate, road.key);
  RoadFiles files(road);
  int64_t now = 1;
  EXPECT_FALSE(files.Changed(now));
  Signed({"me again"}).Write(road.certificate, road.key);
  EXPECT_FALSE(files.Changed(now + 1)) << "not yet";
  now += RoadFiles::kLookIntervalNs;
  EXPECT_TRUE(files.Changed(now));
  now += RoadFiles::kLookIntervalNs;
  EXPECT_TRUE(files.Changed(now)) << "they could not be used";
  files.Adopt();
  EXPECT_FALSE(files.Changed(now + RoadFiles::kLookIntervalNs));
}

}  // namespace
}  // namespace viaduct
