// The listener's end: what was taken is answered, nothing more is taken.
#include "plugins/websocket/server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/asio/buffer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/write.hpp>
#include <deque>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "plugins/websocket/client.h"
#include "plugins/websocket/frame_codec.h"
#include "plugins/websocket/socketio.h"

namespace viaduct::websocket {
namespace {

using ::testing::HasSubstr;

constexpr absl::Duration kPatience = absl::Seconds(30);

ServerOptions AnyPort() {
  ServerOptions options;
  options.port = 0;
  return options;
}

// Answers when it is told to.
class HoldingServer final : public ServerHandler {
 public:
  explicit HoldingServer(const ServerOptions& options = AnyPort()) : server_(options, this) {
    EXPECT_TRUE(server_.Start().ok());
  }
  Server& server() { return server_; }

  void OnHttp(uint64_t, HttpRequest) override {}
  void OnHttpGone(uint64_t) override {}
  void OnConnect(Session&, std::string_view, std::string_view) override {
    absl::MutexLock lock(&mutex_);
    ++connected_;
  }
  void OnEvent(Session& session, const SessionEvent& event) override {
    absl::MutexLock lock(&mutex_);
    taken_.push_back({session.id(), event.bytes, event.ack_id});
  }
  void OnMessage(Session& session, bool, std::string_view payload) override {
    absl::MutexLock lock(&mutex_);
    taken_.push_back({session.id(), payload.size(), 0});
  }
  void OnAck(Session&, uint64_t, std::string_view) override {}
  void OnClose(Session&) override {}

  size_t AwaitMessages(size_t count) {
    absl::MutexLock lock(&mutex_);
    const auto there = [&]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return taken_.size() >= count; };
    mutex_.AwaitWithTimeout(absl::Condition(&there), kPatience);
    return taken_.size();
  }
  bool AwaitSessions(size_t count) {
    absl::MutexLock lock(&mutex_);
    const auto there = [&]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return connected_ >= count; };
    return mutex_.AwaitWithTimeout(absl::Condition(&there), kPatience);
  }
  // Each in a step of its own; returns when the last has been taken.
  void PublishToAll(size_t times, const std::string& body) {
    for (size_t i = 0; i < times; ++i) {
      server_.Post([&] { server_.Publish("all", "new_detection", body); });
    }
    absl::Notification done;
    server_.Post([&] { done.Notify(); });
    EXPECT_TRUE(done.WaitForNotificationWithTimeout(kPatience));
  }
  void AnswerFirst() {
    server_.Post([this] {
      absl::MutexLock lock(&mutex_);
      Session* const session = server_.Find(taken_.front().session);
      ASSERT_NE(session, nullptr);
      if (session->socketio() != nullptr) {
        session->socketio()->Ack("/", taken_.front().ack_id, R"("stored")", {});
      } else {
        session->SendMessage(false, R"({"message_id":"m1","result":"stored"})");
      }
      session->EventDone(taken_.front().bytes);
    });
  }

 private:
  struct Taken {
    uint64_t session;
    size_t bytes;
    uint64_t ack_id;
  };
  absl::Mutex mutex_;
  std::vector<Taken> taken_ ABSL_GUARDED_BY(mutex_);
  size_t connected_ ABSL_GUARDED_BY(mutex_) = 0;
  Server server_;
};

// A session of Socket.IO that enters the namespace, and from then on neither reads nor writes.
class SilentPeer {
 public:
  explicit SilentPeer(int port) : socket_(loop_) {
    const Tcp::endpoint server(boost::asio::ip::address_v4::loopback(), port);
    socket_.open(Tcp::v4());
    socket_.set_option(Tcp::socket::receive_buffer_size(4096));
    socket_.connect(server);
    FrameCodec codec(FrameOptions{/*is_server=*/false});
    std::string out = codec.MakeRequest("localhost", "/socket.io/?EIO=4&transport=websocket", {});
    boost::asio::write(socket_, boost::asio::buffer(out));
    std::string head;
    boost::asio::read_until(socket_, boost::asio::dynamic_buffer(head), "\r\n\r\n");
    out.clear();
    codec.Append(FrameKind::kText, "40", &out);
    boost::asio::write(socket_, boost::asio::buffer(out));
  }

 private:
  using Tcp = boost::asio::ip::tcp;
  boost::asio::io_context loop_;
  Tcp::socket socket_;
};

TEST(Server, CountsWhatIsSentToPeersThatNeitherReadNorWrite) {
  constexpr size_t kPeers = 4;
  constexpr size_t kBody = 1u << 20;
  constexpr size_t kTimes = 20;  // A peer's own limit, and what the kernel takes, is not reached.
  ServerOptions options = AnyPort();
  options.max_unsent_bytes = 2 * kTimes * kBody;
  options.max_buffered_bytes = 4 * kBody;
  HoldingServer held(options);
  std::deque<SilentPeer> peers;
  for (size_t i = 0; i < kPeers; ++i) peers.emplace_back(held.server().port());
  ASSERT_TRUE(held.AwaitSessions(kPeers));
  held.PublishToAll(kTimes, "\"" + std::string(kBody, 'x') + "\"");
  const ServerStats& stats = held.server().stats();
  EXPECT_EQ(stats.crowded_out, kPeers);
  EXPECT_EQ(stats.slow_readers, 0u);
  EXPECT_EQ(stats.sessions, 0);
}

