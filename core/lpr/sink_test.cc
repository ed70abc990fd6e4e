// The sinks by themselves; application_test.cc has them at work.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <memory>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/blocking_counter.h"
#include "absl/synchronization/notification.h"
#include "core/lpr/fan_out_sink.h"
#include "core/lpr/ingest.h"
#include "core/lpr/store_sink.h"
#include "core/lpr/testing/wrapped_store.h"
#include "core/store/sqlite_store.h"

namespace viaduct {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::SizeIs;

constexpr absl::Duration kDeadline = absl::Seconds(30);

std::string TinyJpeg() {
  std::string jpeg("\xff\xd8\xff\xc0\x00\x0b\x08\x00\x01\x00\x01\x01\x01\x11\x00", 15);
  jpeg += std::string("\xff\xda\x00\x08\x01\x01\x00\x00\x3f\x00\x12\x34\xff\xd9", 14);
  return jpeg;
}

Envelope Message(const std::string& id, const std::string& payload) {
  Envelope envelope;
  envelope.message_id = id;
  envelope.timestamp = absl::FromUnixSeconds(1705314600);
  envelope.protocol = "rest";
  envelope.edge_device_id = "CAM001";
  envelope.payload_json = payload;
  return envelope;
}

std::string WithImage() {
  return absl::StrCat(R"({"annotated_image":")", absl::Base64Escape(TinyJpeg()), R"("})");
}

std::vector<AcceptResult> Accept(Sink* sink, std::vector<Arrival> batch) {
  absl::Notification done;
  std::vector<AcceptResult> out;
  sink->Accept(std::move(batch), [&](std::vector<AcceptResult> results) {
    out = std::move(results);
    done.Notify();
  });
  EXPECT_TRUE(done.WaitForNotificationWithTimeout(kDeadline));
  return out;
}

// Answers what it is told to; knows what it has seen.
class ScriptedSink final : public Sink {
 public:
  ScriptedSink(absl::Status status, std::string id) : status_(std::move(status)), id_(id) {}
  void Accept(std::vector<Arrival> batch, AcceptFn done) override {
    ++calls;
    done(std::vector<AcceptResult>(batch.size(), AcceptResult{status_, calls > 1, id_}));
  }
  int calls = 0;

 private:
  const absl::Status status_;
  const std::string id_;
};

TEST(FanOutSinkTest, AcceptsWhatEverySinkAccepts) {
  ScriptedSink first(absl::OkStatus(), "first");
  ScriptedSink second(absl::OkStatus(), "second");
  FanOutSink sink({&first, &second});
  auto results = Accept(&sink, {Message("a", "{}"), Message("b", "{}")});
  ASSERT_THAT(results, SizeIs(2));
  EXPECT_TRUE(results[1].status.ok());
  EXPECT_FALSE(results[1].duplicate);
  EXPECT_EQ(results[1].id, "first");
  results = Accept(&sink, {Message("a", "{}")});
  EXPECT_TRUE(results[0].duplicate);
}

TEST(FanOutSinkTest, TellsTheWorst) {
  ScriptedSink good(absl::OkStatus(), "id");
  ScriptedSink full(absl::ResourceExhaustedError("full"), "");
  ScriptedSink bad(absl::InvalidArgumentError("bad"), "");
  FanOutSink sink({&good, &full, &bad});
  EXPECT_EQ(Accept(&sink, {Message("a", "{}")})[0].status.message(), "bad");
  FanOutSink passing({&good, &full});
  EXPECT_EQ(Accept(&passing, {Message("a", "{}")})[0].status.code(),
            absl::StatusCode::kResourceExhausted);
}

class StoreSinkTest : public ::testing::Test {
 protected:
  StoreSinkTest() {
    std::string path = ::testing::TempDir() + "/sink-XXXXXX";
    folder_ = mkdtemp(path.data());
    SqliteStoreOptions options;
    options.path = folder_ + "/store.db";
    store_ = *OpenSqliteStore(options, &clock_, &log_);
    images_ = *ImageFolder::Open(ImageFolderOptions{folder_ + "/images"}, &log_);
    sink_ = std::make_unique<StoreSink>(StoreSinkOptions(), store_.get(), images_.get(), &clock_,
                                        &log_);
  }
  ~StoreSinkTest() override {
    sink_.reset();
    store_.reset();
    fs::remove_all(folder_);
  }
  int64_t Files() {
    int64_t count = 0;
    for (const auto& entry : fs::recursive_directory_iterator(folder_ + "/images")) {
      count += entry.is_directory() ? 0 : 1;
    }
    return count;
  }

