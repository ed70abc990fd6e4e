#include "plugins/sftp/packet.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace viaduct::sftp {
namespace {

using ::testing::ElementsAre;
using namespace std::string_literals;  // Octets with zeros among them.

std::string Text(const std::string& text) {
  return std::string(3, '\0') + static_cast<char>(text.size()) + text;
}

TEST(Packet, RequestsAreAsTheDraftHasThem) {
  std::string out;
  AppendInit(&out);
  EXPECT_EQ(out, "\0\0\0\x05\x01\0\0\0\x03"s);
  out.clear();
  AppendOpen(7, "/a", kOpenWrite | kOpenCreate | kOpenExclusive, &out);
  EXPECT_EQ(out, "\0\0\0\x13\x03\0\0\0\x07"s + Text("/a") + "\0\0\0\x2a\0\0\0\0"s);
  out.clear();
  AppendWriteHead(0x01020304, "h", 0x0102030405060708, 5, &out);
  EXPECT_EQ(out, "\0\0\0\x1b\x06\x01\x02\x03\x04"s + Text("h") +
                     "\x01\x02\x03\x04\x05\x06\x07\x08\0\0\0\x05"s);
  out.clear();
  AppendExtended(1, "fsync@openssh.com", {"h"}, &out);
  EXPECT_EQ(out, "\0\0\0\x1f\xc8\0\0\0\x01"s + Text("fsync@openssh.com") + Text("h"));
}

TEST(Packet, AnswersAreRead) {
  const std::string refused = "\x65\0\0\0\x09\0\0\0\x03"s + Text("Permission denied") + Text("en");
  absl::StatusOr<Answer> answer = ParseAnswer(refused);
  ASSERT_TRUE(answer.ok());
  EXPECT_EQ(answer->id, 9u);
  EXPECT_EQ(answer->status, StatusCode::kPermissionDenied);
  EXPECT_EQ(answer->text, "Permission denied");
  const std::string handle = "\x66\0\0\0\x01"s + Text("handle");
  answer = ParseAnswer(handle);
  ASSERT_TRUE(answer.ok());
  EXPECT_EQ(answer->text, "handle");
  answer = ParseAnswer(
      "\x69\0\0\0\x01\0\0\0\x0f\0\0\0\x01\0\0\0\x02\0\0\0\0\0\0\0\0"
      "\0\0\x41\xed\0\0\0\0\0\0\0\0"s);
  ASSERT_TRUE(answer.ok());
  EXPECT_EQ(answer->attributes.size, 0x100000002u);
  EXPECT_TRUE(answer->attributes.is_folder());
  EXPECT_TRUE(ParseAnswer("\x65\0\0\0\x09\0\0\0\x04"s).ok()) << "without a message";
}

TEST(Packet, NonsenseIsNoAnswer) {
  const std::string kCases[] = {
      "",
      "\x65",
      "\x65\0\0\0\x01"s,                            // No code.
      "\x65\0\0\0\x01\0\0\0\x04\xff\xff\xff\xff"s,  // A message longer than the packet.
      "\x66\0\0\0\x01\0\0\0\0"s,                    // An empty handle.
      "\x66\0\0\0\x01\0\0\x01\x01"s + std::string(257, 'h'),
      "\x68\0\0\0\x01\0\0\0\0"s,        // No name.
      "\x69\0\0\0\x01\0\0\0\x01\0\0"s,  // Half a size.
      "\x06\0\0\0\x01"s,                // A request.
      "\xff\0\0\0\x01"s,
  };
  for (const std::string& packet : kCases) EXPECT_FALSE(ParseAnswer(packet).ok());
  EXPECT_FALSE(ReadLimits("\0\0\0\x01"s).ok());
  EXPECT_FALSE(ReadExtensions(Text("name"), [](std::string_view, std::string_view) {}).ok());
}

std::vector<std::string> Cut(const std::vector<std::string>& pieces, absl::Status* status) {
  std::vector<std::string> packets;
  PacketReader reader;
  for (const std::string& piece : pieces) {
    *status = reader.Feed(piece, [&](std::string_view packet) {
      packets.emplace_back(packet);
      return absl::OkStatus();
    });
    if (!status->ok()) break;
  }
  return packets;
}

TEST(PacketReader, CutsTheStreamHoweverItComes) {
  absl::Status status;
  EXPECT_THAT(Cut({"\0\0\0\x02"s + "ab" + "\0\0\0\x01"s + "c"}, &status), ElementsAre("ab", "c"));
  EXPECT_THAT(Cut({"\0"s, "\0\0"s, "\x02", "a", "b\0\0"s, "\0\x01"s, "c"}, &status),
              ElementsAre("ab", "c"));
  EXPECT_TRUE(status.ok());
}

TEST(PacketReader, RefusesLengthsThatNoAnswerHas) {
  for (const std::string& length : {"\xff\xff\xff\xff"s, "\0\x01\0\x01"s, "\0\0\0\0"s}) {
    absl::Status status;
    Cut({length}, &status);
    EXPECT_TRUE(absl::IsInvalidArgument(status));
  }
}

}  // namespace
}  // namespace viaduct::sftp
