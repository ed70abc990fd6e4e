// The road against the listener's own server code.
#include "plugins/websocket/client.h"

#include <gtest/gtest.h>

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/write.hpp>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "plugins/websocket/frame_codec.h"
#include "plugins/websocket/server.h"
#include "plugins/websocket/untaken.h"

namespace viaduct::websocket {
namespace {

constexpr absl::Duration kAnswerTimeout = absl::Milliseconds(300);
constexpr absl::Duration kSlow = absl::Milliseconds(900);  // Beyond that.
constexpr absl::Duration kPatience = absl::Seconds(30);

// Takes its time for every message.
class SlowServer final : public ServerHandler {
 public:
  SlowServer() : server_(Options(), this) { EXPECT_TRUE(server_.Start().ok()); }
  int port() const { return server_.port(); }
  int messages() const { return messages_; }

  void OnHttp(uint64_t, HttpRequest) override {}
  void OnHttpGone(uint64_t) override {}
  void OnConnect(Session&, std::string_view, std::string_view) override {}
  void OnEvent(Session&, const SessionEvent&) override {}
  void OnMessage(Session& session, bool, std::string_view payload) override {
    ++messages_;
    absl::SleepFor(kSlow);
    session.SendMessage(false, R"({"message_id":"m1","status":"success","result":"stored"})");
    session.EventDone(payload.size());
  }
  void OnAck(Session&, uint64_t, std::string_view) override {}
  void OnClose(Session&) override {}

 private:
  static ServerOptions Options() {
    ServerOptions options;
    options.port = 0;
    return options;
  }
  std::atomic<int> messages_{0};
  Server server_;
};

// What becomes of a message of so many octets.
DeliveryResult Outcome(const SlowServer& server, size_t bytes) {
  ClientOptions options;
  options.server_url = absl::StrCat("ws://127.0.0.1:", server.port());
  options.raw = true;
  options.answer_timeout = kAnswerTimeout;
  options.reconnect_attempts = 0;
  DeliveryResult result;
  absl::Notification ended;
  Client client(options, {[&](absl::Span<const DeliveryResult> results) {
                            result = results.front();
                            ended.Notify();
                          },
                          [] {}, [](const absl::Status&) {}});
  EXPECT_TRUE(client.Start().ok());
  EXPECT_TRUE(client.Take({1, "m1", std::string(bytes, 'x')}));
  EXPECT_TRUE(ended.WaitForNotificationWithTimeout(kPatience));
  client.Stop();
  return result;
}

TEST(Client, GivesALargeMessageMoreTime) {
  SlowServer server;
  EXPECT_EQ(Outcome(server, 10).outcome, DeliveryOutcome::kRetry);
  const DeliveryResult large = Outcome(server, 64u << 10);
  EXPECT_EQ(large.outcome, DeliveryOutcome::kDurable) << large.status;
  EXPECT_EQ(server.messages(), 2);
}

// Answers one connection by the script of a test.
class ScriptedServer {
 public:
  // Said for each frame that comes; what it appends is sent.
  using Script = std::function<void(FrameCodec& codec, const ReceivedFrame& frame, std::string*)>;

  // `greeting` is a text that it sends first; "" is none.
  explicit ScriptedServer(Script script, std::string greeting = "")
      : script_(std::move(script)),
        greeting_(std::move(greeting)),
        acceptor_(loop_, {boost::asio::ip::address_v4::loopback(), 0}),
        thread_([this] { Serve(); }) {}
  ~ScriptedServer() { thread_.join(); }
  std::string url() { return absl::StrCat("ws://127.0.0.1:", acceptor_.local_endpoint().port()); }

 private:
  using Tcp = boost::asio::ip::tcp;

  void Serve() {
    Tcp::socket socket = acceptor_.accept();
    std::string in, out;
    FrameCodec codec(FrameOptions{});
    boost::system::error_code end;
    while (in.find("\r\n\r\n") == std::string::npos) Read(socket, &in, end);
    codec.Accept(in, &out);
    if (!greeting_.empty()) codec.Append(FrameKind::kText, greeting_, &out);
    while (!end) {
      boost::asio::write(socket, boost::asio::buffer(out), end);
      in.clear();
      out.clear();
      Read(socket, &in, end);
      Use(codec, &in, &out);
    }
  }
  void Use(FrameCodec& codec, std::string* in, std::string* out) {
    auto* data = reinterpret_cast<uint8_t*>(in->data());
    for (size_t left = in->size(); left > 0;) {
      const FrameCodec::Fed fed = codec.Feed(data, left);
      if (fed.complete) script_(codec, fed.frame, out);
      data += fed.used;
      left -= fed.used;
    }
  }
  static void Read(Tcp::socket& socket, std::string* in, boost::system::error_code& end) {
    char buffer[4096];
    const size_t size = socket.read_some(boost::asio::buffer(buffer), end);
    in->append(buffer, size);
  }

