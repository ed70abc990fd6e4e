// The road against the listener's own server code.
#include "plugins/websocket/client.h"

#include <gtest/gtest.h>

#include <atomic>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "plugins/websocket/server.h"

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
  void OnConnect(Session&, const std::string&, const std::string&) override {}
  void OnEvent(Session&, SessionEvent) override {}
  void OnMessage(Session& session, bool, std::string payload) override {
    ++messages_;
    absl::SleepFor(kSlow);
    session.SendMessage(false, R"({"message_id":"m1","status":"success","result":"stored"})");
    session.EventDone(payload.size());
  }
  void OnAck(Session&, uint64_t, std::string) override {}
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

}  // namespace
}  // namespace viaduct::websocket
