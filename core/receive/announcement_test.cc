#include "core/receive/announcement.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

#include "core/base/sha256.h"
#include "core/message/envelope.h"

namespace viaduct {
namespace {

using Json = nlohmann::json;
using testing::HasSubstr;

Json Good() {
  return Json{{"type", "file_transfer_request"},
              {"transfer_id", "0190A6F0-1234-7abc-8def-0123456789ab"},
              {"camera_id", "CAM001"},
              {"message_id", "m-1"},
              {"kind", "plate"},
              {"index", 3},
              {"name", "CAM001/2024/01/15/a b.jpg"},
              {"size", 150000},
              {"sha256", HexSha256("x")},
              {"timestamp", "2024-01-15T10:30:00.000Z"}};
}

std::string Refusal(const std::string& payload) {
  const auto read = ReadAnnouncement(payload);
  EXPECT_TRUE(absl::IsInvalidArgument(read.status())) << payload << read.status();
  return std::string(read.status().message());
}

std::string Refusal(const char* member, Json value) {
  Json json = Good();
  json[member] = std::move(value);
  return Refusal(json.dump());
}

TEST(AnnouncementTest, ReadsWhatADeviceSays) {
  const auto read = ReadAnnouncement(Good().dump());
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->transfer_id, "0190a6f0-1234-7abc-8def-0123456789ab");
  EXPECT_EQ(read->device_id, "CAM001");
  EXPECT_EQ(read->message_id, "m-1");
  EXPECT_EQ(read->kind, FileKind::kPlate);
  EXPECT_EQ(read->index, 3);
  EXPECT_EQ(read->file.name, "CAM001/2024/01/15/a b.jpg");
  EXPECT_EQ(read->file.size, 150000u);
  EXPECT_EQ(read->file.sha256, HexSha256("x"));
  EXPECT_EQ(FormatTimestamp(read->at), "2024-01-15T10:30:00.000Z");
}

TEST(AnnouncementTest, IsKeptInTheStoreAsItCame) {
  Json json = Good();
  json["node_id"] = "EDGE1";
  const auto read = ReadAnnouncement(json.dump());
  ASSERT_TRUE(read.ok()) << read.status();
  const FileTransferRecord record = RecordOf(*read, absl::FromUnixSeconds(9));
  EXPECT_EQ(record.at, absl::FromUnixSeconds(9));
  EXPECT_EQ(record.message_key, MakeMessageKey("m-1", "CAM001", read->at));
  const FileAnnouncement back = AnnouncementOf(record);
  EXPECT_EQ(back.transfer_id, read->transfer_id);
  EXPECT_EQ(back.device_id, "CAM001");
  EXPECT_EQ(back.node_id, "EDGE1");
  EXPECT_EQ(back.message_id, "m-1");
  EXPECT_EQ(back.kind, FileKind::kPlate);
  EXPECT_EQ(back.index, 3);
  EXPECT_EQ(back.file.name, read->file.name);
  EXPECT_EQ(back.file.size, 150000u);
  EXPECT_EQ(back.file.sha256, read->file.sha256);
  EXPECT_EQ(back.at, read->at);
  json["message_id"] = "";
  EXPECT_EQ(RecordOf(*ReadAnnouncement(json.dump()), absl::Now()).message_key, MessageKey{});
  EXPECT_THAT(Refusal("node_id", "a\nb"), HasSubstr("node_id"));
}

TEST(AnnouncementTest, WhatIsLeftOutHasAMeaning) {
  Json json = Good();
  for (const char* member : {"type", "message_id", "kind", "index"}) json.erase(member);
  json["size"] = 0;
  json["more"] = Json{{"of", "a later version"}};
  const auto read = ReadAnnouncement(json.dump());
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->kind, FileKind::kFile);
  EXPECT_EQ(read->message_id, "");
  EXPECT_EQ(read->index, 0);
  EXPECT_EQ(read->file.size, 0u);
}

TEST(AnnouncementTest, NamesWhatIsMissing) {
  for (const char* member : {"transfer_id", "camera_id", "name", "size", "sha256", "timestamp"}) {
    Json json = Good();
    json.erase(member);
    EXPECT_THAT(Refusal(json.dump()), HasSubstr(member));
    EXPECT_THAT(Refusal(member, nullptr), HasSubstr(member));
    EXPECT_THAT(Refusal(member, Json::array()), HasSubstr(member));
  }
}

TEST(AnnouncementTest, NoDeviceSpeaksForAnother) {
  for (const char* name : {"CAM002/a", "CAM001", "CAM0011/a", "cam001/a"}) {
    EXPECT_THAT(Refusal("name", name), HasSubstr("name: not in the folder of the device"));
  }
  for (const char* name : {"../a", "/etc/passwd", "CAM001/../CAM002/a", "CAM001//a", "CAM001/.",
                           "CAM001/.viaduct-x", "CAM001/a\nb", ""}) {
    EXPECT_THAT(Refusal("name", name), HasSubstr("name: ")) << name;
  }
  EXPECT_THAT(Refusal("name", "CAM001/" + std::string(5000, 'n')), HasSubstr("too long"));
  EXPECT_THAT(Refusal("camera_id", ".."), HasSubstr("name: "));
}

TEST(AnnouncementTest, RefusesWhatCannotBe) {
  for (const Json& size : {Json(-1), Json(1.5), Json(1e3), Json("1"), Json(1ull << 60)}) {
    EXPECT_THAT(Refusal("size", size), HasSubstr("size: expected a whole number")) << size;
  }
  EXPECT_THAT(Refusal("index", 64), HasSubstr("index: expected a whole number from 0 to 63"));
  EXPECT_THAT(Refusal("kind", "video"), HasSubstr("kind: "));
  EXPECT_THAT(Refusal("transfer_id", "../x"), HasSubstr("transfer_id: "));
  EXPECT_THAT(Refusal("sha256", std::string(63, 'a')), HasSubstr("sha256: "));
  EXPECT_THAT(Refusal("sha256", std::string(64, 'g')), HasSubstr("sha256: "));
  EXPECT_THAT(Refusal("timestamp", "yesterday"), HasSubstr("timestamp: "));
  EXPECT_THAT(Refusal("message_id", std::string(129, 'm')), HasSubstr("message_id: too long"));
}

TEST(AnnouncementTest, RefusesWhatIsNoObjectOrTooLarge) {
  for (const char* text : {"", "[]", "{", "\"x\"", "{\"size\":1,\"size\":2}"}) {
    EXPECT_THAT(Refusal(text), HasSubstr("file_transfer_request: ")) << text;
  }
  Json many = Good();
  for (int i = 0; i < 100; ++i) many["m" + std::to_string(i)] = i;
  Refusal(many.dump());
  Json large = Good();
  large["more"] = std::string(20'000, 'x');
  Refusal(large.dump());
}

}  // namespace
}  // namespace viaduct
