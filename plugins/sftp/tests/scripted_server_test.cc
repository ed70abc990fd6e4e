// What servers may answer, and when, that no sshd does on demand.
#include "plugins/sftp/tests/scripted_server.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <deque>
#include <filesystem>
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
    events_.on_sent = [](size_t) {};
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
    if (job_.offset == 0) Opened();
  }
  void Opened() {
    for (const Asked& asked : channel_->Take()) {
      EXPECT_EQ(asked.type, RequestType::kOpen);
      channel_->Handle(asked.id);
    }
  }
  // The id of the only request that was made, which is of this type.
  uint32_t Only(RequestType type) {
    const std::vector<Asked> asked = channel_->Take();
    EXPECT_EQ(asked.size(), 1u);
    if (asked.empty()) return 0;
    EXPECT_EQ(asked[0].type, type);
    return asked[0].id;
  }
  // Reading the local file fails from now on.
  void BreakDisk() {
    const int broken = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
    for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
      std::error_code none;
      if (std::filesystem::read_symlink(entry.path(), none) != job_.local_path) continue;
      EXPECT_GE(dup2(broken, std::stoi(entry.path().filename())), 0);
    }
    close(broken);
  }
  // Answers as a server that writes in order but slowly, until nothing more comes; how much was
  // sent at all.
  uint64_t ServeSlowly() {
    constexpr size_t kAtOnce = 32;
    std::deque<Asked> asked;
    uint64_t pieces = 0;
    for (bool more = true; more && !end_;) {
      for (Asked& one : Pump()) asked.push_back(std::move(one));
      more = !asked.empty();
      for (size_t i = 0; i < kAtOnce && !asked.empty(); ++i, asked.pop_front()) {
        pieces += asked.front().type == RequestType::kWrite ? 1 : 0;
        if (asked.front().type == RequestType::kFstat) return pieces;
        channel_->Status(asked.front().id, StatusCode::kOk);
      }
      for (const Asked& one : syncs_->Take()) {
        more = true;
        if (one.type == RequestType::kOpen) {
          syncs_->Handle(one.id);
        } else {
          syncs_->Status(one.id, StatusCode::kOk);
        }
      }
    }
    return 0;
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
  void SendAll(bool backwards = false) {
    std::vector<Asked> all = Pump();
    if (backwards) std::reverse(all.begin(), all.end());
    for (const Asked& asked : all) {
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

TEST_F(ScriptedServerTest, AnswersMayComeInAnyOrder) {
  Begin(kAll, 3'000'000);
  SendAll(/*backwards=*/true);
  ASSERT_FALSE(end_) << end_->status;
  NamePart();
  channel_->File(look_, job_.size);
  ASSERT_TRUE(end_);
  EXPECT_EQ(end_->outcome, FileOutcome::kDurable) << end_->status;
}

TEST_F(ScriptedServerTest, GoesOnWithAWindowThatIsLargerThanWhatMayBeNotDurable) {
  Begin(kAll, 30'000'000, /*apart=*/true);
  EXPECT_GT(ServeSlowly(), 30'000'000u / (32u << 10));
}

TEST_F(ScriptedServerTest, GoesOnSoWithoutFsyncToo) {
  Begin({"posix-rename@openssh.com"}, 30'000'000, /*apart=*/true);
  EXPECT_GT(ServeSlowly(), 30'000'000u / (32u << 10));
}

TEST_F(ScriptedServerTest, WhatWaitsForItsFsyncHasNothingToDoMeanwhile) {
  Begin(kAll, 30'000'000, /*apart=*/true, /*bytes_per_second=*/100'000'000);
  now_ += kSecond;
  size_t acknowledged = 0;
  while (acknowledged < Upload::kSyncBytes) {
    const std::vector<Asked> writes = Pump();
    ASSERT_FALSE(writes.empty());
    for (const Asked& asked : writes) channel_->Status(asked.id, StatusCode::kOk);
    acknowledged += writes.size() * (32u << 10);
    now_ += kSecond / 10;
  }
  ASSERT_TRUE(Pump().empty());
  EXPECT_GT(upload_->due_ns(), now_ + 100 * kSecond) << "it turns in circles";
}

TEST_F(ScriptedServerTest, WhatCanNotBeLookedAtNowIsKept) {
  job_.offset = 500;
  Begin(kAll, 1000);
  channel_->Status(Only(RequestType::kLstat), StatusCode::kFailure);
  ASSERT_TRUE(end_);
  EXPECT_EQ(end_->outcome, FileOutcome::kRetry);
  EXPECT_EQ(end_->durable_offset, 500u);
  EXPECT_TRUE(channel_->Take().empty()) << "the part is removed";
}

TEST_F(ScriptedServerTest, ALinkThatIsPutBetweenLookAndOpenIsNotWrittenThrough) {
  job_.offset = 500;
  Begin(kAll, 1000);
  channel_->File(Only(RequestType::kLstat), 500);
  channel_->Handle(Only(RequestType::kOpen));
  channel_->Attributes(Only(RequestType::kLstat), 0120777, 10);
  ASSERT_TRUE(end_);
  EXPECT_EQ(end_->status.code(), absl::StatusCode::kPermissionDenied);
  Only(RequestType::kClose);
}

TEST_F(ScriptedServerTest, ReadingAgainIsProgress) {
  job_.offset = 3u << 20;
  Begin(kAll, 4u << 20);
  channel_->File(Only(RequestType::kLstat), job_.offset);
  channel_->Handle(Only(RequestType::kOpen));
  channel_->File(Only(RequestType::kLstat), job_.offset);
  for (uint64_t read = 1u << 20; read <= job_.offset; read += 1u << 20) {
    upload_->Turn(now_);
    EXPECT_EQ(moved_, read);
    EXPECT_EQ(durable_, job_.offset);
  }
}

TEST_F(ScriptedServerTest, AnErrorOfTheDiskGivesNoFileUp) {
  for (const uint64_t offset : {uint64_t{0}, uint64_t{500}}) {
    job_.offset = offset;
    end_.reset();
    Begin(kAll, 1000);
    if (offset > 0) {
      channel_->File(Only(RequestType::kLstat), offset);
      channel_->Handle(Only(RequestType::kOpen));
      channel_->File(Only(RequestType::kLstat), offset);
    }
    BreakDisk();
    upload_->Turn(now_);
    ASSERT_TRUE(end_);
    EXPECT_EQ(end_->outcome, FileOutcome::kRetry);
    EXPECT_EQ(end_->status.code(), absl::StatusCode::kDataLoss) << end_->status;
    EXPECT_EQ(end_->durable_offset, offset);
    Only(RequestType::kClose);
  }
}

}  // namespace
}  // namespace viaduct::sftp