  const Script script_;
  const std::string greeting_;
  boost::asio::io_context loop_;
  Tcp::acceptor acceptor_;
  std::thread thread_;
};

// A road whose results can be waited for.
class Road {
 public:
  explicit Road(const std::string& url, absl::Duration answer_timeout = 2 * kPatience)
      : client_(OptionsFor(url, answer_timeout), {[this](absl::Span<const DeliveryResult> results) {
                                                    absl::MutexLock lock(&mutex_);
                                                    for (const DeliveryResult& result : results)
                                                      results_[result.token] = result;
                                                  },
                                                  [] {}, [](const absl::Status&) {}}) {
    EXPECT_TRUE(client_.Start().ok());
  }
  Client& client() { return client_; }
  DeliveryResult Await(uint64_t token) {
    absl::MutexLock lock(&mutex_);
    const auto there = [&] { return results_.count(token) > 0; };
    EXPECT_TRUE(mutex_.AwaitWithTimeout(absl::Condition(&there), kPatience)) << token;
    return results_[token];
  }

 private:
  static ClientOptions OptionsFor(const std::string& url, absl::Duration answer_timeout) {
    ClientOptions options;
    options.server_url = url;
    options.raw = true;
    options.answer_timeout = answer_timeout;
    options.reconnect_attempts = 0;
    return options;
  }
  absl::Mutex mutex_;
  std::map<uint64_t, DeliveryResult> results_;
  Client client_;
};

constexpr char kMessage[] = R"({"message_id":"m1"})";

// All that was under way when they were sent would take a minute on the slowest road.
TEST(Client, WaitsForAMessageOnlyAsLongAsWhatIsNotAnsweredInFrontOfItNeeds) {
  constexpr uint64_t kMessages = 100;
  constexpr uint64_t kAnswered = 50;
  constexpr size_t kBytes = 10u << 10;
  uint64_t messages = 0;
  ScriptedServer server([&](FrameCodec& codec, const ReceivedFrame& frame, std::string* out) {
    if (frame.kind != FrameKind::kText || ++messages > kAnswered) return;
    codec.Append(FrameKind::kText,
                 absl::StrCat(R"({"message_id":"m)", messages, R"(","result":"stored"})"), out);
  });
  Road road(server.url(), kAnswerTimeout);
  for (uint64_t i = 1; i <= kMessages; ++i) {
    ASSERT_TRUE(road.client().Take({i, absl::StrCat("m", i), std::string(kBytes, ' ')}));
  }
  EXPECT_EQ(road.Await(kAnswered).outcome, DeliveryOutcome::kDurable);
  EXPECT_EQ(road.Await(kAnswered + 1).outcome, DeliveryOutcome::kRetry);
}

TEST(Client, GivesBackAtOnceWhatTheServerHadNoRoomFor) {
  ScriptedServer server([](FrameCodec& codec, const ReceivedFrame& frame, std::string* out) {
    if (frame.kind != FrameKind::kText) return;
    codec.Append(FrameKind::kText, UntakenAnswer(Untaken::kBusy, frame.payload), out);
  });
  Road road(server.url());
  ASSERT_TRUE(road.client().Take({1, "m1", kMessage}));
  const DeliveryResult result = road.Await(1);
  EXPECT_EQ(result.outcome, DeliveryOutcome::kRetry);
  EXPECT_EQ(result.status.message(), "answer: status \"retry\", the server is busy");
}

TEST(Client, RejectsTheMessageThatIsTooLargeForTheServer) {
  int messages = 0;
  ScriptedServer server([&](FrameCodec& codec, const ReceivedFrame& frame, std::string* out) {
    if (frame.kind == FrameKind::kText && ++messages == 3) {
      codec.AppendClose(kCloseTooBig, "too big", out);
    }
  });
  Road road(server.url());
  ASSERT_TRUE(road.client().Take({1, "m1", kMessage}));
  ASSERT_TRUE(road.client().Take({2, "m2", std::string(3000, ' ')}));
  ASSERT_TRUE(road.client().Take({3, "m3", kMessage}));
  const DeliveryResult large = road.Await(2);
  EXPECT_EQ(large.outcome, DeliveryOutcome::kReject);
  EXPECT_EQ(large.status.message(), "message: 3000 bytes, more than the server takes");
  EXPECT_EQ(road.Await(1).outcome, DeliveryOutcome::kRetry);
  EXPECT_EQ(road.Await(3).outcome, DeliveryOutcome::kRetry);
}

// A message of so many octets is cancelled on its way; the server finds something too large while
// `other` octets wait for their answer.
DeliveryResult OutcomeBeside(size_t cancelled, size_t other) {
  absl::Notification first_came;
  int messages = 0;
  ScriptedServer server([&](FrameCodec& codec, const ReceivedFrame& frame, std::string* out) {
    if (frame.kind != FrameKind::kText) return;
    if (++messages == 1) return first_came.Notify();
    codec.AppendClose(kCloseTooBig, "too big", out);
  });
  Road road(server.url());
  EXPECT_TRUE(road.client().Take({1, "m1", std::string(cancelled, ' ')}));
  EXPECT_TRUE(first_came.WaitForNotificationWithTimeout(kPatience));
  const uint64_t tokens[] = {1};
  road.client().Cancel(tokens);
  EXPECT_EQ(road.Await(1).outcome, DeliveryOutcome::kCancelled);
  EXPECT_TRUE(road.client().Take({2, "m2", std::string(other, ' ')}));
  return road.Await(2);
}

TEST(Client, DoesNotBlameAMessageForACancelledOneThatIsLarger) {
  EXPECT_EQ(OutcomeBeside(3000, 20).outcome, DeliveryOutcome::kRetry);
  EXPECT_EQ(OutcomeBeside(20, 3000).outcome, DeliveryOutcome::kReject);
}

TEST(Client, DoesNotTakeALatePongForTheAnswerToItsProbe) {
  std::string first, second;
  absl::Notification given_up;
  ScriptedServer server([&](FrameCodec& codec, const ReceivedFrame& frame, std::string* out) {
    if (frame.kind == FrameKind::kPing && first.empty()) {
      first = frame.payload;
    } else if (frame.kind == FrameKind::kPing) {
      second = frame.payload;
      codec.Append(FrameKind::kPong, first, out);
      codec.Append(FrameKind::kText, R"({"message_id":"m1","result":"stored"})", out);
    } else if (frame.kind == FrameKind::kText && !second.empty()) {
      codec.Append(FrameKind::kPong, second, out);
    }
  });
  Road road(server.url());
  ASSERT_TRUE(road.client().Take({1, "m1", kMessage}));
  ASSERT_TRUE(
      road.client().Probe(absl::Milliseconds(200),
                          [&](const absl::Status& status, absl::Duration, const ProbeCost& spent) {
                            EXPECT_EQ(status.code(), absl::StatusCode::kDeadlineExceeded);
                            EXPECT_EQ(spent.sent, 13u) << "head, mask and \"probe 1\"";
                            EXPECT_EQ(spent.received, 0u);
                            given_up.Notify();
                          }));
  ASSERT_TRUE(given_up.WaitForNotificationWithTimeout(kPatience));
  absl::Notification answered;
  ASSERT_TRUE(road.client().Probe(
      kPatience, [&](const absl::Status& status, absl::Duration, const ProbeCost& spent) {
        EXPECT_TRUE(status.ok()) << status;
        EXPECT_EQ(spent.sent, 13u);
        EXPECT_EQ(spent.received, 9u);
        answered.Notify();
      }));
  EXPECT_EQ(road.Await(1).outcome, DeliveryOutcome::kDurable);  // It came behind the late pong.
  EXPECT_FALSE(answered.HasBeenNotified());
  ASSERT_TRUE(road.client().Take({2, "m2", kMessage}));
  EXPECT_TRUE(answered.WaitForNotificationWithTimeout(kPatience));
}

// One that says who it is when it is connected.
struct Newcomer {
  Newcomer(const std::string& url, bool raw)
      : client(OptionsFor(url, raw),
               {[this](absl::Span<const DeliveryResult>) { settled.Notify(); },
                [this] { ready.Notify(); }, [](const absl::Status&) {}}) {
    EXPECT_TRUE(client.Start().ok());
    EXPECT_TRUE(ready.WaitForNotificationWithTimeout(kPatience));
    client.Introduce("node_register", R"({"type":"node_register","device_id":"N"})");
  }
  static ClientOptions OptionsFor(const std::string& url, bool raw) {
    ClientOptions options;
    options.server_url = url;
    options.raw = raw;
    options.reconnect_attempts = 0;
    options.reconnect_delay = absl::Hours(1);  // The answer of the server says when.
    return options;
  }
  absl::Notification ready, settled;
  Client client;
};

TEST(Client, IntroducesItselfAgainWhenAPlainServerHasRefused) {
  int introductions = 0;
  absl::Notification taken;
  ScriptedServer server([&](FrameCodec& codec, const ReceivedFrame& frame, std::string* out) {
    if (frame.kind != FrameKind::kText) return;
    const bool refused = ++introductions < 3;
    codec.Append(FrameKind::kText,
                 refused ? R"({"status":"error","type":"node_registered","retry_after":0})"
                         : R"({"status":"success","type":"node_registered"})",
                 out);
    if (!refused) taken.Notify();
  });
  Newcomer peer(server.url(), /*raw=*/true);
  EXPECT_TRUE(taken.WaitForNotificationWithTimeout(kPatience));
  peer.client.Stop();
  EXPECT_EQ(introductions, 3);
}

TEST(Client, IntroducesItselfAgainWhenASocketIoServerHasRefused) {
  std::vector<std::string> said;
  absl::Notification taken;
  const auto script = [&](FrameCodec& codec, const ReceivedFrame& frame, std::string* out) {
    if (frame.kind != FrameKind::kText) return;
    if (frame.payload == "40") return codec.Append(FrameKind::kText, "40{}", out);
    said.push_back(frame.payload);
    const std::string id = frame.payload.substr(2, frame.payload.find('[') - 2);
    const bool refused = said.size() < 2;
    codec.Append(FrameKind::kText,
                 absl::StrCat("43", id,
                              refused ? R"([{"message":"the server is busy","retry_after":0}])"
                                      : R"([{"success":true,"retry_after":0}])"),
                 out);
    if (!refused) taken.Notify();
  };
  ScriptedServer server(script, R"(0{"sid":"s","pingInterval":25000,"pingTimeout":20000})");
  Newcomer peer(server.url(), /*raw=*/false);
  ASSERT_TRUE(taken.WaitForNotificationWithTimeout(kPatience));
  peer.client.Stop();
  ASSERT_EQ(said.size(), 2u);
  const std::string body = R"(["node_register",{"type":"node_register","device_id":"N"}])";
  EXPECT_EQ(said[0], "421" + body);
  EXPECT_EQ(said[1], "422" + body) << "each has its own acknowledgement";
}

TEST(IntroduceAgain, IsAskedForByWhateverIsNoSuccess) {
  const absl::Duration otherwise = absl::Seconds(5);
  EXPECT_EQ(IntroduceAgain(R"({"success":true})", otherwise), std::nullopt);
  EXPECT_EQ(IntroduceAgain(R"({"status":"success","retry_after":1})", otherwise), std::nullopt);
  EXPECT_EQ(IntroduceAgain(R"({"message":"busy","retry_after":7})", otherwise), absl::Seconds(7));
  for (const char* json : {"", "7", "{}", R"({"success":1})", R"({"success":false})",
                           R"({"status":"error","retry_after":"soon"})"}) {
    EXPECT_EQ(IntroduceAgain(json, otherwise), otherwise) << json;
  }
  for (const char* json : {R"({"retry_after":-1})", R"({"retry_after":0})"}) {
    EXPECT_EQ(IntroduceAgain(json, otherwise), Client::kMinIntroduceAgain) << json;
  }
  EXPECT_EQ(IntroduceAgain(R"({"retry_after":1e300})", otherwise), Client::kMaxIntroduceAgain);
  EXPECT_EQ(IntroduceAgain("{}", absl::ZeroDuration()), Client::kMinIntroduceAgain);
}

}  // namespace
}  // namespace viaduct::websocket
