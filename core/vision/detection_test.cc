#include "core/vision/detection.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "core/lpr/payload.h"
#include "core/lpr/testing/jpeg_picture.h"

namespace viaduct {
namespace {

using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::Pair;

constexpr size_t kRoom = 32u << 20;

InferCrop Crop(const std::string& name, const std::string& octets) {
  InferCrop crop;
  crop.name = name;
  crop.media_type = "image/jpeg";
  Frame frame = *MakeFrame(VD_FOURCC_JPEG, 0, 0, octets, kRoom);
  crop.buffer = std::move(frame.buffer);
  return crop;
}

DetectionFacts Facts() {
  DetectionFacts facts;
  facts.message_id = "0190a6f0-1234-7abc-8def-0123456789ab";
  facts.device = "CAM001";
  facts.captured = absl::FromUnixSeconds(1705314600);
  facts.source = "camera";
  facts.instance = "plates";
  return facts;
}

json PayloadOf(const std::string& result, absl::Span<const InferCrop> crops,
               const DetectionFacts& facts = Facts(), size_t room = kRoom) {
  const auto made = MakeDetection(result, crops, facts, room);
  EXPECT_TRUE(made.ok()) << made.status();
  return made.ok() ? json::parse(made->envelope.payload_json) : json();
}

TEST(DetectionTest, IsAValidMessageOfTheDevice) {
  DetectionFacts facts = Facts();
  facts.stream = "front";
  facts.sequence = 7;
  const auto made = MakeDetection(R"({"plates_count":1})", {}, facts, kRoom);
  ASSERT_TRUE(made.ok());
  EXPECT_TRUE(ValidateEnvelope(made->envelope, {}).ok());
  EXPECT_EQ(made->envelope.edge_device_id, "CAM001");
  EXPECT_EQ(made->envelope.timestamp, facts.captured);
  EXPECT_EQ(
      json::parse(made->envelope.metadata.extra_json)["vision"],
      json({{"source", "camera"}, {"stream", "front"}, {"instance", "plates"}, {"sequence", 7}}));
}

TEST(DetectionTest, TheResultStaysAsItIsAndWhatItLacksIsAdded) {
  DetectionFacts facts = Facts();
  facts.checkpoint = "GATE \"1\"";
  const json payload =
      PayloadOf(R"({"ocr_results":[{"text":"1AB2345"}],"big":12345678901234567890})", {}, facts);
  EXPECT_EQ(payload["type"], "detection_result");
  EXPECT_EQ(payload["checkpoint_id"], "GATE \"1\"");
  EXPECT_EQ(payload["ocr_results"][0]["text"], "1AB2345");
  EXPECT_EQ(payload["big"], 12345678901234567890u);
  EXPECT_EQ(PayloadOf(R"({"checkpoint_id":"CP9"})", {}, facts)["checkpoint_id"], "CP9");
  EXPECT_EQ(PayloadOf(R"({"checkpoint_id":""})", {}, facts)["checkpoint_id"], "GATE \"1\"");
}

TEST(DetectionTest, CropsBecomeTheImagesAtTheirPlaces) {
  const std::string jpeg = JpegPicture(16, 8);
  const std::vector<std::string> names = {"plate_2", "image", "vehicle_0", "plate_0"};
  std::vector<InferCrop> crops;
  for (const std::string& name : names) crops.push_back(Crop(name, jpeg));
  const json payload = PayloadOf("{}", crops);
  const std::string image = absl::Base64Escape(jpeg);
  EXPECT_EQ(payload["annotated_image"], image);
  EXPECT_EQ(payload["cropped_plates"], json({image, nullptr, image}));
  EXPECT_EQ(payload.size(), 3u) << payload;
  DetectionPayload read;
  PayloadOptions options;
  options.keep_images = true;
  ASSERT_TRUE(ReadDetection(payload.dump(), options, &read).ok());
  EXPECT_EQ(read.cropped_plates.size(), 3u);
}

TEST(DetectionTest, WhatIsNoPictureOrHasNoRoomIsLeftOut) {
  const std::string jpeg = JpegPicture(16, 8);
  std::vector<InferCrop> crops;
  crops.push_back(Crop("image", jpeg));
  crops.push_back(Crop("plate_0", "not a picture"));
  crops.push_back(Crop("plate_1", jpeg));
  crops.push_back(Crop("plate_63", jpeg));
  crops.push_back(Crop("plate_4294967295", jpeg));
  crops.push_back(Crop("plate_4294967296", jpeg));
  crops.push_back(Crop("plate_x", jpeg));
  const auto all = MakeDetection("{}", crops, Facts(), kRoom);
  ASSERT_TRUE(all.ok());
  EXPECT_EQ(all->images_left_out, 1u);
  EXPECT_EQ(json::parse(all->envelope.payload_json)["cropped_plates"].size(), 2u);
  const size_t one = 2048 + jpeg.size() * 4 / 3;
  const auto tight = MakeDetection("{}", crops, Facts(), one);
  ASSERT_TRUE(tight.ok());
  EXPECT_LE(tight->envelope.payload_json.size(), one);
  EXPECT_EQ(tight->images_left_out, 2u);
  EXPECT_FALSE(json::parse(tight->envelope.payload_json).contains("annotated_image"));
}

TEST(DetectionTest, ImagesOfTheResultItselfWin) {
  std::vector<InferCrop> crops;
  crops.push_back(Crop("image", JpegPicture(16, 8)));
  EXPECT_EQ(PayloadOf(R"({"annotated_image":"own"})", crops)["annotated_image"], "own");
  EXPECT_NE(PayloadOf(R"({"annotated_image":null})", crops)["annotated_image"], nullptr);
}

TEST(DetectionTest, WhatIsNoObjectIsRefused) {
  for (const char* bad : {"", "[]", "{", R"({"a":1,"a":2})", "{\"a\":\"\xff\"}"}) {
    EXPECT_FALSE(MakeDetection(bad, {}, Facts(), kRoom).ok()) << bad;
    EXPECT_FALSE(FindsSomething(bad, kRoom).ok()) << bad;
  }
  EXPECT_FALSE(MakeDetection("{\"a\":\"" + std::string(5000, 'x') + "\"}", {}, Facts(), 4096).ok());
}

TEST(DetectionTest, KnowsWhetherSomethingWasFound) {
  for (const char* nothing : {"{}", R"({"plates_count":0,"vehicles_count":0,"ocr_results":[]})",
                              R"({"candidates":[{"bbox":[1,2,3,4]}]})"}) {
    EXPECT_FALSE(*FindsSomething(nothing, kRoom)) << nothing;
  }
  for (const char* something :
       {R"({"plates_count":1})", R"({"vehicles_count":2})", R"({"ocr_results":["1AB2345"]})",
        R"({"plate_detections":[{"bbox":[1,2,3,4]}]})",
        R"({"vehicle_detections":[{"bbox":[1,2,3,4]}]})"}) {
    EXPECT_TRUE(*FindsSomething(something, kRoom)) << something;
  }
}

TEST(DetectionTest, ReadsTheStagesThatAreNumbers) {
  EXPECT_THAT(
      StagesOf(R"({"stages":{"decode":4.5,"read":9,"odd":"x","less":-1,"more":1e300},"a":1})"),
      ElementsAre(Pair("decode", 4.5), Pair("read", 9)));
  EXPECT_TRUE(StagesOf(R"({"stages":[1]})").empty());
  EXPECT_TRUE(StagesOf("no").empty());
  json many;
  for (int i = 0; i < 100; ++i) many["stages"][absl::StrCat("s", i)] = i;
  EXPECT_EQ(StagesOf(many.dump()).size(), kMaxStages);
}

}  // namespace
}  // namespace viaduct