  FakeClock clock_;
  NullLog log_;
  std::string folder_;
  std::unique_ptr<Store> store_;
  std::unique_ptr<ImageFolder> images_;
  std::unique_ptr<StoreSink> sink_;
};

TEST_F(StoreSinkTest, ABadMessageFailsAlone) {
  const auto results = Accept(sink_.get(), {Message("a", "{}"), Message("b", R"({"plates":7})"),
                                            Message("c", WithImage())});
  ASSERT_THAT(results, SizeIs(3));
  EXPECT_TRUE(results[0].status.ok()) << results[0].status;
  EXPECT_EQ(results[1].status.message(), "plates: expected an array, got a number");
  EXPECT_TRUE(results[2].status.ok()) << results[2].status;
  EXPECT_EQ(Files(), 1);
}

TEST_F(StoreSinkTest, WhatWasReadAlreadyIsNotReadAgain) {
  PayloadOptions options;
  options.keep_images = true;
  DetectionPayload read;
  ASSERT_TRUE(ReadDetection(R"({"license_plate":"12A34567"})", options, &read).ok());
  const auto results = Accept(sink_.get(), {Arrival(Message("a", "no JSON"), std::move(read))});
  ASSERT_TRUE(results[0].status.ok()) << results[0].status;
  const auto page = store_->ListRecords(RecordsQuery());
  ASSERT_TRUE(page.ok()) << page.status();
  ASSERT_THAT(page->rows, SizeIs(1));
  EXPECT_EQ(page->rows[0].record.plates[0].text, "12A34567");
}

TEST_F(StoreSinkTest, TheSameImageMessageTwiceInABatchIsADuplicate) {
  const auto results = Accept(sink_.get(), {Message("a", WithImage()), Message("a", WithImage())});
  EXPECT_TRUE(results[0].status.ok() && !results[0].duplicate);
  EXPECT_TRUE(results[1].status.ok() && results[1].duplicate) << results[1].status;
  EXPECT_EQ(results[0].id, results[1].id);
  EXPECT_EQ(Files(), 1);
}

TEST_F(StoreSinkTest, ManySendersOfOneMessageStoreItOnce) {
  constexpr int kSenders = 16;
  absl::BlockingCounter answered(kSenders);
  std::atomic<int> fresh{0};
  for (int i = 0; i < kSenders; ++i) {
    sink_->Accept({Message("a", WithImage())}, [&](const std::vector<AcceptResult>& results) {
      const absl::Status& status = results[0].status;
      EXPECT_TRUE(status.ok() || status.code() == absl::StatusCode::kUnavailable) << status;
      fresh += status.ok() && !results[0].duplicate ? 1 : 0;
      answered.DecrementCount();
    });
  }
  answered.Wait();
  EXPECT_EQ(fresh, 1);
  EXPECT_EQ(Files(), 1);
  EXPECT_EQ(store_->Statistics()->total_detections, 1);
}

TEST_F(StoreSinkTest, AnImageFolderThatCannotBeWrittenRefusesTheMessage) {
  fs::remove_all(folder_ + "/images");
  const auto results = Accept(sink_.get(), {Message("a", WithImage()), Message("b", "{}")});
  EXPECT_EQ(results[0].status.code(), absl::StatusCode::kUnavailable) << results[0].status;
  EXPECT_THAT(results[0].status.message(), HasSubstr("images: cannot create"));
  EXPECT_TRUE(results[1].status.ok());
  EXPECT_EQ(store_->Statistics()->total_detections, 1);
  fs::create_directories(folder_ + "/images/.incoming");
  EXPECT_TRUE(Accept(sink_.get(), {Message("a", WithImage())})[0].status.ok());
}

// A store that cannot tell what it has, and has no room.
class BlindStore final : public WrappedStore {
 public:
  using WrappedStore::WrappedStore;
  absl::StatusOr<bool> HasDetection(const MessageKey&) override {
    return absl::UnavailableError("store: too many readers");
  }
  void Append(std::vector<StoreRecord> records, AppendFn done) override {
    done(std::vector<AppendResult>(records.size(),
                                   AppendResult{absl::ResourceExhaustedError("full"), false, ""}));
  }
};

TEST_F(StoreSinkTest, ImagesOfAStoredDetectionOutliveAStoreThatCannotTell) {
  ASSERT_TRUE(Accept(sink_.get(), {Message("a", WithImage())})[0].status.ok());
  BlindStore blind(store_.get());
  StoreSink sink(StoreSinkOptions(), &blind, images_.get(), &clock_, &log_);
  EXPECT_EQ(Accept(&sink, {Message("a", WithImage())})[0].status.code(),
            absl::StatusCode::kUnavailable);
  EXPECT_EQ(Files(), 1);
  // And the key is free again.
  EXPECT_TRUE(Accept(sink_.get(), {Message("a", WithImage())})[0].duplicate);
}

Envelope FileMessage(const std::string& device, const std::string& name) {
  Envelope envelope =
      Message("00000000-0000-7000-8000-000000000001",
              absl::StrCat(R"({"type":"file_transfer_request","transfer_id":)",
                           R"("00000000-0000-7000-8000-000000000001","camera_id":")", device,
                           R"(","name":")", name, R"(","size":5,"sha256":")", std::string(64, 'a'),
                           R"(","timestamp":"2024-01-15T10:30:00Z"})"));
  envelope.data_type = DataType::kControl;
  return envelope;
}