TEST(Server, TakesNothingMoreWhileItDrainsAndAnswersWhatItTook) {
  HoldingServer held;
  absl::Mutex mutex;
  std::map<uint64_t, DeliveryResult> results;
  std::string lost;
  ClientOptions options;
  options.server_url = absl::StrCat("ws://127.0.0.1:", held.server().port());
  options.raw = true;
  options.reconnect_attempts = 0;
  Client client(options, {[&](absl::Span<const DeliveryResult> ended) {
                            absl::MutexLock lock(&mutex);
                            for (const DeliveryResult& one : ended) results[one.token] = one;
                          },
                          [] {},
                          [&](const absl::Status& why) {
                            absl::MutexLock lock(&mutex);
                            lost = std::string(why.message());
                          }});
  ASSERT_TRUE(client.Start().ok());
  ASSERT_TRUE(client.Take({1, "m1", "first"}));
  ASSERT_EQ(held.AwaitMessages(1), 1u);
  absl::Notification drains;
  held.server().Drain();
  held.server().Post([&] { drains.Notify(); });
  ASSERT_TRUE(drains.WaitForNotificationWithTimeout(kPatience));
  ASSERT_TRUE(client.Take({2, "m2", "second"}));
  held.AnswerFirst();
  {
    absl::MutexLock lock(&mutex);
    const auto over = [&] { return results.size() == 2 && !lost.empty(); };
    ASSERT_TRUE(mutex.AwaitWithTimeout(absl::Condition(&over), kPatience));
    EXPECT_EQ(results[1].outcome, DeliveryOutcome::kDurable) << results[1].status;
    EXPECT_EQ(results[2].outcome, DeliveryOutcome::kRetry);
    EXPECT_EQ(lost, "server: closed the connection, 1001 the node is stopping");
  }
  EXPECT_EQ(held.AwaitMessages(1), 1u);
  client.Stop();
  held.server().Stop();
}

TEST(Server, EndsSessionsThatOweNothingAsSoonAsItDrains) {
  HoldingServer held;
  absl::Notification ready, lost;
  ClientOptions options;
  options.server_url = absl::StrCat("ws://127.0.0.1:", held.server().port());
  options.reconnect_attempts = 0;
  Client client(options, {[](absl::Span<const DeliveryResult>) {}, [&] { ready.Notify(); },
                          [&](const absl::Status&) { lost.Notify(); }});
  ASSERT_TRUE(client.Start().ok());
  ASSERT_TRUE(ready.WaitForNotificationWithTimeout(kPatience));
  held.server().Drain();
  EXPECT_TRUE(lost.WaitForNotificationWithTimeout(kPatience));
}

// A session of Socket.IO that polls, with a connection for every request.
class Poller {
 public:
  explicit Poller(int port) : port_(port) {
    const std::string open = Ask("GET", "");
    const size_t sid = open.find("\"sid\":\"") + 7;
    target_ += "&sid=" + open.substr(sid, open.find('"', sid) - sid);
  }
  // The whole answer, with its header.
  std::string Ask(const std::string& method, const std::string& body) const {
    boost::asio::io_context loop;
    boost::asio::ip::tcp::socket socket(loop);
    socket.connect({boost::asio::ip::address_v4::loopback(), static_cast<uint16_t>(port_)});
    const std::string request =
        absl::StrCat(method, " ", target_, " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n",
                     "Content-Length: ", body.size(), "\r\n\r\n", body);
    boost::asio::write(socket, boost::asio::buffer(request));
    std::string answer;
    boost::system::error_code end;
    boost::asio::read(socket, boost::asio::dynamic_buffer(answer), end);
    return answer;
  }

 private:
  const int port_;
  std::string target_ = "/socket.io/?EIO=4&transport=polling";
};

// A client that polls gives its session up when a POST fails: an answer that it has not fetched
// would be lost. The pong of a ping comes by POST, so that happens to whoever waits.
TEST(Server, APostWhileItDrainsCostsNoAnswerThatIsStillToBeFetched) {
  HoldingServer held;
  const Poller peer(held.server().port());
  EXPECT_THAT(peer.Ask("POST", "40"), HasSubstr(" 200 "));
  EXPECT_THAT(peer.Ask("GET", ""), HasSubstr("40{"));
  EXPECT_THAT(peer.Ask("POST", R"(427["envelope",{}])"), HasSubstr(" 200 "));
  ASSERT_EQ(held.AwaitMessages(1), 1u);
  absl::Notification drains, posted;
  held.server().Drain();
  held.server().Post([&] { drains.Notify(); });
  ASSERT_TRUE(drains.WaitForNotificationWithTimeout(kPatience));
  const uint64_t requests = held.server().stats().requests;
  std::string refused;
  std::thread poster([&] {
    refused = peer.Ask("POST", R"(428["envelope",{}])");
    posted.Notify();
  });
  const absl::Time deadline = absl::Now() + kPatience;
  while (held.server().stats().requests == requests && absl::Now() < deadline) {
    std::this_thread::yield();
  }
  held.AnswerFirst();
  EXPECT_THAT(peer.Ask("GET", ""), HasSubstr(R"(437["stored"])"));
  EXPECT_FALSE(posted.HasBeenNotified()) << "before the answer has arrived";
  EXPECT_THAT(peer.Ask("GET", ""), ::testing::EndsWith("\r\n\r\n1")) << "the session is over";
  EXPECT_TRUE(posted.WaitForNotificationWithTimeout(kPatience));
  poster.join();
  EXPECT_THAT(refused, HasSubstr(" 503 "));
  EXPECT_EQ(held.AwaitMessages(1), 1u) << "it was not taken";
}

}  // namespace
}  // namespace viaduct::websocket
