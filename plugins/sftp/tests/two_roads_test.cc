// Sessions that carry the same file to the same place at once.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "plugins/sftp/tests/real_server.h"

namespace viaduct::sftp {
namespace {

using ::testing::ElementsAre;

class TwoRoadsTest : public ::testing::Test {
 protected:
  TwoRoadsTest() { WriteFile(path_, content_); }

  ClientOptions Options(const std::string& road) const {
    ClientOptions options = server_.Options();
    options.road = road;
    return options;
  }
  // Begins, and waits until some of it has passed.
  static FileJob Begin(Road* road, const std::string& path, uint64_t bytes_per_second) {
    FileJob job = road->JobOf(path, "CAM1/a.jpg");
    job.max_bytes_per_second = bytes_per_second;
    EXPECT_TRUE(road->Ready()) << road->ended();
    EXPECT_TRUE(road->client->Begin(job).ok());
    return job;
  }
  void AwaitPart() {
    ASSERT_TRUE(Eventually([&] {
      const std::vector<std::string> files = FilesBelow(server_.incoming());
      return files.size() == 1 &&
             std::filesystem::file_size(server_.incoming() + "/" + files[0]) > 100'000;
    }));
  }

  TestFolder local_;
  const std::string path_ = local_ / "a.jpg";
  const std::string content_ = Content(2'000'000, 1);
  RealServer server_;
  const std::string final_ = server_.incoming() + "/CAM1/a.jpg";
};

TEST_F(TwoRoadsTest, DoNotTakeEachOthersParts) {
  Road lte(Options("lte"));
  Road ethernet(Options("ethernet"));
  const FileJob first = Begin(&lte, path_, 2'000'000);
  AwaitPart();
  const FileJob second = Begin(&ethernet, path_, 1'000'000);
  EXPECT_EQ(lte.EndOf(first.token).outcome, FileOutcome::kDurable);
  EXPECT_TRUE(ReadFile(final_) == content_) << "delivered and not there";
  EXPECT_FALSE(ethernet.HasEnded(second.token));
  EXPECT_EQ(ethernet.EndOf(second.token).outcome, FileOutcome::kDurable);
  EXPECT_TRUE(ReadFile(final_) == content_);
  EXPECT_THAT(FilesBelow(server_.incoming()), ElementsAre("CAM1/a.jpg"));
}

// A session that was given up and lives on at the server's end meets the one that followed.
TEST_F(TwoRoadsTest, AnotherFileUnderTheNameOfThePartIsNeverNamed) {
  Road former(Options("lte"));
  Road latter(Options("lte"));
  const FileJob first = Begin(&former, path_, 2'000'000);
  AwaitPart();
  const FileJob second = Begin(&latter, path_, 1'000'000);
  const FileEnd end = former.EndOf(first.token);
  EXPECT_EQ(end.outcome, FileOutcome::kRetry);
  EXPECT_EQ(end.status.code(), absl::StatusCode::kDataLoss) << end.status;
  EXPECT_EQ(end.durable_offset, 0u);
  EXPECT_FALSE(std::filesystem::exists(final_)) << "a half file has the name";
  EXPECT_EQ(latter.EndOf(second.token).outcome, FileOutcome::kDurable);
  EXPECT_TRUE(ReadFile(final_) == content_);
  EXPECT_THAT(FilesBelow(server_.incoming()), ElementsAre("CAM1/a.jpg"));
}

}  // namespace
}  // namespace viaduct::sftp
