#include "core/receive/receiver.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/synchronization/notification.h"
#include "core/base/sha256.h"
#include "core/base/test_folder.h"
#include "core/store/sqlite_store.h"

namespace viaduct {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
constexpr absl::Duration kDeadline = absl::Seconds(20);

std::string Jpeg() {
  std::string jpeg("\xff\xd8\xff\xc0\x00\x0b\x08\x00\x01\x00\x01\x01\x01\x11\x00", 15);
  jpeg += std::string("\xff\xda\x00\x08\x01\x01\x00\x00\x3f\x00\x12\x34\xff\xd9", 14);
  return jpeg;
}

std::string IdOf(int n) { return absl::StrFormat("00000000-0000-7000-8000-%012d", n); }

class ReceiverTest : public testing::Test {
 protected:
  ReceiverTest() {
    SqliteStoreOptions store;
    store.path = folder_.File("store.db");
    store_ = OpenSqliteStore(store, &clock_, &log_).value();
    ImageFolderOptions images;
    images.root = folder_.File("images");
    images_ = ImageFolder::Open(images, &log_).value();
    options_.folder.root = folder_.File("in");
    options_.files = folder_.File("files");
    options_.settle = absl::Milliseconds(50);
    Start();
  }
  void Start() {
    receiver_.reset();
    Receiver::Deps deps;
    deps.clock = &clock_;
    deps.log = &log_;
    deps.store = store_.get();
    deps.images = images_.get();
    deps.answer = [this](const FileAnswer& answer) {
      const absl::MutexLock lock(&mutex_);
      answers_.push_back(answer);
    };
    auto started = Receiver::Start(options_, deps);
    ASSERT_TRUE(started.ok()) << started.status();
    receiver_ = *std::move(started);
  }
  std::string Path(const std::string& name) const { return folder_.File("in/" + name); }
  // As a road does: under another name, then renamed.
  void Put(const std::string& name, const std::string& text) {
    fs::create_directories(fs::path(Path(name)).parent_path());
    const std::string part = fs::path(Path(name)).parent_path() / ".viaduct-0.part";
    std::ofstream(part) << text;
    fs::rename(part, Path(name));
  }
  FileAnnouncement Of(int n, const std::string& name, const std::string& text,
                      FileKind kind = FileKind::kImage) {
    FileAnnouncement out;
    out.transfer_id = IdOf(n);
    out.device_id = name.substr(0, name.find('/'));
    out.node_id = "EDGE1";
    out.message_id = absl::StrCat("m-", n);
    out.kind = kind;
    out.file = {name, text.size(), HexSha256(text)};
    out.at = absl::FromUnixSeconds(1'705'314'600);
    return out;
  }
  AppendResult Append(StoreRecord record) {
    std::vector<StoreRecord> records;
    records.push_back(std::move(record));
    AppendResult result;
    absl::Notification done;
    store_->Append(std::move(records), [&](std::vector<AppendResult> results) {
      result = std::move(results[0]);
      done.Notify();
    });
    done.WaitForNotification();
    return result;
  }
  // As the sink does: durable, then told.
  void Announce(const FileAnnouncement& announcement) {
    const AppendResult stored = Append(RecordOf(announcement, clock_.Now()));
    ASSERT_TRUE(stored.status.ok()) << stored.status;
    receiver_->OnAnnounced(announcement, stored.duplicate);
  }
  // The next one.
  FileAnswer Answer() {
    const absl::MutexLock lock(&mutex_);
    const auto any = [this]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return !answers_.empty(); };
    EXPECT_TRUE(mutex_.AwaitWithTimeout(absl::Condition(&any), kDeadline)) << "no answer";
    if (answers_.empty()) return FileAnswer();
    FileAnswer answer = std::move(answers_.front());
    answers_.erase(answers_.begin());
    return answer;
  }
  bool Until(const std::function<bool()>& done) {
    const absl::Time end = absl::Now() + kDeadline;
    while (!done()) {
      if (absl::Now() > end) return false;
      std::this_thread::yield();
    }
    return true;
  }
  FileTransferRow Row(int n) { return store_->GetFileTransfer(IdOf(n)).value(); }
  std::string DetectionImage(int n) {
    DetectionRecord record;
    record.message_id = absl::StrCat("m-", n);
    record.camera_id = "CAM1";
    record.captured_at = absl::FromUnixSeconds(1'705'314'600);
    record.arrived_at = clock_.Now();
    record.key = MakeMessageKey(record.message_id, "CAM1", record.captured_at);
    Append(record);
    const auto page = store_->ListRecords(RecordsQuery());
    for (const DetectionRow& row : page->rows) {
      if (row.record.message_id == record.message_id) return row.record.image_path;
    }
    return "no detection";
  }

  TestFolder folder_;
  SystemClock clock_;
  NullLog log_;
  std::unique_ptr<Store> store_;
  std::unique_ptr<ImageFolder> images_;
  absl::Mutex mutex_;
  std::vector<FileAnswer> answers_ ABSL_GUARDED_BY(mutex_);
  ReceiverOptions options_;
  std::unique_ptr<Receiver> receiver_;
};

TEST_F(ReceiverTest, FileAndAnnouncementInEitherOrder) {
  Put("CAM1/2024/a.jpg", Jpeg());
  Announce(Of(1, "CAM1/2024/a.jpg", Jpeg()));
  FileAnswer answer = Answer();
  EXPECT_EQ(answer.transfer_id, IdOf(1));
  EXPECT_EQ(answer.state, FileState::kStored) << answer.detail;
  EXPECT_EQ(answer.device_id, "CAM1");
  EXPECT_EQ(answer.node_id, "EDGE1");
  EXPECT_EQ(answer.sha256, HexSha256(Jpeg()));
  Announce(Of(2, "CAM1/2024/b.jpg", Jpeg()));
  EXPECT_TRUE(Until([this] { return receiver_->Info().waiting == 1; }));
  Put("CAM1/2024/b.jpg", Jpeg());
  answer = Answer();
  EXPECT_EQ(answer.transfer_id, IdOf(2));
  EXPECT_EQ(answer.state, FileState::kStored) << answer.detail;
  for (const int n : {1, 2}) {
    const std::string path = DetectionImage(n);
    EXPECT_EQ(path, absl::StrCat("CAM1/files/2024/01/15/file_", IdOf(n), ".jpg"));
    EXPECT_EQ(images_->Read(path).value_or(""), Jpeg());
  }
  EXPECT_FALSE(fs::exists(Path("CAM1/2024"))) << "it is the node's now";
  EXPECT_TRUE(fs::exists(Path("CAM1")));
}

TEST_F(ReceiverTest, WhatIsNoImageIsKeptByItsTransfer) {
  Put("CAM1/log.txt", "text");
  Announce(Of(1, "CAM1/log.txt", "text", FileKind::kFile));
  EXPECT_EQ(Answer().state, FileState::kStored);
  std::ifstream in(options_.files + "/" + IdOf(1));
  EXPECT_EQ(std::string(std::istreambuf_iterator<char>(in), {}), "text");
  EXPECT_FALSE(fs::exists(Path("CAM1/log.txt")));
}

TEST_F(ReceiverTest, AFileThatIsAnotherIsSetAsideAndItsDeviceTold) {
  Put("CAM1/a.jpg", "something else");
  Announce(Of(1, "CAM1/a.jpg", Jpeg()));
  FileAnswer answer = Answer();
  EXPECT_EQ(answer.state, FileState::kFailed);
  EXPECT_THAT(answer.detail, HasSubstr("size: announced 29, the file has 14"));
  EXPECT_EQ(Row(1).record.state, FileState::kFailed);
  EXPECT_TRUE(fs::exists(Path(".viaduct-aside/" + IdOf(1))));
  EXPECT_FALSE(fs::exists(Path("CAM1/a.jpg")));
  // The right one, told of again.
  Announce(Of(1, "CAM1/a.jpg", Jpeg()));
  EXPECT_EQ(Answer().state, FileState::kWaiting);
  Put("CAM1/a.jpg", Jpeg());
  EXPECT_EQ(Answer().state, FileState::kStored);
  EXPECT_EQ(receiver_->Info().failed, 1u);
  EXPECT_EQ(receiver_->Info().stored, 1u);
}

TEST_F(ReceiverTest, WhatIsNoImageIsNoImage) {
  Put("CAM1/a.jpg", "GIF89a");
  Announce(Of(1, "CAM1/a.jpg", "GIF89a"));
  FileAnswer answer = Answer();
  EXPECT_EQ(answer.state, FileState::kFailed);
  EXPECT_THAT(answer.detail, HasSubstr("neither a whole JPEG nor PNG nor WebP"));
  FileAnnouncement large = Of(2, "CAM1/b.jpg", "x");
  large.file.size = images_->options().max_image_bytes + 1;
  Put("CAM1/b.jpg", "x");
  Announce(large);
  answer = Answer();
  EXPECT_EQ(answer.state, FileState::kFailed);
  EXPECT_THAT(answer.detail, HasSubstr("too large"));
  EXPECT_EQ(DetectionImage(1), "");
}

// Some write it under its own name.
TEST_F(ReceiverTest, AFileThatIsNotThroughIsNotJudged) {
  options_.settle = absl::Seconds(2);
  Start();
  Put("CAM1/a.jpg", Jpeg().substr(0, 10));
  Announce(Of(1, "CAM1/a.jpg", Jpeg()));
  EXPECT_TRUE(Until([this] { return receiver_->Info().waiting == 1; }));
  std::ofstream(Path("CAM1/a.jpg"), std::ios::app) << Jpeg().substr(10);
  EXPECT_EQ(Answer().state, FileState::kStored);
}

TEST_F(ReceiverTest, NoLinkOrPipeIsTakenIn) {
  std::ofstream(folder_.File("secret.jpg")) << Jpeg();
  fs::create_directories(Path("CAM1"));
  fs::create_symlink(folder_.File("secret.jpg"), Path("CAM1/a.jpg"));
  ASSERT_EQ(mkfifo(Path("CAM1/b.jpg").c_str(), 0600), 0);
  for (const auto& [n, name] : std::map<int, std::string>{{1, "a"}, {2, "b"}}) {
    Announce(Of(n, absl::StrCat("CAM1/", name, ".jpg"), Jpeg()));
    EXPECT_EQ(Answer().state, FileState::kFailed);
  }
  EXPECT_TRUE(fs::exists(folder_.File("secret.jpg")));
}

TEST_F(ReceiverTest, IsAnsweredAgainWhenItIsToldOfAgain) {
  Put("CAM1/a.jpg", Jpeg());
  Announce(Of(1, "CAM1/a.jpg", Jpeg()));
  EXPECT_EQ(Answer().state, FileState::kStored);
  Announce(Of(1, "CAM1/a.jpg", Jpeg()));
  const FileAnswer again = Answer();
  EXPECT_EQ(again.state, FileState::kStored);
  EXPECT_EQ(again.sha256, HexSha256(Jpeg()));
  Announce(Of(2, "CAM1/b.jpg", Jpeg()));
  Announce(Of(2, "CAM1/b.jpg", Jpeg()));
  EXPECT_EQ(Answer().state, FileState::kWaiting);
}

// Two transfers of one name: what is not the one may be the other.
TEST_F(ReceiverTest, AFileIsNotSetAsideWhileAnotherTransferLooksForIt) {
  const std::string other = Jpeg() + Jpeg();
  Announce(Of(1, "CAM1/a.jpg", "no picture of mine"));
  Announce(Of(2, "CAM1/a.jpg", Jpeg()));
  EXPECT_TRUE(Until([this] { return receiver_->Info().waiting == 2; }));
  Put("CAM1/a.jpg", Jpeg());
  std::map<std::string, FileState> ended;
  for (int i = 0; i < 2; ++i) {
    const FileAnswer answer = Answer();
    ended[answer.transfer_id] = answer.state;
  }
  EXPECT_EQ(ended[IdOf(1)], FileState::kFailed);
  EXPECT_EQ(ended[IdOf(2)], FileState::kStored);
}

TEST_F(ReceiverTest, TakesUpWhatWaitedWhenItStopped) {
  Announce(Of(1, "CAM1/a.jpg", Jpeg()));
  receiver_->Stop();
  Put("CAM1/a.jpg", Jpeg());
  Start();
  EXPECT_EQ(Answer().state, FileState::kStored);
}

TEST_F(ReceiverTest, WhatDoesNotComeHasFailed) {
  receiver_->Stop();
  FileTransferRecord record = RecordOf(Of(1, "CAM1/a.jpg", Jpeg()), clock_.Now());
  record.at = clock_.Now() - absl::Hours(2);
  ASSERT_TRUE(Append(record).status.ok());
  options_.wait = absl::Hours(1);
  Start();
  const FileAnswer answer = Answer();
  EXPECT_EQ(answer.state, FileState::kFailed);
  EXPECT_THAT(answer.detail, HasSubstr("did not come within 1h"));
  EXPECT_EQ(Row(1).record.state, FileState::kFailed);
  EXPECT_EQ(receiver_->Info().expired, 1u);
}

TEST_F(ReceiverTest, FindsByLookingWhatItWasNotToldOf) {
  receiver_->Stop();
  Put("CAM1/nobody.jpg", "x");
  Put("CAM1/a.jpg", Jpeg());
  options_.rescan = absl::Milliseconds(20);
  options_.settle = absl::Milliseconds(1);
  Start();
  EXPECT_TRUE(Until([this] { return receiver_->Info().unannounced == 2; }));
  Announce(Of(1, "CAM1/a.jpg", Jpeg()));
  EXPECT_EQ(Answer().state, FileState::kStored);
  EXPECT_TRUE(Until([this] { return receiver_->Info().unannounced == 1; }));
  EXPECT_EQ(receiver_->Info().unannounced_names, std::vector<std::string>{"CAM1/nobody.jpg"});
}

TEST_F(ReceiverTest, KeepsToTheQuotaOfADevice) {
  receiver_->Stop();
  for (int i = 0; i < 4; ++i) Put(absl::StrCat("CAM1/", i), std::string(100, 'x'));
  Put("CAM2/x", std::string(100, 'x'));
  options_.cleanup.max_bytes_per_device = 250;
  Start();
  EXPECT_TRUE(Until([this] { return receiver_->Info().removed_files == 2; }));
  EXPECT_EQ(receiver_->Info().over_quota, std::vector<std::string>{"CAM1"});
  EXPECT_TRUE(fs::exists(Path("CAM2/x")));
}

}  // namespace
}  // namespace viaduct
