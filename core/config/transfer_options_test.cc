#include "core/config/transfer_options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "core/config/test_environment.h"
#include "core/config/validate.h"

namespace viaduct {
namespace {

class TransferOptionsTest : public ::testing::Test {
 protected:
  ConfigReport Validate(const std::string& yaml) {
    return ConfigValidator(&schemas_, &environment_).Validate(yaml, "f.yaml");
  }
  TransferOptionsConfig Read(const std::string& yaml) {
    const ConfigReport report = Validate(yaml);
    EXPECT_TRUE(report.ok()) << report.status();
    return report.ok() ? ReadTransferOptions(*report.config) : TransferOptionsConfig();
  }

  FakeSchemas schemas_;
  FakeEnvironment environment_;
};

TEST_F(TransferOptionsTest, HasSensibleDefaults) {
  const TransferOptionsConfig options = Read("node: {data_dir: /data}");
  EXPECT_EQ(options.folder, "/data/transfers");
  EXPECT_TRUE(options.roots.empty());
  EXPECT_EQ(options.max_files, 100'000u);
  EXPECT_EQ(options.max_bytes, uint64_t{16} << 30);
  EXPECT_EQ(options.parallel_files, 32u);
  EXPECT_EQ(options.parallel_bytes, uint64_t{64} << 20);
  EXPECT_EQ(options.bytes_per_second, 0u);
  EXPECT_FALSE(options.server_confirms);
  EXPECT_TRUE(options.announce);
  EXPECT_EQ(options.images, "inline");
  EXPECT_EQ(options.images_from, 8u << 10);
  EXPECT_EQ(options.keep, absl::ZeroDuration());
  EXPECT_EQ(options.history, 10'000u);
  EXPECT_EQ(options.retry.max_delay, absl::Minutes(5));
  EXPECT_TRUE(options.watch.empty());
}

TEST_F(TransferOptionsTest, ReadsWhatIsGiven) {
  const TransferOptionsConfig options = Read(R"(
node: {data_dir: /data}
transfers:
  roots: [/srv/pictures]
  confirm: server
  bandwidth: 1MiB
  images: auto
  images_from: 64KiB
  schedule: {windows: [{from: "22:30", to: "06:05"}], min_quality: fair, unmetered_only: true}
  retention: {keep: 7d}
  watch: [{path: drop, priority: high, after: delete, settle: 2s}]
)");
  EXPECT_EQ(options.roots, std::vector<std::string>{"/srv/pictures"});
  EXPECT_TRUE(options.server_confirms);
  EXPECT_EQ(options.bytes_per_second, 1u << 20);
  EXPECT_EQ(options.images, "auto");
  EXPECT_EQ(options.images_from, 64u << 10);
  ASSERT_EQ(options.windows.size(), 1u);
  EXPECT_EQ(options.windows[0], std::make_pair(22 * 60 + 30, 6 * 60 + 5));
  EXPECT_EQ(options.min_quality, "fair");
  EXPECT_TRUE(options.unmetered_only);
  EXPECT_EQ(options.keep, absl::Hours(7 * 24));
  ASSERT_EQ(options.watch.size(), 1u);
  EXPECT_EQ(options.watch[0].path, "/data/drop");
  EXPECT_EQ(options.watch[0].priority, "high");
  EXPECT_TRUE(options.watch[0].remove);
  EXPECT_EQ(options.watch[0].settle, absl::Seconds(2));
}

TEST_F(TransferOptionsTest, RefusesWhatMakesNoSense) {
  for (const char* bad : {"transfers: {roots: [relative]}",
                          "transfers: {schedule: {windows: [{from: \"25:00\", to: \"06:00\"}]}}",
                          "transfers: {parallel: {files: 0}}", "transfers: {confirm: nobody}",
                          "transfers: {watch: [{settle: 1s}]}", "transfers: {images: never}",
                          "transfers: {images_from: 0}"}) {
    EXPECT_FALSE(Validate(bad).ok()) << bad;
  }
}

}  // namespace
}  // namespace viaduct