TEST_F(StoreSinkTest, WhatTellsOfAFileIsKeptAndPassedOn) {
  std::vector<bool> known;
  StoreSinkOptions options;
  options.announced = [&](const FileAnnouncement& file, bool again) {
    EXPECT_EQ(file.file.name, "CAM001/a");
    EXPECT_EQ(file.file.size, 5u);
    // It is durable by now.
    EXPECT_TRUE(store_->GetFileTransfer(file.transfer_id).ok());
    known.push_back(again);
  };
  sink_ = std::make_unique<StoreSink>(options, store_.get(), images_.get(), &clock_, &log_);
  for (int i = 0; i < 2; ++i) {
    const auto results = Accept(sink_.get(), {FileMessage("CAM001", "CAM001/a")});
    ASSERT_TRUE(results[0].status.ok()) << results[0].status;
    EXPECT_EQ(results[0].duplicate, i > 0);
    EXPECT_EQ(results[0].id, "00000000-0000-7000-8000-000000000001");
  }
  EXPECT_EQ(known, (std::vector<bool>{false, true}));
  for (const Envelope& bad : {FileMessage("CAM001", "../a"), FileMessage("CAM002", "CAM002/a")}) {
    const auto refused = Accept(sink_.get(), {bad});
    EXPECT_EQ(refused[0].status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_FALSE(CheckMessage(bad, PayloadOptions()).ok()) << "a node on the way takes it";
  }
  EXPECT_THAT(known, SizeIs(2));
}

TEST_F(StoreSinkTest, WithoutAnImageFolderTheDetectionSaysSo) {
  StoreSink sink(StoreSinkOptions(), store_.get(), nullptr, &clock_, &log_);
  EXPECT_TRUE(Accept(&sink, {Message("a", WithImage())})[0].status.ok());
  EXPECT_EQ(store_->ListRecords(RecordsQuery())->rows.at(0).record.note,
            "images: this node keeps none");
}

}  // namespace
}  // namespace viaduct
