#include "core/security/pki.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <iterator>
#include <set>

#include "absl/strings/str_cat.h"
#include "core/base/clock.h"
#include "core/base/test_folder.h"

namespace viaduct::security {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class PkiTest : public testing::Test {
 protected:
  void Init(PkiKeyType type = PkiKeyType::kP256) {
    AuthorityOptions options;
    options.key_type = type;
    options.domains = {"site.example"};
    const auto files = InitAuthority(folder_.path(), options, /*overwrite=*/false, now_);
    ASSERT_TRUE(files.ok()) << files.status();
  }
  absl::StatusOr<PkiFiles> Device(std::string_view id) {
    return IssueDevice(folder_.path(), id, CertificateOptions(), now_);
  }
  absl::StatusOr<PkiFiles> Server(const std::vector<std::string>& names) {
    return IssueServer(folder_.path(), names, CertificateOptions(), now_);
  }
  static mode_t ModeOf(const std::string& path) {
    struct stat facts {};
    EXPECT_EQ(::stat(path.c_str(), &facts), 0) << path;
    return facts.st_mode & 0777;
  }
  static std::string Text(const std::string& path) {
    std::ifstream file(path);
    return std::string(std::istreambuf_iterator<char>(file), {});
  }

  TestFolder folder_;
  const absl::Time now_ = SystemClock().Now();
};

TEST_F(PkiTest, KeysAreProtectedAndNothingIsOverwrittenUnasked) {
  Init();
  EXPECT_EQ(ModeOf(folder_.File("ca.key")), 0600u);
  EXPECT_EQ(ModeOf(folder_.File("ca.crt")), 0644u);
  const auto files = Device("CAM001");
  ASSERT_TRUE(files.ok()) << files.status();
  EXPECT_EQ(files->certificate, folder_.File("CAM001.crt"));
  EXPECT_EQ(ModeOf(files->key), 0600u);
  const std::string key = Text(files->key);
  EXPECT_EQ(Device("CAM001").status().code(), absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(InitAuthority(folder_.path(), AuthorityOptions(), false, now_).status().code(),
            absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(Text(files->key), key);
  CertificateOptions options;
  options.overwrite = true;
  ASSERT_TRUE(IssueDevice(folder_.path(), "CAM001", options, now_).ok());
  EXPECT_NE(Text(files->key), key);
}

TEST_F(PkiTest, SaysWhatItMade) {
  for (const PkiKeyType type : {PkiKeyType::kP256, PkiKeyType::kEd25519}) {
    TestFolder folder;
    AuthorityOptions options;
    options.key_type = type;
    ASSERT_TRUE(InitAuthority(folder.path(), options, false, now_).ok());
    CertificateOptions certificate;
    certificate.key_type = type;
    const auto files = IssueDevice(folder.path(), "CAM 1/ä", certificate, now_);
    ASSERT_TRUE(files.ok()) << files.status();
    EXPECT_EQ(files->certificate, folder.File("CAM%201%2F%C3%A4.crt"));
    const auto facts = ReadCertificate(files->certificate);
    ASSERT_TRUE(facts.ok()) << facts.status();
    EXPECT_THAT(facts->names, ElementsAre("URI:urn:viaduct:device:CAM%201%2F%C3%A4"));
    EXPECT_THAT(facts->subject, HasSubstr("CN=CAM 1/"));
    EXPECT_THAT(facts->issuer, HasSubstr("CN=Viaduct site authority"));
    EXPECT_EQ(facts->key, type == PkiKeyType::kP256 ? "P-256" : "ED25519");
    EXPECT_EQ(facts->serial.size(), 40u);
    EXPECT_EQ(facts->sha256.size(), 64u);
    EXPECT_FALSE(facts->is_authority);
    EXPECT_GT(facts->not_after, now_ + absl::Hours(24 * 396));
    EXPECT_TRUE(ReadCertificate(folder.File("ca.crt"))->is_authority);
  }
}

TEST_F(PkiTest, SignsOnlyForTheSite) {
  Init();
  for (const std::string name :
       {"hub.site.example", "localhost", "hub.lan", "10.1.2.3", "::1", "192.168.0.7", "fd00::7"}) {
    const auto files = Server({name});
    EXPECT_TRUE(files.ok()) << name << " " << files.status();
  }
  for (const std::string name :
       {"www.example.com", "site.example.com", "8.8.8.8", "2001:db8::1", "hub"}) {
    EXPECT_THAT(std::string(Server({name}).status().message()), HasSubstr("would not be taken"))
        << name;
    EXPECT_NE(::access(folder_.File(name + ".crt").c_str(), F_OK), 0) << name;
  }
  EXPECT_FALSE(Server({"hub.lan", "www.example.com"}).ok());
}

TEST_F(PkiTest, RefusesNamesThatAreNone) {
  Init();
  const std::vector<std::vector<std::string>> kNames = {{},
                                                        {""},
                                                        {"a b"},
                                                        {"*.lan"},
                                                        {"a..lan"},
                                                        {"-a.lan"},
                                                        {"a,DNS:evil.com"},
                                                        {"a\n.lan"},
                                                        {std::string("a.lan\0.com", 10)},
                                                        {"../a"},
                                                        {std::string(300, 'a')},
                                                        std::vector<std::string>(33, "a.lan")};
  for (const auto& names : kNames) {
    EXPECT_EQ(Server(names).status().code(), absl::StatusCode::kInvalidArgument)
        << (names.empty() ? "" : names.front());
  }
  for (const std::string& id :
       {std::string(), std::string("a\nb"), std::string("a\0b", 3), std::string("\xff"),
        std::string(129, 'a'), std::string(128, '/')}) {
    EXPECT_EQ(Device(id).status().code(), absl::StatusCode::kInvalidArgument);
  }
  // Odd ids stay in the folder.
  const auto files = Device("../../etc/x");
  ASSERT_TRUE(files.ok());
  EXPECT_EQ(files->certificate, folder_.File("..%2F..%2Fetc%2Fx.crt"));
  for (const std::string domain : {"a,permitted;DNS:com", "", "a b"}) {
    TestFolder folder;
    AuthorityOptions options;
    options.domains = {domain};
    EXPECT_EQ(InitAuthority(folder.path(), options, false, now_).status().code(),
              absl::StatusCode::kInvalidArgument);
  }
}

TEST_F(PkiTest, ALongIdAndOneWithDotsAreDevicesToo) {
  Init();
  for (const std::string& id : {std::string(100, 'a'), std::string("cam1.example.com")}) {
    const auto files = Device(id);
    ASSERT_TRUE(files.ok()) << files.status();
    EXPECT_THAT(ReadCertificate(files->certificate)->names,
                ElementsAre("URI:urn:viaduct:device:" + id));
  }
}

TEST_F(PkiTest, NumbersAreRandom) {
  Init();
  std::set<std::string> serials;
  for (int i = 0; i < 50; ++i) {
    serials.insert(ReadCertificate(Device(absl::StrCat("CAM", i))->certificate)->serial);
  }
  EXPECT_EQ(serials.size(), 50u);
}

TEST_F(PkiTest, RenewsInPlaceWithTheSameKeyAndNames) {
  Init();
  const auto files = Server({"hub.lan", "10.0.0.7"});
  ASSERT_TRUE(files.ok());
  const auto before = ReadCertificate(files->certificate);
  const std::string key = Text(files->key);
  const absl::Time later = now_ + absl::Hours(24 * 300);
  const auto after = RenewCertificate(folder_.path(), files->certificate, absl::Hours(240), later);
  ASSERT_TRUE(after.ok()) << after.status();
  EXPECT_EQ(after->names, before->names);
  EXPECT_EQ(after->subject, before->subject);
  EXPECT_NE(after->serial, before->serial);
  EXPECT_EQ(Text(files->key), key);
  EXPECT_EQ(ReadCertificate(files->certificate)->sha256, after->sha256);
  EXPECT_LE(after->not_after, later + absl::Hours(240));
}

TEST_F(PkiTest, RenewsNothingOfOthers) {
  Init();
  TestFolder other;
  ASSERT_TRUE(InitAuthority(other.path(), AuthorityOptions(), false, now_).ok());
  const auto files = IssueDevice(other.path(), "CAM001", CertificateOptions(), now_);
  const auto renew = [&](const std::string& path) {
    return RenewCertificate(folder_.path(), path, absl::Hours(240), now_).status().code();
  };
  EXPECT_EQ(renew(files->certificate), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(renew(folder_.File("ca.crt")), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(renew(folder_.File("none.crt")), absl::StatusCode::kNotFound);
  const auto mine = Device("CAM001");
  ASSERT_EQ(::rename(files->key.c_str(), mine->key.c_str()), 0);
  EXPECT_EQ(renew(mine->certificate), absl::StatusCode::kFailedPrecondition);
}

TEST_F(PkiTest, NoCertificateOutlivesItsAuthority) {
  AuthorityOptions options;
  options.lifetime = absl::Hours(48);
  ASSERT_TRUE(InitAuthority(folder_.path(), options, false, now_).ok());
  const auto files = Device("CAM001");
  ASSERT_TRUE(files.ok());
  EXPECT_LE(ReadCertificate(files->certificate)->not_after, now_ + absl::Hours(48));
  EXPECT_EQ(IssueDevice(folder_.path(), "CAM002", CertificateOptions(), now_ + absl::Hours(49))
                .status()
                .code(),
            absl::StatusCode::kFailedPrecondition);
}

TEST_F(PkiTest, AnAuthorityThatIsNoneSignsNothing) {
  EXPECT_EQ(Device("CAM001").status().code(), absl::StatusCode::kNotFound);
  Init();
  ASSERT_EQ(::chmod(folder_.File("ca.key").c_str(), 0640), 0);
  EXPECT_EQ(Device("CAM001").status().code(), absl::StatusCode::kFailedPrecondition);
  std::ofstream(folder_.File("ca.key")) << "no key";
  ASSERT_EQ(::chmod(folder_.File("ca.key").c_str(), 0600), 0);
  EXPECT_EQ(Device("CAM001").status().code(), absl::StatusCode::kInvalidArgument);
  std::ofstream(folder_.File("ca.crt")) << std::string(100'000, 'x');
  EXPECT_EQ(Device("CAM001").status().code(), absl::StatusCode::kResourceExhausted);
}

TEST(CertificateFactsTest, WhatIsNoCertificateIsRefused) {
  for (const std::string& text :
       {std::string(), std::string("x"), std::string("-----BEGIN CERTIFICATE-----\n"),
        std::string("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
        std::string(1'000'000, '-')}) {
    EXPECT_FALSE(ParseCertificate(text).ok());
  }
}

}  // namespace
}  // namespace viaduct::security
