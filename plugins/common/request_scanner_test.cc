#include "plugins/common/request_scanner.h"

#include <gtest/gtest.h>

#include <string>

namespace viaduct {
namespace {

ScanResult ScanWhole(std::string text, ScanLimits limits = {}) {
  return RequestScanner(limits).Scan(text);
}

// What every prefix of the text gives, and then the whole.
ScanResult ScanOctetByOctet(const std::string& text, size_t* bytes, ScanLimits limits = {}) {
  RequestScanner scanner(limits);
  std::string buffer;
  for (const char c : text) {
    buffer += c;
    const ScanResult result = scanner.Scan(buffer);
    if (result == ScanResult::kNeedMore) continue;
    *bytes = scanner.request_bytes();
    return result;
  }
  return ScanResult::kNeedMore;
}

TEST(RequestScanner, FindsTheEndOctetByOctet) {
  const std::string get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
  const std::string post = "POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello";
  const std::string chunked =
      "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n0\r\nTrailer: "
      "x\r\n\r\n";
  for (const std::string& text : {get, post, chunked}) {
    size_t bytes = 0;
    EXPECT_EQ(ScanOctetByOctet(text + "GET /next", &bytes), ScanResult::kComplete) << text;
    EXPECT_EQ(bytes, text.size()) << text;
  }
}

TEST(RequestScanner, ALineEndMayComeInTwoParts) {
  RequestScanner scanner{ScanLimits()};
  std::string buffer = "GET / HTTP/1.1\r";
  EXPECT_EQ(scanner.Scan(buffer), ScanResult::kNeedMore);
  buffer += "X";
  EXPECT_EQ(scanner.Scan(buffer), ScanResult::kBadRequest);
}

TEST(RequestScanner, BoundsTheNumberOfFields) {
  ScanLimits limits;
  limits.max_header_fields = 2;
  EXPECT_EQ(ScanWhole("GET / HTTP/1.1\r\nA: 1\r\nB: 2\r\n\r\n", limits), ScanResult::kComplete);
  EXPECT_EQ(ScanWhole("GET / HTTP/1.1\r\nA: 1\r\nB: 2\r\nC: 3\r\n\r\n", limits),
            ScanResult::kHeaderTooBig);
}

TEST(RequestScanner, RefusesFramingThatTwoProgramsReadInTwoWays) {
  const char* const hostile[] = {
      "POST / HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
      "POST / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
      "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
      "POST / HTTP/1.1\r\nTransfer-Encoding: xchunked\r\n\r\n",
      "POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
      "POST / HTTP/1.1\r\nContent-Length: +5\r\n\r\n",
      "POST / HTTP/1.1\r\nContent-Length: 5, 5\r\n\r\n",
      "POST / HTTP/1.1\r\nContent-Length:\r\n\r\n",
      "POST / HTTP/1.1\r\nContent-Length : 5\r\n\r\n",
      "POST / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n",
      "POST / HTTP/1.1\r\nno colon\r\n\r\n",
      "GET / HTTP/1.1\r\nX: a\nContent-Length: 5\r\n\r\n",
      "GET / HTTP/1.1\r\nX: a\rContent-Length: 5\r\n\r\n",
      "GET / HTTP/1.1\nHost: a\n\n",
      "GET / HTTP/1.1\rHost: a",
      "\nGET / HTTP/1.1\r\n\r\n",
      "POST / HTTP/1.1\r\n: empty\r\n\r\n",
      "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n",
      "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\nhello\r\n",
      "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloXX",
      "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n\r\n",
  };
  for (const char* text : hostile) EXPECT_EQ(ScanWhole(text), ScanResult::kBadRequest) << text;
  EXPECT_EQ(ScanWhole(std::string("GET / HTTP/1.1\r\nA: \0\r\n\r\n", 24)), ScanResult::kBadRequest);
}

TEST(RequestScanner, KnowsItsLimitsBeforeTheOctetsCome) {
  const ScanLimits limits{/*max_header_bytes=*/64, /*max_body_bytes=*/10};
  EXPECT_EQ(ScanWhole("POST / HTTP/1.1\r\nContent-Length: 11\r\n\r\n", limits),
            ScanResult::kBodyTooBig);
  EXPECT_EQ(
      ScanWhole("POST / HTTP/1.1\r\nContent-Length: 99999999999999999999999\r\n\r\n", ScanLimits{}),
      ScanResult::kBodyTooBig);
  EXPECT_EQ(
      ScanWhole("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nffffffffff\r\n", limits),
      ScanResult::kBodyTooBig);
  EXPECT_EQ(ScanWhole("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n6\r\n123456\r\n6\r\n",
                      limits),
            ScanResult::kBodyTooBig);
  EXPECT_EQ(ScanWhole("GET /" + std::string(100, 'a'), limits), ScanResult::kHeaderTooBig);
}

TEST(RequestScanner, EndlessFramingIsBounded) {
  const ScanLimits limits{/*max_header_bytes=*/1024, /*max_body_bytes=*/100};
  const std::string head = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
  EXPECT_EQ(ScanWhole(head + "1" + std::string(200, ';'), limits), ScanResult::kBadRequest);
  std::string trailers = head + "0\r\n";
  for (int i = 0; i < 2000; ++i) trailers += "A: bbbbbbbb\r\n";
  EXPECT_NE(ScanWhole(trailers, limits), ScanResult::kNeedMore);
}

TEST(RequestScanner, TakesTheExpectationOverFromTheParser) {
  std::string text = "POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n";
  RequestScanner scanner{ScanLimits{}};
  EXPECT_EQ(scanner.Scan(text), ScanResult::kNeedMore);
  EXPECT_TRUE(scanner.TakeExpectsContinue());
  EXPECT_FALSE(scanner.TakeExpectsContinue());
  EXPECT_EQ(text.find("Expect"), std::string::npos);
  text += "hello";
  EXPECT_EQ(scanner.Scan(text), ScanResult::kComplete);
}

}  // namespace
}  // namespace viaduct
