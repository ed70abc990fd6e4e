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
  for (const char* text :
       {R"({"success":true,"total":3,"list":[1,2.50,null]})", "not json", "[]"}) {
    EXPECT_EQ(PlateMask::MaskJson(text), text);
  }
}

}  // namespace
}  // namespace viaduct
