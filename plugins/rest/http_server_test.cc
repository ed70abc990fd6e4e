#include "plugins/rest/http_server.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <filesystem>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "plugins/rest/sync_server.h"

namespace viaduct::rest {
namespace {

constexpr int kDeadlineMs = 10'000;

// A peer that sends just what it is told to, well-formed or not.
class RawPeer {
 public:
  explicit RawPeer(int port) : fd_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connected_ = ::connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0;
  }
  ~RawPeer() { ::close(fd_); }
  RawPeer(const RawPeer&) = delete;
  RawPeer& operator=(const RawPeer&) = delete;

  bool connected() const { return connected_; }
  bool Send(const std::string& text) {
    return ::send(fd_, text.data(), text.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(text.size());
  }
  // False: the deadline passed.
  bool SendsUntilClosed() {
    const absl::Time deadline = absl::Now() + absl::Milliseconds(kDeadlineMs);
    while (absl::Now() < deadline) {
      if (!Send("x")) return true;
      pollfd waiting{fd_, 0, 0};
      if (::poll(&waiting, 1, 20) > 0) return true;
    }
    return false;
  }
  void EndInput() { ::shutdown(fd_, SHUT_WR); }
  // Reads until `text` was seen, the peer closes, or the deadline.
  std::string ReadUntil(const std::string& text) {
    while (!absl::StrContains(received_, text) && ReadMore()) {
    }
    return received_;
  }
  std::string ReadToEnd() {
    while (ReadMore()) {
    }
    return std::move(received_);
  }
  void Forget() { received_.clear(); }

 private:
  bool ReadMore() {
    pollfd waiting{fd_, POLLIN, 0};
    if (::poll(&waiting, 1, kDeadlineMs) <= 0) return false;
    char buffer[4096];
    const ssize_t n = ::recv(fd_, buffer, sizeof(buffer), 0);
    if (n <= 0) return false;
    received_.append(buffer, static_cast<size_t>(n));
    return true;
  }

  const int fd_;
  bool connected_ = false;
  std::string received_;
};

HttpReply Echo(const HttpRequest& request) {
  HttpReply reply;
  reply.headers = {{"content-type", "text/plain"}};
  reply.body =
      absl::StrCat(request.method, " ", request.path, "?", request.query, " [", request.body, "]");
  return reply;
}

HttpServerOptions LoopbackOptions() {
  HttpServerOptions options;
  options.port = 0;
  return options;
}

std::string Post(const std::string& path, const std::string& body) {
  return absl::StrCat("POST ", path, " HTTP/1.1\r\nHost: x\r\nContent-Length: ", body.size(),
                      "\r\n\r\n", body);
}

TEST(HttpServer, AnswersManyRequestsOnOneConnection) {
  SyncServer server(LoopbackOptions(), Echo);
  ASSERT_TRUE(server->Start().ok());
  RawPeer peer(server->port());
  for (int i = 0; i < 100; ++i) {
    const std::string body = absl::StrCat("n", i);
    ASSERT_TRUE(peer.Send(Post("/a%20b?q=%20", body)));
    const std::string want = absl::StrCat("POST /a%20b?q=%20 [", body, "]");
    EXPECT_TRUE(absl::StrContains(peer.ReadUntil(want), want));
    peer.Forget();
  }
  EXPECT_EQ(server->stats().requests, 100u);
}

TEST(HttpServer, AnswersPipelinedRequestsInOrder) {
  SyncServer server(LoopbackOptions(), Echo);
  ASSERT_TRUE(server->Start().ok());
  RawPeer peer(server->port());
  std::string all;
  for (int i = 0; i < 50; ++i) absl::StrAppend(&all, Post("/", absl::StrCat("n", i)));
  ASSERT_TRUE(peer.Send(all));
  const std::string answers = peer.ReadUntil("[n49]");
  size_t at = 0;
  for (int i = 0; i < 50; ++i) {
    at = answers.find(absl::StrCat("[n", i, "]"), at);
    ASSERT_NE(at, std::string::npos) << i;
  }
}

TEST(HttpServer, ServesAPeerThatStopsSendingAtOnce) {
  SyncServer server(LoopbackOptions(), Echo);
  ASSERT_TRUE(server->Start().ok());
  RawPeer peer(server->port());
  ASSERT_TRUE(peer.Send(Post("/", "last")));
  peer.EndInput();
  EXPECT_TRUE(absl::StrContains(peer.ReadToEnd(), "[last]"));
}

TEST(HttpServer, SlowSendersKeepNobodyWaiting) {
  SyncServer server(LoopbackOptions(), Echo);
  ASSERT_TRUE(server->Start().ok());
  std::vector<std::unique_ptr<RawPeer>> slow;
  for (int i = 0; i < 50; ++i) {
    slow.push_back(std::make_unique<RawPeer>(server->port()));
    ASSERT_TRUE(slow.back()->Send("POST / HTTP/1.1\r\nContent-Length: 10\r\n\r\nhalf"));
  }
  RawPeer quick(server->port());
  ASSERT_TRUE(quick.Send(Post("/", "quick")));
  EXPECT_TRUE(absl::StrContains(quick.ReadUntil("[quick]"), "[quick]"));
  ASSERT_TRUE(slow[0]->Send("+other"));
  EXPECT_TRUE(absl::StrContains(slow[0]->ReadUntil("[half+other]"), "[half+other]"));
}

TEST(HttpServer, TellsWhoIsTooSlow) {
  HttpServerOptions options = LoopbackOptions();
  options.request_timeout = absl::Milliseconds(10);
  SyncServer server(options, Echo);
  ASSERT_TRUE(server->Start().ok());
  RawPeer peer(server->port());
  ASSERT_TRUE(peer.Send("POST / HTTP/1.1\r\nContent-Length: 10\r\n\r\nhalf"));
  EXPECT_TRUE(absl::StartsWith(peer.ReadToEnd(), "HTTP/1.1 408 "));
  EXPECT_EQ(server->stats().timed_out, 1u);
}

TEST(HttpServer, ClosesIdleConnections) {
  HttpServerOptions options = LoopbackOptions();
  options.idle_timeout = absl::Milliseconds(10);
  SyncServer server(options, Echo);
  ASSERT_TRUE(server->Start().ok());
  RawPeer peer(server->port());
  EXPECT_EQ(peer.ReadToEnd(), "");
}

TEST(HttpServer, RefusesWhatIsTooLargeBeforeItIsSent) {
  HttpServerOptions options = LoopbackOptions();
  options.limits.max_body_bytes = 1000;
  SyncServer server(options, Echo);
  ASSERT_TRUE(server->Start().ok());
  RawPeer body(server->port());
  ASSERT_TRUE(body.Send("POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 1001\r\n\r\n"));
  const std::string answer = body.ReadToEnd();
  EXPECT_TRUE(absl::StartsWith(answer, "HTTP/1.1 413 ")) << answer;
  EXPECT_TRUE(absl::StrContains(answer, "\"message\":")) << answer;
  RawPeer header(server->port());
  ASSERT_TRUE(header.Send("GET /" + std::string(40'000, 'a')));
  EXPECT_TRUE(absl::StartsWith(header.ReadToEnd(), "HTTP/1.1 431 "));
}

TEST(HttpServer, AsksForTheBodyWhenExpectedTo) {
  SyncServer server(LoopbackOptions(), Echo);
  ASSERT_TRUE(server->Start().ok());
  RawPeer peer(server->port());
  ASSERT_TRUE(peer.Send("POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n"));
  EXPECT_EQ(peer.ReadUntil("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
  ASSERT_TRUE(peer.Send("hello"));
  const std::string answer = peer.ReadUntil("[hello]");
  EXPECT_TRUE(absl::StrContains(answer, "[hello]")) << answer;
  EXPECT_EQ(answer.find("100 Continue"), answer.rfind("100 Continue"));
}

TEST(HttpServer, ReadsChunkedBodies) {
  SyncServer server(LoopbackOptions(), Echo);
  ASSERT_TRUE(server->Start().ok());
  RawPeer peer(server->port());
  ASSERT_TRUE(
      peer.Send("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n "
                "world\r\n0\r\n\r\n"));
  EXPECT_TRUE(absl::StrContains(peer.ReadUntil("[hello world]"), "[hello world]"));
}

TEST(HttpServer, GarbageGetsAnAnswerAndHurtsNobody) {
  SyncServer server(LoopbackOptions(), Echo);
  ASSERT_TRUE(server->Start().ok());
  RawPeer good(server->port());
  std::string binary = "\x16\x03\x01\x02";
  for (int i = 0; i < 5000; ++i) binary += static_cast<char>(i * 7919);
  for (const std::string& garbage : {std::string("\r\n\r\n"), std::string("NONSENSE\r\n\r\n"),
                                     std::string("BREW / HTTP/1.1\r\n\r\n"),
                                     std::string("GET / HTTP/9.9\r\n\r\n"), binary + "\r\n\r\n"}) {
    RawPeer bad(server->port());
    ASSERT_TRUE(bad.Send(garbage));
    bad.EndInput();
    const std::string answer = bad.ReadToEnd();
    EXPECT_TRUE(absl::StartsWith(answer, "HTTP/1.1 4") || answer.empty()) << answer;
  }
  ASSERT_TRUE(good.Send(Post("/", "good")));
  EXPECT_TRUE(absl::StrContains(good.ReadUntil("[good]"), "[good]"));
}

TEST(HttpServer, RefusesConnectionsOverTheLimit) {
  HttpServerOptions options = LoopbackOptions();
  options.max_connections = 3;
  SyncServer server(options, Echo);
  ASSERT_TRUE(server->Start().ok());
  std::vector<std::unique_ptr<RawPeer>> peers;
  for (int i = 0; i < 3; ++i) {
    peers.push_back(std::make_unique<RawPeer>(server->port()));
    ASSERT_TRUE(peers.back()->Send(Post("/", "in")));
    peers.back()->ReadUntil("[in]");
  }
  RawPeer late(server->port());
  EXPECT_TRUE(absl::StartsWith(late.ReadToEnd(), "HTTP/1.1 503 "));
  EXPECT_EQ(server->stats().refused_connections, 1u);
}

TEST(HttpServer, RefusesOneMoreOfAnAddressUntilAnotherGoes) {
  HttpServerOptions options = LoopbackOptions();
  options.max_connections_per_address = 1;
  SyncServer server(options, Echo);
  ASSERT_TRUE(server->Start().ok());
  auto first = std::make_unique<RawPeer>(server->port());
  ASSERT_TRUE(first->Send(Post("/", "in")));
  first->ReadUntil("[in]");
  RawPeer late(server->port());
  const std::string answer = late.ReadToEnd();
  EXPECT_TRUE(absl::StartsWith(answer, "HTTP/1.1 503 ")) << answer;
  EXPECT_TRUE(absl::StrContains(answer, "of your address")) << answer;
  EXPECT_EQ(server->stats().refused_of_address, 1u);
  EXPECT_EQ(server->stats().refused_connections, 0u);
  first.reset();
  late.EndInput();
  while (server->stats().connections > 0) absl::SleepFor(absl::Milliseconds(2));
  RawPeer next(server->port());
  ASSERT_TRUE(next.Send(Post("/", "next")));
  EXPECT_TRUE(absl::StrContains(next.ReadUntil("[next]"), "[next]"));
}

TEST(HttpServer, AnswersInWhateverOrderTheyAreReady) {
  absl::Notification release;
  SyncServer server(LoopbackOptions(), [&](const HttpRequest& request) {
    if (request.path == "/slow") release.WaitForNotification();
    return Echo(request);
  });
  ASSERT_TRUE(server->Start().ok());
  std::vector<std::unique_ptr<RawPeer>> slow;
  for (int i = 0; i < 20; ++i) {
    slow.push_back(std::make_unique<RawPeer>(server->port()));
    ASSERT_TRUE(slow.back()->Send(Post("/slow", "x")));
  }
  RawPeer quick(server->port());
  ASSERT_TRUE(quick.Send(Post("/", "quick")));
  EXPECT_TRUE(absl::StrContains(quick.ReadUntil("[quick]"), "[quick]"));
  release.Notify();
  for (auto& peer : slow) EXPECT_TRUE(absl::StrContains(peer->ReadUntil("[x]"), "[x]"));
}

TEST(HttpServer, GivesUpOnAnAnswerThatDoesNotCome) {
  HttpServerOptions options = LoopbackOptions();
  options.answer_timeout = absl::Milliseconds(10);
  absl::Notification release;
  SyncServer server(options, [&](const HttpRequest& request) {
    release.WaitForNotification();
    return Echo(request);
  });
  ASSERT_TRUE(server->Start().ok());
  RawPeer peer(server->port());
  ASSERT_TRUE(peer.Send(Post("/", "x")));
  EXPECT_TRUE(absl::StartsWith(peer.ReadToEnd(), "HTTP/1.1 504 "));
  EXPECT_EQ(server.cancelled(), 1);
  release.Notify();
}

TEST(HttpServer, NeverPutsAHeaderThatBreaksTheFraming) {
  SyncServer server(LoopbackOptions(), [](const HttpRequest&) {
    return HttpReply{200, {{"x-evil", "a\r\nset-cookie: b"}, {"x-good", "c"}}, "body"};
  });
  ASSERT_TRUE(server->Start().ok());
  RawPeer peer(server->port());
  ASSERT_TRUE(peer.Send(Post("/", "x")));
  const std::string answer = peer.ReadUntil("body");
  EXPECT_TRUE(absl::StrContains(answer, "x-good: c"));
  EXPECT_FALSE(absl::StrContains(answer, "set-cookie"));
}

TEST(HttpServer, AnswersHeadWithoutABody) {
  SyncServer server(LoopbackOptions(), Echo);
  ASSERT_TRUE(server->Start().ok());
  RawPeer peer(server->port());
  ASSERT_TRUE(peer.Send("HEAD /x HTTP/1.1\r\nConnection: close\r\n\r\n"));
  const std::string answer = peer.ReadToEnd();
  EXPECT_TRUE(absl::StrContains(answer, "content-length: 11")) << answer;
  EXPECT_TRUE(absl::EndsWith(answer, "\r\n\r\n")) << answer;
}

TEST(HttpServer, DrainsWhatIsUnderWayAndStopsWithoutATrace) {
  const auto count = [](const char* folder) {
    return std::distance(std::filesystem::directory_iterator(folder), {});
  };
  const auto descriptors = count("/proc/self/fd");
  const auto threads = count("/proc/self/task");
  for (int round = 0; round < 20; ++round) {
    absl::Notification inside;
    absl::Notification release;
    SyncServer server(LoopbackOptions(), [&](const HttpRequest& request) {
      if (!inside.HasBeenNotified()) inside.Notify();
      release.WaitForNotification();
      return Echo(request);
    });
    ASSERT_TRUE(server->Start().ok());
    RawPeer idle(server->port());
    RawPeer busy(server->port());
    ASSERT_TRUE(busy.Send(Post("/", "busy")));
    inside.WaitForNotification();
    EXPECT_FALSE(server->Drain(absl::Milliseconds(1)));
    release.Notify();
    EXPECT_TRUE(absl::StrContains(busy.ReadToEnd(), "[busy]"));
    server->Stop();
    EXPECT_FALSE(RawPeer(server->port()).connected());
  }
  EXPECT_EQ(count("/proc/self/fd"), descriptors);
  EXPECT_EQ(count("/proc/self/task"), threads);
}

TEST(HttpServer, SaysWhyItCannotBind) {
  SyncServer first(LoopbackOptions(), Echo);
  ASSERT_TRUE(first->Start().ok());
  HttpServerOptions options;
  options.port = first->port();
  SyncServer second(options, Echo);
  const absl::Status status = second->Start();
  EXPECT_TRUE(absl::IsUnavailable(status)) << status;
  EXPECT_TRUE(absl::StrContains(status.message(), absl::StrCat(first->port()))) << status;
}

TEST(HttpServer, ServesOnePartOfABodyOnRequest) {
  SyncServer server(LoopbackOptions(), Echo);
  ASSERT_TRUE(server->Start().ok());
  RawPeer peer(server->port());
  ASSERT_TRUE(peer.Send("GET /image HTTP/1.1\r\nRange: bytes=4-9\r\nConnection: close\r\n\r\n"));
  const std::string answer = peer.ReadToEnd();
  EXPECT_TRUE(absl::StartsWith(answer, "HTTP/1.1 206 ")) << answer;
  EXPECT_TRUE(absl::EndsWith(answer, "/image")) << answer;
}

TEST(HttpServer, APeerThatDoesNotReadIsNotWaitedForForEver) {
  HttpServerOptions options = LoopbackOptions();
  options.request_timeout = absl::Milliseconds(200);
  SyncServer server(options, [](const HttpRequest&) {
    return HttpReply{200, {}, std::string(64u << 20, 'x')};
  });
  ASSERT_TRUE(server->Start().ok());
  RawPeer peer(server->port());
  ASSERT_TRUE(peer.Send("GET / HTTP/1.1\r\nHost: x\r\n\r\n"));
  // Every octet that it sends meanwhile is an event, and none is progress.
  EXPECT_TRUE(peer.SendsUntilClosed());
  EXPECT_EQ(server->stats().timed_out, 1u);
}

TEST(HttpServer, AnswersOverTheBoundOfMemoryAreNotKept) {
  HttpServerOptions options = LoopbackOptions();
  options.max_buffered_bytes = 1u << 20;
  SyncServer server(options, [](const HttpRequest& request) {
    const size_t bytes = request.path == "/large" ? 2u << 20 : 1000;
    return HttpReply{200, {}, std::string(bytes, 'x')};
  });
  ASSERT_TRUE(server->Start().ok());
  RawPeer peer(server->port());
  ASSERT_TRUE(peer.Send("GET /large HTTP/1.1\r\nHost: x\r\n\r\n"));
  EXPECT_TRUE(absl::StrContains(peer.ReadUntil("to be sent"), "HTTP/1.1 503"));
  ASSERT_TRUE(peer.Send("GET /small HTTP/1.1\r\nHost: x\r\n\r\n"));
  EXPECT_TRUE(absl::StrContains(peer.ReadUntil("xxx"), "HTTP/1.1 200"));
}

// One recv can bring a whole request: the bound holds for it, too.
TEST(HttpServer, ACompleteRequestCountsAgainstTheBound) {
  HttpServerOptions options = LoopbackOptions();
  options.max_buffered_bytes = 20'000;
  SyncServer server(options, Echo);
  ASSERT_TRUE(server->Start().ok());
  RawPeer peer(server->port());
  ASSERT_TRUE(peer.Send(Post("/", std::string(30'000, 'x'))));
  EXPECT_TRUE(absl::StrContains(peer.ReadToEnd(), "HTTP/1.1 503"));
}

TEST(HttpServer, ADecompressionBombIsCutAtTheLimit) {
  HttpServerOptions options = LoopbackOptions();
  options.limits.max_body_bytes = 10'000;
  SyncServer server(options, Echo);
  ASSERT_TRUE(server->Start().ok());
  // gzip of 1,000,000 zero octets, made with zlib: 1,003 octets, far below the limit as sent.
  FILE* gzip = popen("head -c 1000000 /dev/zero | gzip -9n", "r");
  ASSERT_NE(gzip, nullptr);
  std::string bomb(4096, '\0');
  bomb.resize(fread(bomb.data(), 1, bomb.size(), gzip));
  ASSERT_EQ(pclose(gzip), 0);
  ASSERT_LT(bomb.size(), 4096u);
  RawPeer peer(server->port());
  ASSERT_TRUE(peer.Send(
      absl::StrCat("POST / HTTP/1.1\r\nContent-Encoding: gzip\r\nContent-Length: ", bomb.size(),
                   "\r\nConnection: close\r\n\r\n", bomb)));
  EXPECT_TRUE(absl::StartsWith(peer.ReadToEnd(), "HTTP/1.1 413 "));
}

}  // namespace
}  // namespace viaduct::rest
