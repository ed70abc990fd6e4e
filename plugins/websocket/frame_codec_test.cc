// The rules of RFC 6455 and RFC 7692, both ends in one process.
#include "plugins/websocket/frame_codec.h"

#include <gtest/gtest.h>

namespace viaduct::websocket {
namespace {

constexpr size_t kLimit = 100'000;

// A client and a server after their handshake.
struct Pair {
  explicit Pair(bool deflate = false)
      : client({/*is_server=*/false, kLimit, deflate}),
        server({/*is_server=*/true, kLimit, deflate}) {
    const std::string request = client.MakeRequest("localhost:1", "/", {});
    std::string answer;
    EXPECT_TRUE(server.Accept(request, &answer)) << answer;
    std::string why;
    EXPECT_TRUE(client.CheckAnswer(answer, &why)) << why;
  }
  FrameCodec client;
  FrameCodec server;
};

FrameCodec::Fed Feed(FrameCodec* codec, std::string octets) {
  return codec->Feed(reinterpret_cast<uint8_t*>(octets.data()), octets.size());
}

TEST(FrameCodec, CarriesMessagesOfEveryLengthBothWays) {
  for (const bool deflate : {false, true}) {
    Pair pair(deflate);
    for (const size_t size : {0, 1, 125, 126, 65535, 65536, 99999}) {
      const std::string payload(size, 'x');
      std::string up;
      pair.client.Append(FrameKind::kText, payload, &up);
      const FrameCodec::Fed there = Feed(&pair.server, up);
      ASSERT_TRUE(there.complete) << size << there.why;
      EXPECT_EQ(there.frame.payload, payload);
      EXPECT_EQ(there.used, up.size());
      std::string down;
      pair.server.Append(FrameKind::kBinary, payload, &down);
      EXPECT_EQ(Feed(&pair.client, down).frame.payload, payload);
      if (deflate && size > 1000) {
        EXPECT_LT(down.size(), size / 10);
      }
    }
  }
}

TEST(FrameCodec, ReadsAWholeFrameAsItReadsItsPieces) {
  Pair pair;
  std::string text;
  for (int i = 0; i < 400; ++i) {
    std::string up;
    pair.client.Append(FrameKind::kText, text, &up);  // With a mask of its own.
    const FrameCodec::Fed whole = Feed(&pair.server, up + "more");
    ASSERT_TRUE(whole.complete) << i;
    EXPECT_EQ(whole.frame.payload, text);
    EXPECT_EQ(whole.frame.kind, FrameKind::kText);
    EXPECT_EQ(whole.used, up.size());
    for (size_t at = 0; at + 1 < up.size(); ++at) Feed(&pair.server, up.substr(at, 1));
    EXPECT_EQ(Feed(&pair.server, up.substr(up.size() - 1)).frame.payload, text);
    text += i % 50 == 0 ? "€" : "t";
  }
}

TEST(FrameCodec, RefusesAWholeFrameThatIsNotUtf8) {
  const std::string frame("\x81\x8a\0\0\0\0plain \xff ..", 16);
  Pair pair;
  EXPECT_EQ(Feed(&pair.server, frame).error, kCloseBadPayload);
}

TEST(FrameCodec, TakesAWholeFrameOnlyBetweenMessages) {
  Pair pair;
  EXPECT_FALSE(Feed(&pair.server, std::string("\x01\x81\0\0\0\0a", 7)).complete);
  EXPECT_EQ(Feed(&pair.server, std::string("\x81\x81\0\0\0\0b", 7)).error, kCloseProtocolError);
}

TEST(FrameCodec, PutsTogetherWhatComesOctetByOctet) {
  Pair pair;
  std::string up;
  pair.client.Append(FrameKind::kText, "ü€", &up);
  for (size_t i = 0; i + 1 < up.size(); ++i) {
    ASSERT_FALSE(Feed(&pair.server, up.substr(i, 1)).complete);
  }
  EXPECT_EQ(Feed(&pair.server, up.substr(up.size() - 1)).frame.payload, "ü€");
}

TEST(FrameCodec, HoldsNoMoreThanItsLimitAfterDecompression) {
  Pair small;
  FrameCodec large({/*is_server=*/false, 100 * kLimit, true});
  FrameCodec server({/*is_server=*/true, kLimit, true});
  std::string answer;
  ASSERT_TRUE(server.Accept(large.MakeRequest("x", "/", {}), &answer));
  std::string why;
  ASSERT_TRUE(large.CheckAnswer(answer, &why)) << why;
  std::string bomb;
  large.Append(FrameKind::kText, std::string(50 * kLimit, 'x'), &bomb);
  ASSERT_LT(bomb.size(), kLimit);  // Nothing that a look at the length would stop.
  EXPECT_EQ(Feed(&server, bomb).error, kCloseTooBig);
}

TEST(FrameCodec, ClosesWithTheCodeThatTheRuleSays) {
  const auto error_of = [](const std::string& frame) {
    Pair pair;
    return Feed(&pair.server, frame).error;
  };
  const std::string mask(4, '\0');
  EXPECT_EQ(error_of("\x81\x01x"), kCloseProtocolError);        // Not masked.
  EXPECT_EQ(error_of("\xc1\x80" + mask), kCloseProtocolError);  // RSV1.
  EXPECT_EQ(error_of("\x83\x80" + mask), kCloseProtocolError);  // Reserved opcode.
  EXPECT_EQ(error_of("\x09\x80" + mask), kCloseProtocolError);  // Fragmented ping.
  EXPECT_EQ(error_of("\x80\x80" + mask), kCloseProtocolError);  // Of nothing.
  EXPECT_EQ(error_of(std::string("\x81\xfe\x00\x7d", 4)), 0);   // Not yet whole.
  EXPECT_EQ(error_of(std::string("\x81\xfe\x00\x7d", 4) + mask), kCloseProtocolError);
  EXPECT_EQ(error_of("\x81\x82" + mask + "\xc3\x28"), kCloseBadPayload);      // UTF-8.
  EXPECT_EQ(error_of("\x88\x81" + mask + "x"), kCloseProtocolError);          // Half a code.
  EXPECT_EQ(error_of("\x88\x82" + mask + "\x03\xed"), kCloseProtocolError);   // 1005.
  EXPECT_EQ(error_of("\x88\x83" + mask + "\x03\xe8\xff"), kCloseBadPayload);  // Reason.
  EXPECT_EQ(error_of(std::string("\x82\xff\x00\x00\x00\x00\x00\x02\x00\x00", 10) + mask),
            kCloseTooBig);
  // A client takes no masked frame.
  Pair pair;
  EXPECT_EQ(Feed(&pair.client, "\x81\x80" + mask).error, kCloseProtocolError);
}

TEST(FrameCodec, RefusesHandshakesThatAreNone) {
  FrameCodec server({});
  std::string answer;
  EXPECT_FALSE(server.Accept("GET / HTTP/1.1\r\nHost: x\r\n\r\n", &answer));
  EXPECT_EQ(answer.substr(0, 12), "HTTP/1.1 426");
  EXPECT_FALSE(server.Accept("garbage\r\n\r\n", &answer));
  EXPECT_EQ(answer.substr(0, 12), "HTTP/1.1 400");
  FrameCodec client({/*is_server=*/false, kLimit, false});
  client.MakeRequest("x", "/", {});
  std::string why;
  EXPECT_FALSE(client.CheckAnswer("HTTP/1.1 200 OK\r\n\r\n", &why));
  EXPECT_FALSE(
      client.CheckAnswer("HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                         "Sec-WebSocket-Accept: wrong\r\n\r\n",
                         &why));
  EXPECT_FALSE(client.CheckAnswer("\r\n\r\n", &why));
}

}  // namespace
}  // namespace viaduct::websocket
