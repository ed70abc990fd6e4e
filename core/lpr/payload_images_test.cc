#include "core/lpr/payload_images.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "core/lpr/payload.h"

namespace viaduct {
namespace {

using nlohmann::json;
using testing::ElementsAre;

ImageFileEntry File(size_t place) {
  return {place, absl::StrCat("CAM001/", place, ".jpg"), 100 + place, "ab", "id"};
}

// "image/0 QUJD" for each image.
std::vector<std::string> Found(const PayloadImages& images) {
  std::vector<std::string> found;
  for (const PayloadImage& image : images.all()) {
    std::string holder;
    found.push_back(absl::StrCat(std::string(image.kind), "/", image.index, " ",
                                 std::string(PayloadImages::TextOf(image, &holder))));
  }
  return found;
}

TEST(PayloadImagesTest, FindsAllPlacesAndCutsThemOut) {
  const std::string payload =
      R"({"annotated_image":"AAAA", "plates_count": 2,"cropped_plates":["BBBB",null,"CC\/C"]})";
  PayloadImages images(payload, {});
  ASSERT_TRUE(images.Find().ok());
  EXPECT_THAT(Found(images), ElementsAre("image/0 AAAA", "plate/0 BBBB", "plate/2 CC/C"));
  EXPECT_EQ(images.Without({}), payload);
  const json cut = json::parse(images.Without({File(0), File(2)}));
  EXPECT_EQ(cut["annotated_image"], nullptr);
  EXPECT_EQ(cut["cropped_plates"], json::parse(R"(["BBBB",null,null])"));
  EXPECT_EQ(cut["plates_count"], 2);
  EXPECT_EQ(cut["image_files"], json::parse(R"([
    {"kind":"image","index":0,"name":"CAM001/0.jpg","size":100,"sha256":"ab","transfer_id":"id"},
    {"kind":"plate","index":2,"name":"CAM001/2.jpg","size":102,"sha256":"ab","transfer_id":"id"}
  ])"));
}

TEST(PayloadImagesTest, FindsThemInEveryFormThatDevicesSend) {
  const std::pair<std::string, std::vector<std::string>> forms[] = {
      {R"({"detection_data":{"annotated_image":"AAAA","cropped_plates":["BBBB"]}})",
       {"image/0 AAAA", "plate/0 BBBB"}},
      {R"({"detection_data":"{\"annotated_image\":\"AAAA\",\"cropped_plates\":\"[\\\"BBBB\\\"]\"}"})",
       {"image/0 AAAA", "plate/0 BBBB"}},
      {R"({"cropped_plates":"[\"AAAA\",\"BBBB\"]"})", {"plate/0 AAAA", "plate/1 BBBB"}},
      {R"({"cropped_plates":"AAAA"})", {"plate/0 AAAA"}},
      {R"({"cropped_plates":["AAAA"],"detection_data":{"cropped_plates":["BBBB"]}})",
       {"plate/0 AAAA", "plate/1 BBBB"}},
      {R"({"cropped_plates":"","annotated_image":""})", {}},
      {R"({"cropped_plates":null,"annotated_image":null})", {}},
      {"{}", {}},
  };
  for (const auto& [payload, expected] : forms) {
    PayloadImages images(payload, {});
    ASSERT_TRUE(images.Find().ok()) << payload;
    EXPECT_EQ(Found(images), expected) << payload;
    // The server's own reader counts them in the same way.
    PayloadOptions options;
    options.keep_images = true;
    DetectionPayload read;
    ASSERT_TRUE(ReadDetection(payload, options, &read).ok());
    for (const PayloadImage& image : images.all()) {
      std::string holder;
      const std::string text(PayloadImages::TextOf(image, &holder));
      const bool plate = image.kind == kPlateImageKind;
      EXPECT_EQ(plate ? read.cropped_plates.at(image.index) : read.annotated_image, text);
    }
    std::vector<ImageFileEntry> files;
    for (size_t i = 0; i < images.all().size(); ++i) files.push_back(File(i));
    DetectionPayload left;
    ASSERT_TRUE(ReadDetection(images.Without(files), options, &left).ok()) << payload;
    EXPECT_EQ(left.annotated_image, "");
    for (const std::string& plate : left.cropped_plates) EXPECT_EQ(plate, "") << payload;
  }
}

TEST(PayloadImagesTest, RefusesWhatItCannotTellApart) {
  for (const char* payload :
       {"", "[]", R"({"annotated_image":"AA","detection_data":{"annotated_image":"BB"}})",
        R"({"annotated_image":"AA","image_files":[]})", R"({"annotated_image":"AA")"}) {
    PayloadImages images(payload, {});
    EXPECT_EQ(images.Find().code(), absl::StatusCode::kInvalidArgument) << payload;
  }
}

}  // namespace
}  // namespace viaduct
