// The packets of Engine.IO and Socket.IO as text.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "plugins/websocket/engine_http.h"
#include "plugins/websocket/engine_packet.h"
#include "plugins/websocket/socketio_packet.h"

namespace viaduct::websocket {
namespace {

using ::testing::ElementsAre;

TEST(EngineHttp, APageOfAnotherSiteUsesNoRememberedPassword) {
  HttpRequest request;
  request.headers = {{"host", "hub.lan:8765"}, {"origin", "https://evil.example"}};
  EXPECT_FALSE(IsOfForeignPage(request));
  request.headers.emplace_back("authorization", "Bearer x");
  EXPECT_FALSE(IsOfForeignPage(request));
  request.headers.back().second = "Basic YTpi";
  EXPECT_TRUE(IsOfForeignPage(request));
  request.headers.back() = {"cookie", "a=b"};
  EXPECT_FALSE(IsOfForeignPage(request));
  request.headers.back().second = "a=b; viaduct_session=12ab";
  EXPECT_TRUE(IsOfForeignPage(request));
  request.headers[1].second = "null";
  EXPECT_TRUE(IsOfForeignPage(request));
  request.headers[1].second = "https://HUB.lan:8765";
  EXPECT_FALSE(IsOfForeignPage(request));
}

TEST(EnginePayload, ComesBackAsItWasWritten) {
  std::string body;
  AppendEnginePacket({EngineType::kMessage, false, "hello"}, &body);
  AppendEnginePacket({EngineType::kMessage, true, std::string("\x01\x02\x03\x04", 4)}, &body);
  AppendEnginePacket({EngineType::kPing, false, ""}, &body);
  EXPECT_EQ(body,
            "4hello\x1e"
            "bAQIDBA==\x1e"
            "2");
  std::vector<EnginePacket> packets;
  ASSERT_TRUE(ReadEnginePayload(body, 3, &packets));
  ASSERT_EQ(packets.size(), 3u);
  EXPECT_EQ(packets[0].data, "hello");
  EXPECT_TRUE(packets[1].binary);
  EXPECT_EQ(packets[1].data, std::string("\x01\x02\x03\x04", 4));
  EXPECT_EQ(packets[2].type, EngineType::kPing);
}

TEST(EnginePayload, RefusesWhatIsNoPacketAndTooMany) {
  for (const char* bad : {"", "abc", "7", "4a\x1e",
                          ("\x1e"
                           "4a"),
                          "b$$"}) {
    std::vector<EnginePacket> packets;
    EXPECT_FALSE(ReadEnginePayload(bad, 10, &packets)) << bad;
  }
  std::vector<EnginePacket> packets;
  EXPECT_FALSE(
      ReadEnginePayload("4a\x1e"
                        "4b\x1e"
                        "4c",
                        2, &packets));
}

SocketIoPacket Read(std::string_view text) {
  SocketIoPacket packet;
  std::string why;
  EXPECT_TRUE(ReadSocketIoPacket(text, &packet, &why)) << text << ": " << why;
  return packet;
}

TEST(SocketIoPacket, ReadsEveryPart) {
  const SocketIoPacket packet = Read("51-/admin,456[\"hi\",{\"_placeholder\":true,\"num\":0}]");
  EXPECT_EQ(packet.type, SocketIoType::kBinaryEvent);
  EXPECT_EQ(packet.attachments, 1u);
  EXPECT_EQ(packet.nsp, "/admin");
  EXPECT_EQ(packet.id, 456u);
  EXPECT_EQ(packet.data, "[\"hi\",{\"_placeholder\":true,\"num\":0}]");
  EXPECT_EQ(SocketIoHead(packet), "51-/admin,456");
  EXPECT_THAT(packet.elements, ElementsAre("\"hi\"", "{\"_placeholder\":true,\"num\":0}"));
  EXPECT_EQ(Read("0").data, "");
  EXPECT_EQ(Read("0/custom,{\"a\":1}").nsp, "/custom");
  EXPECT_EQ(Read("1/custom").nsp, "/custom");
}

TEST(SocketIoPacket, RefusesWhatAClientMustNotSend) {
  for (const char* bad : {"",
                          "7",
                          "a",
                          "2",
                          "2{}",
                          "2[]",
                          "2[1]",
                          "2[\"a\"",
                          "2[\"a\"]]",
                          "2abc[\"a\"]",
                          "3[]",
                          "31[\"a\"",
                          "5[\"a\"]",
                          "5-[\"a\"]",
                          "599-[\"a\"]",
                          "0[]",
                          "0\"a\"",
                          "1[]",
                          "4",
                          "2[null]",
                          "29999999999999999999[\"a\"]"}) {
    SocketIoPacket packet;
    std::string why;
    EXPECT_FALSE(ReadSocketIoPacket(bad, &packet, &why)) << bad;
    EXPECT_FALSE(why.empty()) << bad;
  }
}

TEST(SocketIoPacket, TakesNoMoreArgumentsAndAuthThanItsLimits) {
  const auto list = [](size_t count) {
    std::string text = "2[\"a\"";
    for (size_t i = 1; i < count; ++i) text += ",0";
    return text + "]";
  };
  SocketIoPacket packet;
  std::string why;
  EXPECT_TRUE(ReadSocketIoPacket(list(kMaxArguments), &packet, &why)) << why;
  EXPECT_FALSE(ReadSocketIoPacket(list(1'000'000), &packet, &why));
  EXPECT_EQ(why, "packet: too many arguments");
  EXPECT_LE(packet.elements.capacity(), 4 * kMaxArguments);
  const auto auth = [](size_t bytes) { return "0{\"token\":\"" + std::string(bytes, 'x') + "\"}"; };
  EXPECT_TRUE(ReadSocketIoPacket(auth(8192), &packet, &why)) << why;
  EXPECT_FALSE(ReadSocketIoPacket(auth(kMaxAuthBytes), &packet, &why));
  EXPECT_EQ(why, "packet: the auth object is too large");
}

TEST(InlineAttachments, PutsOctetsWhereTheyBelong) {
  constexpr size_t kEnough = 1000;
  std::string out;
  ASSERT_TRUE(InlineAttachments(
      "{\"data\":{\"_placeholder\":true,\"num\":1},\"x\":{ \"num\":0, \"_placeholder\":true }}",
      {"abc", std::string("\xff\xfe", 2)}, kEnough, &out));
  EXPECT_EQ(out, "{\"data\":\"//4=\",\"x\":\"YWJj\"}");
  EXPECT_FALSE(InlineAttachments("{\"_placeholder\":true,\"num\":1}", {"abc"}, kEnough, &out));
  // What only looks like one stays.
  ASSERT_TRUE(InlineAttachments("{\"text\":\"_placeholder\"}", {"abc"}, kEnough, &out));
  EXPECT_EQ(out, "{\"text\":\"_placeholder\"}");
}

TEST(InlineAttachments, DoesNotGrowBeyondWhatHasCome) {
  const std::string place = "{\"_placeholder\":true,\"num\":0}";
  std::string out;
  EXPECT_TRUE(InlineAttachments(place, {"abc"}, place.size() + 3, &out));
  EXPECT_FALSE(InlineAttachments(place, {"abc"}, place.size() + 2, &out));
  EXPECT_FALSE(InlineAttachments("[" + place + "," + place + "]", {"abc"}, 1000, &out));
}

TEST(InlineAttachments, LooksAtManyMarksInOneGo) {
  // Quadratic, this would take minutes.
  std::string text = "[\"";
  for (int i = 0; i < 300'000; ++i) text += "_placeholder";
  text += "\"]";
  std::string out;
  ASSERT_TRUE(InlineAttachments(text, {"abc"}, text.size(), &out));
  EXPECT_EQ(out, text);
}

TEST(QuoteJson, SurvivesWhatIsNoText) {
  EXPECT_EQ(QuoteJson("a\"b\n"), "\"a\\\"b\\n\"");
  std::string back;
  ASSERT_TRUE(ReadJsonString("\"\\u00fc\"", &back));
  EXPECT_EQ(back, "ü");
  EXPECT_FALSE(ReadJsonString("1", &back));
}

}  // namespace
}  // namespace viaduct::websocket
