#include "core/lpr/masking.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace viaduct {
namespace {

using Json = nlohmann::json;
using ::testing::HasSubstr;
using ::testing::Not;

TEST(MaskPlateTest, OnlyTheFirstLetterStays) {
  EXPECT_EQ(MaskPlate("1AB 2345"), "1** ****");
  EXPECT_EQ(MaskPlate("ABC-123"), "A**-***");
  EXPECT_EQ(MaskPlate("กข 1234"), "ก* ****");
  EXPECT_EQ(MaskPlate("X"), "X");
  EXPECT_EQ(MaskPlate(""), "");
}

TEST(PlateMaskTest, IsForTheRolesThatAreNamed) {
  const PlateMask mask({"viewer"});
  security::Principal principal;
  principal.role = security::Role::kViewer;
  EXPECT_TRUE(mask.AppliesTo(&principal));
  principal.role = security::Role::kAdmin;
  EXPECT_FALSE(mask.AppliesTo(&principal));
  EXPECT_FALSE(mask.AppliesTo(nullptr));
  EXPECT_FALSE(PlateMask({}).AppliesTo(&principal));
}

TEST(PlateMaskTest, RecordsEventsAndAlerts) {
  const Json document = {
      {"success", true},
      {"events",
       {{{"event_id", "e-1"},
         {"license_plate", "1AB2345"},
         {"image_path", "CAM/CP/plate_1.jpg"},
         {"metadata",
          {{"original_plate", "1A8 2345"},
           {"candidates", {{{"text", "1AB2345"}, {"score", 0.9}}, {{"text", "1AB2346"}}}},
           {"remark", "read 1AB-2345 twice"},
           {"province", "Bangkok"}}}}}},
      {"records",
       {{{"ocr_results", {"1AB2345", {{"text", "9ZZ9999"}, {"confidence", 0.5}}}},
         {"plates", {{{"text", "1AB2345"}, {"image", "data:image/jpeg;base64,AAAA"}}}},
         {"annotated_image", "CAM/CP/detection_1.jpg"},
         {"cropped_plates", {"CAM/CP/plate_1.jpg"}},
         {"payload", {{"ocr_results", {"1AB2345"}}, {"votes", {{"1AB2345", 7}}}}}}}},
      {"plate", "9ZZ9999"},
      {"reason", "stolen"}};
  const std::string masked = PlateMask::MaskJson(document.dump());
  for (const char* secret : {"1AB2345", "1A8 2345", "1AB2346", "1AB-2345", "9ZZ9999", "AAAA",
                             "plate_1.jpg", "detection_1.jpg"}) {
    EXPECT_THAT(masked, Not(HasSubstr(secret)));
  }
  const Json out = Json::parse(masked);
  EXPECT_EQ(out["events"][0]["license_plate"], "1******");
  EXPECT_EQ(out["events"][0]["event_id"], "e-1");
  EXPECT_EQ(out["events"][0]["image_path"], nullptr);
  EXPECT_EQ(out["events"][0]["metadata"]["province"], "Bangkok");
  EXPECT_EQ(out["events"][0]["metadata"]["candidates"][0]["score"], 0.9);
  EXPECT_EQ(out["records"][0]["cropped_plates"], Json::array());
  EXPECT_EQ(out["records"][0]["annotated_image"], nullptr);
  EXPECT_EQ(out["reason"], "stolen");
}

TEST(PlateMaskTest, WhatHasNoPlatesStaysAsItIs) {
  for (const char* text : {R"({"success":true,"total":3,"list":[1,2.50,null]})", "", "[]",
                           R"({"next_cursor":"1AB2345abc","size":640})"}) {
    EXPECT_EQ(PlateMask::MaskJson(text), text);
  }
}

constexpr char kRefused[] = R"({"success":false,"message":"masked: cannot be shown"})";

TEST(PlateMaskTest, WhatCannotBeLookedThroughIsNotShown) {
  EXPECT_EQ(PlateMask::MaskJson("not json 1AB2345"), kRefused);
  const auto nested = [](int depth) {
    return std::string(depth, '[') + R"({"plate":"1AB2345"})" + std::string(depth, ']');
  };
  EXPECT_EQ(PlateMask::MaskJson(nested(300)), kRefused);
  EXPECT_THAT(PlateMask::MaskJson(nested(100)), HasSubstr(R"({"plate":"1******"})"));
  // More than any message may have: a page of them.
  const std::string large = R"({"plate":"1AB2345","list":[)" + std::string(33u << 20, ' ') + "]}";
  EXPECT_EQ(PlateMask::MaskJson(large), R"({"plate":"1******","list":[]})");
}

TEST(PlateMaskTest, NumbersAndWhatStandsDeeperInAPlate) {
  const std::string masked = PlateMask::MaskJson(
      R"({"plate":{"value":"ABC","read":{"as":1234567},"box":[640,480]},"plate_number":9876,)"
      R"("plates":{"7ZZ7777":0.5},"other":[1234567,12],"license_plate":"4567","total":3})");
  EXPECT_EQ(masked, R"({"plate":{"value":"A**","read":{"as":"1******"},"box":[640,480]},)"
                    R"("plate_number":"9***","plates":{"7******":"0.*"},"other":["1******",12],)"
                    R"("license_plate":"4***","total":3})");
}

TEST(PlateMaskTest, PicturesUnderAnyName) {
  const std::string picture(2'000, 'A');
  const Json document = {{"snap", picture},
                         {"small", "data:image/png;base64,AAAA"},
                         {"note", "long " + picture},
                         {"next_cursor", "1AB2345"},
                         {"plate", "1AB2345"}};
  const Json out = Json::parse(PlateMask::MaskJson(document.dump()));
  EXPECT_EQ(out["snap"], nullptr);
  EXPECT_EQ(out["small"], nullptr);
  EXPECT_EQ(out["note"], document["note"]);
  EXPECT_EQ(out["next_cursor"], "1AB2345");
}

TEST(PlateMaskTest, ManyPlatesCostNoMoreThanTheirNumber) {
  Json document = {{"plates", Json::array()}, {"list", Json::array()}};
  for (int i = 0; i < 50'000; ++i) {
    document["plates"].push_back("P" + std::to_string(1'000'000 + i));
    document["list"].push_back("seen at the gate " + std::to_string(i));
  }
  EXPECT_THAT(PlateMask::MaskJson(document.dump()), Not(HasSubstr("P1000000")));
  for (int i = 0; i < 20'000; ++i) document["plates"].push_back("Q" + std::to_string(1'000 + i));
  EXPECT_EQ(PlateMask::MaskJson(document.dump()), kRefused);
}

}  // namespace
}  // namespace viaduct
