#include "core/lpr/image_file_sink.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "core/lpr/image_file_sink_test_support.h"

namespace viaduct {
namespace {

using nlohmann::json;
using testing::IsEmpty;
using testing::SizeIs;

constexpr char kId[] = "0190a6f0-1234-7abc-8def-0123456789ab";

class ImageFileSinkTest : public testing::Test {
 protected:
  static ImageFileOptions By(ImageRoute route) {
    ImageFileOptions options;
    options.route = route;
    options.from_bytes = 1000;
    return options;
  }
  static json PayloadOf(const Envelope& message) { return json::parse(message.payload_json); }
  // The message has its images still.
  static bool IsInline(const Envelope& message) {
    const json payload = PayloadOf(message);
    return payload["annotated_image"].is_string() && !payload.contains("image_files");
  }

  TransferTestFolder folder_;
};

TEST_F(ImageFileSinkTest, SendsImagesAsFilesAndNamesThemInTheMessage) {
  ImageEdge edge(folder_.path(), By(ImageRoute::kFile));
  const std::string vehicle = JpegOf(5000, 1);
  const std::string plate = JpegOf(2000, 2);
  const std::string small = JpegOf(200, 3);
  const AcceptResult result = edge.Accept(DetectionOf(kId, vehicle, {small, plate}));
  ASSERT_TRUE(result.status.ok()) << result.status;
  EXPECT_EQ(result.id, kId);
  ASSERT_THAT(edge.Messages(), SizeIs(1));
  const json payload = PayloadOf(edge.Messages()[0]);
  EXPECT_EQ(payload["annotated_image"], nullptr);
  EXPECT_EQ(payload["cropped_plates"], json::array({absl::Base64Escape(small), nullptr}));
  EXPECT_EQ(payload["plates_count"], 1);
  const std::vector<Transfer> files = edge.Files();
  ASSERT_THAT(files, SizeIs(2));
  ASSERT_THAT(payload["image_files"], SizeIs(2));
  const std::string* octets[] = {&vehicle, &plate};
  for (size_t i = 0; i < 2; ++i) {
    const json& named = payload["image_files"][i];
    EXPECT_EQ(named["kind"], i == 0 ? "image" : "plate");
    EXPECT_EQ(named["index"], i == 0 ? 0 : 1);
    EXPECT_EQ(named["transfer_id"], files[i].id);
    EXPECT_EQ(named["name"], files[i].remote_name);
    EXPECT_EQ(named["size"], octets[i]->size());
    EXPECT_EQ(named["sha256"], HexSha256(*octets[i]));
    EXPECT_EQ(files[i].kind, named["kind"].get<std::string>());
    EXPECT_EQ(files[i].index, named["index"].get<uint32_t>());
    EXPECT_EQ(files[i].message_id, kId);
    EXPECT_EQ(files[i].device, "CAM001");
    EXPECT_EQ(files[i].captured, absl::FromUnixSeconds(1705314600));
    EXPECT_EQ(ReadText(files[i].local_path), *octets[i]);
  }
  EXPECT_EQ(files[0].remote_name, absl::StrCat("CAM001/2024/01/15/detection_", kId, ".jpg"));
  EXPECT_EQ(files[1].remote_name, absl::StrCat("CAM001/2024/01/15/plate_", kId, "_1.jpg"));
  EXPECT_EQ(edge.sink()->files(), 2u);
}

TEST_F(ImageFileSinkTest, KeepsTheMessageAsItIsByDefault) {
  ImageEdge edge(folder_.path(), ImageFileOptions());
  edge.network = {LinkQuality::kPoor, true, false};
  const Envelope message = DetectionOf(kId, JpegOf(50'000, 1), {});
  ASSERT_TRUE(edge.Accept(message).status.ok());
  EXPECT_EQ(edge.Messages()[0].payload_json, message.payload_json);
  EXPECT_THAT(edge.Files(), IsEmpty());
}

TEST_F(ImageFileSinkTest, FollowsTheNetworkWithHysteresis) {
  ImageEdge edge(folder_.path(), By(ImageRoute::kAuto));
  const struct {
    ImageNetwork network;
    bool by_file;
  } steps[] = {
      {{LinkQuality::kUnknown, true, false}, false}, {{LinkQuality::kFair, true, false}, false},
      {{LinkQuality::kPoor, true, false}, true},     {{LinkQuality::kFair, true, false}, true},
      {{LinkQuality::kUnknown, true, false}, true},  {{LinkQuality::kPoor, false, false}, false},
      {{LinkQuality::kPoor, true, true}, false},     {{LinkQuality::kFair, true, false}, true},
      {{LinkQuality::kGood, true, false}, false},    {{LinkQuality::kFair, true, false}, false},
  };
  size_t number = 0;
  for (const auto& step : steps) {
    edge.network = step.network;
    ASSERT_TRUE(edge.Accept(DetectionOf(TestId(static_cast<int>(number)), JpegOf(5000, 1), {}))
                    .status.ok());
    EXPECT_EQ(IsInline(edge.Messages()[number]), !step.by_file) << number;
    EXPECT_EQ(edge.sink()->by_file(), step.by_file) << number;
    ++number;
  }
}

TEST_F(ImageFileSinkTest, FindsTheFilesOfAMessageThatIsSentAgain) {
  {
    ImageEdge edge(folder_.path(), By(ImageRoute::kFile));
    ASSERT_TRUE(edge.Accept(DetectionOf("17", JpegOf(5000, 1), {JpegOf(3000, 2)})).status.ok());
  }
  ImageEdge edge(folder_.path(), By(ImageRoute::kFile));
  ASSERT_TRUE(edge.Accept(DetectionOf("17", JpegOf(5000, 1), {JpegOf(3000, 2)})).status.ok());
  EXPECT_THAT(edge.Files(), SizeIs(2));
  ASSERT_THAT(edge.Messages(), SizeIs(2));
  EXPECT_EQ(edge.Messages()[0].payload_json, edge.Messages()[1].payload_json);
  // Another camera that counts from 17, too.
  Envelope other = DetectionOf("17", JpegOf(5000, 1), {});
  other.edge_device_id = "CAM002";
  ASSERT_TRUE(edge.Accept(std::move(other)).status.ok());
  EXPECT_THAT(edge.Files(), SizeIs(3));
}

// The network was poor when the message came first, and is good now.
TEST_F(ImageFileSinkTest, FindsThemAlsoWhenImagesGoInlineAgain) {
  ImageEdge edge(folder_.path(), By(ImageRoute::kAuto));
  edge.network = {LinkQuality::kPoor, true, false};
  ASSERT_TRUE(edge.Accept(DetectionOf(kId, JpegOf(5000, 1), {})).status.ok());
  edge.network = {LinkQuality::kExcellent, true, false};
  ASSERT_TRUE(edge.Accept(DetectionOf(kId, JpegOf(5000, 1), {})).status.ok());
  ASSERT_TRUE(edge.Accept(DetectionOf(TestId(2), JpegOf(5000, 1), {})).status.ok());
  EXPECT_EQ(edge.Messages()[1].payload_json, edge.Messages()[0].payload_json);
  EXPECT_FALSE(IsInline(edge.Messages()[1]));
  EXPECT_TRUE(IsInline(edge.Messages()[2]));
  EXPECT_THAT(edge.Files(), SizeIs(1));
}

TEST_F(ImageFileSinkTest, KeepsAnImageInTheMessageWhoseFileWouldNotCome) {
  ImageEdge edge(folder_.path(), By(ImageRoute::kFile));
  ASSERT_TRUE(edge.Accept(DetectionOf(kId, JpegOf(5000, 1), {})).status.ok());
  // The same message with another image.
  ASSERT_TRUE(edge.Accept(DetectionOf(kId, JpegOf(5000, 2), {})).status.ok());
  EXPECT_TRUE(IsInline(edge.Messages()[1]));
  EXPECT_EQ(edge.Files()[0].sha256, HexSha256(JpegOf(5000, 1)));
  // Cancelled by somebody.
  absl::Notification cancelled;
  edge.transfers()->Cancel(edge.Files()[0].id, [&](auto) { cancelled.Notify(); });
  cancelled.WaitForNotification();
  ASSERT_TRUE(edge.Accept(DetectionOf(kId, JpegOf(5000, 1), {})).status.ok());
  EXPECT_TRUE(IsInline(edge.Messages()[2]));
  // A device that can have no folder on the server.
  Envelope nowhere = DetectionOf(TestId(2), JpegOf(5000, 1), {});
  nowhere.edge_device_id = "a/b";
  ASSERT_TRUE(edge.Accept(std::move(nowhere)).status.ok());
  EXPECT_TRUE(IsInline(edge.Messages()[3]));
  EXPECT_THAT(edge.Files(), SizeIs(1));
}

TEST_F(ImageFileSinkTest, LeavesWhatIsNoImageToTheServer) {
  ImageEdge edge(folder_.path(), By(ImageRoute::kFile));
  const Envelope text = DetectionOf(kId, std::string(5000, 'x'), {JpegOf(3000, 1).substr(0, 2000)});
  ASSERT_TRUE(edge.Accept(text).status.ok());
  EXPECT_EQ(edge.Messages()[0].payload_json, text.payload_json);
  Envelope health = text;
  health.data_type = DataType::kHealth;
  ASSERT_TRUE(edge.Accept(health).status.ok());
  EXPECT_EQ(edge.Messages()[1].payload_json, text.payload_json);
  EXPECT_THAT(edge.Files(), IsEmpty());
}

TEST_F(ImageFileSinkTest, RefusesOrGoesInlineWhenTheQueueIsFull) {
  TransferQueueOptions queue;
  queue.max_files = 1;
  ImageEdge edge(folder_.path(), By(ImageRoute::kFile), queue);
  ASSERT_TRUE(edge.Accept(DetectionOf(TestId(1), JpegOf(5000, 1), {})).status.ok());
  const AcceptResult refused = edge.Accept(DetectionOf(TestId(2), JpegOf(5000, 1), {}));
  EXPECT_EQ(refused.status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(refused.id, "");
  EXPECT_THAT(edge.Messages(), SizeIs(1));
  const std::string other = folder_.File("auto");
  ASSERT_EQ(mkdir(other.c_str(), 0700), 0);
  ImageEdge automatic(other, By(ImageRoute::kAuto), queue);
  automatic.network = {LinkQuality::kPoor, true, false};  // Full only when it comes to it.
  const AcceptResult accepted =
      automatic.Accept(DetectionOf(TestId(2), JpegOf(5000, 1), {JpegOf(3000, 2)}));
  ASSERT_TRUE(accepted.status.ok());
  const json payload = PayloadOf(automatic.Messages()[0]);
  EXPECT_EQ(payload["annotated_image"], nullptr);
  EXPECT_EQ(payload["cropped_plates"][0], absl::Base64Escape(JpegOf(3000, 2)));
}

// Answers when it is told to.
class HoldingSink final : public Sink {
 public:
  void Accept(std::vector<Arrival> batch, AcceptFn done) override {
    const absl::MutexLock lock(&mutex_);
    held_.emplace_back(batch.size(), std::move(done));
  }
  void Answer(size_t expected) {
    std::vector<std::pair<size_t, AcceptFn>> held;
    {
      const absl::MutexLock lock(&mutex_);
      const auto there = [this, expected]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
        return held_.size() >= expected;
      };
      mutex_.Await(absl::Condition(&there));
      held.swap(held_);
    }
    for (auto& [count, done] : held) done(std::vector<AcceptResult>(count));
  }

 private:
  absl::Mutex mutex_;
  std::vector<std::pair<size_t, AcceptFn>> held_ ABSL_GUARDED_BY(mutex_);
};

TEST_F(ImageFileSinkTest, BoundsWhatWaits) {
  ImageFileOptions options = By(ImageRoute::kFile);
  options.max_waiting_bytes = 10'000;
  HoldingSink next;
  ImageEdge edge(folder_.path(), options);
  edge.UseNext(options, &next);
  absl::Notification first;
  edge.sink()->Accept({DetectionOf(TestId(1), JpegOf(5000, 1), {})}, [&](auto) { first.Notify(); });
  const AcceptResult refused = edge.Accept(DetectionOf(TestId(2), JpegOf(5000, 1), {}));
  EXPECT_EQ(refused.status.code(), absl::StatusCode::kUnavailable);
  next.Answer(1);
  first.WaitForNotification();
  EXPECT_THAT(edge.Files(), SizeIs(1));
}

// One bad message of a batch is refused alone.
TEST_F(ImageFileSinkTest, AnswersEachMessageOfABatch) {
  TransferQueueOptions queue;
  queue.max_files = 1;
  ImageEdge edge(folder_.path(), By(ImageRoute::kFile), queue);
  std::vector<Arrival> batch;
  for (int i = 0; i < 3; ++i) {
    batch.emplace_back(DetectionOf(TestId(i), i == 2 ? "" : JpegOf(5000, 1), {}));
  }
  absl::Notification done;
  edge.sink()->Accept(std::move(batch), [&](std::vector<AcceptResult> results) {
    ASSERT_THAT(results, SizeIs(3));
    EXPECT_EQ(results[0].id, TestId(0));
    EXPECT_EQ(results[1].status.code(), absl::StatusCode::kResourceExhausted);
    EXPECT_EQ(results[2].id, TestId(2));
    done.Notify();
  });
  done.WaitForNotification();
  EXPECT_THAT(edge.Messages(), SizeIs(2));
}

}  // namespace
}  // namespace viaduct
