#include "tests/support/http_response.h"

#include <gtest/gtest.h>

namespace viaduct::support {
namespace {

using State = HttpResponseReader::State;

TEST(HttpResponse, ReadsOneByteAtATime) {
  const std::string text =
      "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Type: application/json\r\n\r\nhello";
  HttpResponseReader reader;
  size_t rest = 0;
  for (size_t i = 0; i + 1 < text.size(); ++i) {
    ASSERT_EQ(reader.Feed(text.substr(i, 1), &rest), State::kMore) << i;
  }
  ASSERT_EQ(reader.Feed("o", &rest), State::kDone);
  EXPECT_EQ(reader.status(), 200);
  EXPECT_EQ(reader.body(), "hello");
  EXPECT_TRUE(reader.keep_alive());
}

TEST(HttpResponse, ReadsChunks) {
  HttpResponseReader reader;
  size_t rest = 0;
  const std::string head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
  ASSERT_EQ(reader.Feed(head + "5\r\nhello\r\n1", &rest), State::kMore);
  ASSERT_EQ(reader.Feed("\r\n!\r\n0\r\n\r\n", &rest), State::kDone);
  EXPECT_EQ(reader.body(), "hello!");
}

TEST(HttpResponse, SeesCloseAndRetryAfter) {
  HttpResponseReader reader;
  size_t rest = 0;
  ASSERT_EQ(reader.Feed("HTTP/1.1 503 Busy\r\nConnection: close\r\nRetry-After: 7\r\n"
                        "Content-Length: 0\r\n\r\n",
                        &rest),
            State::kDone);
  EXPECT_EQ(reader.status(), 503);
  EXPECT_FALSE(reader.keep_alive());
  EXPECT_EQ(reader.retry_after(), 7);
}

TEST(HttpResponse, SkipsContinue) {
  HttpResponseReader reader;
  size_t rest = 0;
  ASSERT_EQ(reader.Feed("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\n"
                        "Content-Length: 0\r\n\r\n",
                        &rest),
            State::kDone);
  EXPECT_EQ(reader.status(), 201);
}

TEST(HttpResponse, CountsWhatItDidNotUse) {
  HttpResponseReader reader;
  size_t rest = 0;
  ASSERT_EQ(reader.Feed("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP", &rest), State::kDone);
  EXPECT_EQ(rest, 4u);
  EXPECT_EQ(reader.body(), "ok");
}

TEST(HttpResponse, RefusesWhatIsNotHttp) {
  for (const char* text : {"SSH-2.0-OpenSSH\r\n\r\n", "HTTP/1.1 abc OK\r\n\r\n",
                           "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
                           "HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n",
                           "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"}) {
    HttpResponseReader reader;
    size_t rest = 0;
    EXPECT_EQ(reader.Feed(text, &rest), State::kBroken) << text;
  }
}

}  // namespace
}  // namespace viaduct::support
