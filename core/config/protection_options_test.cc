// The sections "encryption" and "privacy", and what else speaks of encryption.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "core/config/encryption_options.h"
#include "core/config/privacy_options.h"
#include "core/config/test_environment.h"
#include "core/config/validate.h"

namespace viaduct {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class ProtectionOptionsTest : public ::testing::Test {
 protected:
  ConfigReport Validate(const std::string& yaml) {
    return ConfigValidator(&schemas_, &environment_).Validate(yaml, "f.yaml");
  }
  NodeConfig Read(const std::string& yaml) {
    ConfigReport report = Validate(yaml);
    EXPECT_TRUE(report.ok()) << report.status();
    return report.ok() ? *report.config : NodeConfig();
  }

  FakeSchemas schemas_;
  FakeEnvironment environment_;
};

TEST_F(ProtectionOptionsTest, NothingIsEncryptedOrForgottenUnlessItIsAskedFor) {
  const NodeConfig config = Read("node: {data_dir: /data}");
  EXPECT_FALSE(ReadEncryptionOptions(config).has_value());
  EXPECT_FALSE(config.spool.encrypt);
  EXPECT_FALSE(config.store.encrypt_images);
  const PrivacyOptionsConfig privacy = ReadPrivacyOptions(config);
  EXPECT_THAT(privacy.mask_plates_for, IsEmpty());
  EXPECT_EQ(privacy.retention.detections, absl::InfiniteDuration());
  EXPECT_EQ(privacy.retention.file_transfers, absl::InfiniteDuration());
}

TEST_F(ProtectionOptionsTest, ReadsWhatIsGiven) {
  const NodeConfig config = Read(
      "{node: {data_dir: /data}, encryption: {keys: site.keys, seal: true}, spool: {encrypt: true},"
      " store: {encrypt_images: true}, privacy: {mask_plates_for: [viewer], retention: "
      "{detections: 90d, images: 30d, health: 12h, messages: 1d, communication_logs: 14d, "
      "file_transfers: 60d}}}");
  const auto encryption = ReadEncryptionOptions(config);
  ASSERT_TRUE(encryption.has_value());
  EXPECT_EQ(encryption->keys, "/data/site.keys");
  EXPECT_TRUE(encryption->seal);
  EXPECT_FALSE(encryption->accept_unbound);
  EXPECT_TRUE(config.spool.encrypt);
  EXPECT_TRUE(config.store.encrypt_images);
  const PrivacyOptionsConfig privacy = ReadPrivacyOptions(config);
  EXPECT_THAT(privacy.mask_plates_for, ElementsAre("viewer"));
  EXPECT_EQ(privacy.retention.detections, absl::Hours(24 * 90));
  EXPECT_EQ(privacy.retention.images, absl::Hours(24 * 30));
  EXPECT_EQ(privacy.retention.health, absl::Hours(12));
  EXPECT_EQ(privacy.retention.messages, absl::Hours(24));
  EXPECT_EQ(privacy.retention.communication_logs, absl::Hours(24 * 14));
  EXPECT_EQ(privacy.retention.file_transfers, absl::Hours(24 * 60));
}

TEST_F(ProtectionOptionsTest, SaysWhatIsWrong) {
  EXPECT_FALSE(Validate("encryption: {seal: true}").ok()) << "without keys";
  EXPECT_FALSE(Validate("privacy: {mask_plates_for: [admin]}").ok());
  EXPECT_FALSE(Validate("privacy: {retention: {detections: 1s}}").ok());
  EXPECT_FALSE(Validate("privacy: {retention: {detection: 90d}}").ok());
}

}  // namespace
}  // namespace viaduct
