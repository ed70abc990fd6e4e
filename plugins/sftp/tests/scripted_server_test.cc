// What servers may answer, and when, that no sshd does on demand.
#include "plugins/sftp/tests/scripted_server.h"

#include <gtest/gtest.h>

#include <optional>

#include "tests/support/digest.h"
#include "tests/support/test_folder.h"

namespace viaduct::sftp {
namespace {

using support::Content;
using support::TestFolder;
using support::WriteFile;

constexpr int64_t kSecond = 1'000'000'000;

// One upload over one channel, or with FSYNC over another one.
class ScriptedServerTest : public ::testing::Test {
 protected:
  void Begin(const std::vector<std::string>& extensions, size_t size, bool apart = false,
             uint64_t bytes_per_second = 0) {
    window_.bytes = 64u << 20;
    channel_.emplace(&window_, extensions);
    if (apart) syncs_.emplace(&window_, extensions);
    folders_.emplace("in", &channel_->requests);
    events_.on_progress = [this](uint64_t, uint64_t moved, uint64_t durable) {
      moved_ = moved;
      durable_ = durable;
    };
    events_.on_end = [this](const FileEnd& end) { end_ = end; };
    const std::string content = Content(size, 1);
    WriteFile(local_ / "a", content);
    job_.local_path = local_ / "a";
    job_.remote_name = "a";
    job_.size = size;
    job_.sha256 = support::Sha256Hex(content);
    job_.max_bytes_per_second = bytes_per_second;
    upload_ = std::make_shared<Upload>(job_, "in/part", &channel_->requests,
                                       apart ? &syncs_->requests : &channel_->requests, &*folders_,
                                       &events_);
    upload_->Start(now_);
    for (const Asked& asked : channel_->Take()) channel_->Handle(asked.id);
  }
  // Sends what there is room for.
  std::vector<Asked> Pump() {
    std::vector<Asked> all;
    bool more = true;
    while (more) {
      more = upload_->may_send() && upload_->Turn(now_);
      for (Asked& asked : channel_->Take()) all.push_back(std::move(asked));
    }
    return all;
  }
  // All is sent and written; only the look at the part and at the name are left.
  void SendAll() {
    for (const Asked& asked : Pump()) {
      if (asked.type == RequestType::kFstat) {
        channel_->File(asked.id, job_.size);
      } else if (asked.type == RequestType::kLstat) {
        look_ = asked.id;
      } else {
        channel_->Status(asked.id, StatusCode::kOk);
      }
    }
  }
  // The part is as it should be.
  void NamePart() {
    channel_->File(look_, job_.size);
    for (const Asked& asked : channel_->Take()) {
      if (asked.type == RequestType::kLstat) {
        look_ = asked.id;
      } else {
        channel_->Status(asked.id, StatusCode::kOk);
      }
    }
  }

  const std::vector<std::string> kAll = {"fsync@openssh.com", "posix-rename@openssh.com"};
  TestFolder local_;
  Window window_;
  std::optional<ScriptedChannel> channel_;
  std::optional<ScriptedChannel> syncs_;
  std::optional<Folders> folders_;
  Upload::Events events_;
  FileJob job_;
  std::shared_ptr<Upload> upload_;
  int64_t now_ = kSecond;
  uint32_t look_ = 0;
  uint64_t moved_ = 0;
  uint64_t durable_ = 0;
  std::optional<FileEnd> end_;
};

TEST_F(ScriptedServerTest, APartThatIsGoneIsNotNamed) {
  Begin(kAll, 1000);
  SendAll();
  ASSERT_FALSE(end_);
  channel_->Status(look_, StatusCode::kNoSuchFile);
  ASSERT_TRUE(end_);
  EXPECT_EQ(end_->outcome, FileOutcome::kRetry);
  EXPECT_EQ(end_->status.code(), absl::StatusCode::kDataLoss);
  for (const Asked& asked : channel_->Take()) EXPECT_EQ(asked.type, RequestType::kClose);
}

TEST_F(ScriptedServerTest, AHalfFileUnderTheNameIsNotDelivered) {
  Begin(kAll, 1000);
  SendAll();
  NamePart();
  ASSERT_FALSE(end_) << "the name was not looked at";
  channel_->File(look_, 400);
  ASSERT_TRUE(end_);
  EXPECT_EQ(end_->outcome, FileOutcome::kRetry);
  EXPECT_EQ(end_->status.code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(end_->durable_offset, 0u);
}

TEST_F(ScriptedServerTest, AReceiverMayTakeTheFileAwayAtOnce) {
  Begin(kAll, 1000);
  SendAll();
  NamePart();
  channel_->Status(look_, StatusCode::kNoSuchFile);
  ASSERT_TRUE(end_);
  EXPECT_EQ(end_->outcome, FileOutcome::kDurable) << end_->status;
}

}  // namespace
}  // namespace viaduct::sftp
