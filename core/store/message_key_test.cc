#include "core/store/message_key.h"

#include <gtest/gtest.h>

#include "core/base/ids.h"

namespace viaduct {
namespace {

const absl::Time kCaptured = absl::FromUnixMillis(1705314600123);

TEST(MessageKeyTest, AUuidIsItsOwnKeyInEitherCase) {
  const std::string id = "0190a6f0-1234-7abc-8def-0123456789ab";
  EXPECT_EQ(FormatKey(MakeMessageKey(id, "CAM001", kCaptured)), id);
  EXPECT_EQ(FormatKey(MakeMessageKey("0190A6F0-1234-7ABC-8DEF-0123456789AB", "x", kCaptured)), id);
}

TEST(MessageKeyTest, ADerivedIdIsOrderedByCaptureTime) {
  const std::string id = "d-00112233445566778899aabbccddeeff00112233";
  const MessageKey early = MakeMessageKey(id, "CAM001", kCaptured);
  const MessageKey late = MakeMessageKey(id, "CAM001", kCaptured + absl::Milliseconds(1));
  EXPECT_LT(early, late);
  EXPECT_EQ(early, MakeMessageKey(id, "another", kCaptured));
  EXPECT_TRUE(IsUuid(FormatKey(early)));
  EXPECT_EQ(FormatKey(early).substr(0, 13), "018d0cab-c4bb");
}

TEST(MessageKeyTest, AnyOtherTextBelongsToItsCamera) {
  const MessageKey key = MakeMessageKey("1", "CAM001", kCaptured);
  EXPECT_EQ(key, MakeMessageKey("1", "CAM001", kCaptured + absl::Microseconds(1)));
  EXPECT_NE(key, MakeMessageKey("1", "CAM002", kCaptured));
  EXPECT_NE(MakeMessageKey("1x", "CAM", kCaptured), MakeMessageKey("x", "CAM1", kCaptured));
  EXPECT_TRUE(IsUuid(FormatKey(key)));
}

// A device that counts from 1 begins there again after a restart.
TEST(MessageKeyTest, AnyOtherTextBelongsToItsTime) {
  EXPECT_NE(MakeMessageKey("1", "CAM001", kCaptured),
            MakeMessageKey("1", "CAM001", kCaptured + absl::Milliseconds(1)));
}

TEST(MessageKeyTest, TheNilUuidIsNobodysKey) {
  const std::string nil = "00000000-0000-0000-0000-000000000000";
  const MessageKey key = MakeMessageKey(nil, "CAM001", kCaptured);
  EXPECT_NE(FormatKey(key), nil);
  EXPECT_NE(key, MakeMessageKey(nil, "CAM002", kCaptured));
}

TEST(MessageKeyTest, ATimeBeforeTheEpochIsNoTrouble) {
  const std::string id = "d-00112233445566778899aabbccddeeff00112233";
  EXPECT_EQ(FormatKey(MakeMessageKey(id, "c", absl::FromUnixSeconds(-5))).substr(0, 13),
            "00000000-0000");
}

TEST(MessageKeyTest, ParsesOnlyItsOwnForm) {
  MessageKey key;
  EXPECT_TRUE(ParseKey("0190a6f0-1234-7abc-8def-0123456789ab", &key));
  EXPECT_EQ(FormatKey(key), "0190a6f0-1234-7abc-8def-0123456789ab");
  EXPECT_FALSE(ParseKey("", &key));
  EXPECT_FALSE(ParseKey("0190a6f01234-7abc-8def-0123456789ab----", &key));
  EXPECT_FALSE(ParseKey("0190a6f0-1234-7abc-8def-0123456789ag", &key));
}

}  // namespace
}  // namespace viaduct
