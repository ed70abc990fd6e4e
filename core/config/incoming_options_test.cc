#include "core/config/incoming_options.h"

#include <gtest/gtest.h>

#include <string>

#include "core/config/test_environment.h"
#include "core/config/validate.h"

namespace viaduct {
namespace {

class IncomingOptionsTest : public ::testing::Test {
 protected:
  ConfigReport Validate(const std::string& yaml) {
    return ConfigValidator(&schemas_, &environment_).Validate(yaml, "f.yaml");
  }
  std::optional<IncomingOptionsConfig> Read(const std::string& yaml) {
    const ConfigReport report = Validate(yaml);
    EXPECT_TRUE(report.ok()) << report.status();
    return report.ok() ? ReadIncomingOptions(*report.config) : std::nullopt;
  }

  FakeSchemas schemas_;
  FakeEnvironment environment_;
};

TEST_F(IncomingOptionsTest, NothingIsTakenInUnlessItIsAskedFor) {
  EXPECT_FALSE(Read("node: {data_dir: /data}").has_value());
}

TEST_F(IncomingOptionsTest, HasSensibleDefaults) {
  const auto options = Read("{node: {data_dir: /data, sinks: [store]}, incoming: {}}");
  ASSERT_TRUE(options.has_value());
  EXPECT_EQ(options->folder, "/data/incoming");
  EXPECT_EQ(options->inside, "");
  EXPECT_EQ(options->files, "/data/files");
  EXPECT_EQ(options->settle, absl::Seconds(10));
  EXPECT_EQ(options->rescan, absl::Minutes(1));
  EXPECT_EQ(options->wait, absl::Hours(7 * 24));
  EXPECT_EQ(options->keep, absl::Hours(7 * 24));
  EXPECT_EQ(options->keep_parts, absl::Hours(7 * 24));
  EXPECT_EQ(options->max_bytes_per_device, uint64_t{16} << 30);
  EXPECT_EQ(options->min_free_bytes, uint64_t{256} << 20);
  EXPECT_EQ(options->parallel, 2);
}

TEST_F(IncomingOptionsTest, ReadsWhatIsGiven) {
  const auto options = Read(R"(
node: {data_dir: /data, sinks: [store]}
incoming: {folder: /srv/viaduct/edge, inside: incoming, rescan: 5s, max_bytes_per_device: 2MiB, parallel: 4}
)");
  ASSERT_TRUE(options.has_value());
  EXPECT_EQ(options->folder, "/srv/viaduct/edge");
  EXPECT_EQ(options->inside, "incoming");
  EXPECT_EQ(options->rescan, absl::Seconds(5));
  EXPECT_EQ(options->max_bytes_per_device, 2u << 20);
  EXPECT_EQ(options->parallel, 4);
}

TEST_F(IncomingOptionsTest, RefusesWhatCannotBe) {
  for (const char* bad :
       {"incoming: {parallel: 0}", "incoming: {inside: a/b}", "incoming: {inside: ..}",
        "incoming: {wait: 1s}", "incoming: {quota: 1}"}) {
    EXPECT_FALSE(Validate(bad).ok()) << bad;
  }
}

}  // namespace
}  // namespace viaduct
