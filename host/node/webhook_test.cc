// Against a real HTTP server.
#include "host/node/webhook.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <httplib.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

namespace viaduct {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using Json = nlohmann::json;

constexpr absl::Duration kDeadline = absl::Seconds(30);
constexpr char kToken[] = "very-s3cret";

// Keeps what it is sent; answers as it is told.
class Receiver {
 public:
  struct Got {
    std::string id;
    std::string authorization;
    std::string target;
    Json body;
  };

  // On a port that is free, or on that one.
  explicit Receiver(int port = 0) {
    server_.Post("/.*", [this](const httplib::Request& request, httplib::Response& response) {
      absl::MutexLock lock(&mutex_);
      got_.push_back({request.get_header_value("Idempotency-Key"),
                      request.get_header_value("Authorization"), request.target,
                      Json::parse(request.body)});
      if (!statuses_.empty()) {
        response.status = statuses_.front();
        statuses_.erase(statuses_.begin());
      }
      const auto released = [this]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return !held_; };
      mutex_.AwaitWithTimeout(absl::Condition(&released), kDeadline);
      response.set_content(answer_, "text/plain");
    });
    port_ = port == 0 ? server_.bind_to_any_port("127.0.0.1") : port;
    if (port != 0) {
      EXPECT_TRUE(server_.bind_to_port("127.0.0.1", port));
    }
    thread_ = std::thread([this] { server_.listen_after_bind(); });
    while (!server_.is_running()) std::this_thread::yield();
  }
  ~Receiver() {
    Release();
    server_.stop();
    thread_.join();
  }
  void Answer(std::vector<int> statuses, std::string body = "") {
    absl::MutexLock lock(&mutex_);
    statuses_ = std::move(statuses);
    answer_ = std::move(body);
  }
  void Hold() {
    absl::MutexLock lock(&mutex_);
    held_ = true;
  }
  void Release() {
    absl::MutexLock lock(&mutex_);
    held_ = false;
  }
  std::vector<Got> Await(size_t count) {
    absl::MutexLock lock(&mutex_);
    const auto enough = [&]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return got_.size() >= count; };
    EXPECT_TRUE(mutex_.AwaitWithTimeout(absl::Condition(&enough), kDeadline));
    return got_;
  }
  int port() const { return port_; }

 private:
  httplib::Server server_;
  int port_ = 0;
  absl::Mutex mutex_;
  std::vector<int> statuses_ ABSL_GUARDED_BY(mutex_);
  std::string answer_ ABSL_GUARDED_BY(mutex_);
  bool held_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<Got> got_ ABSL_GUARDED_BY(mutex_);
  std::thread thread_;
};

class KeepingLog final : public Log {
 public:
  bool Enabled(LogLevel, std::string_view) const override { return true; }
  void Write(LogLevel, std::string_view, std::string_view message,
             absl::Span<const LogField> fields) override {
    absl::MutexLock lock(&mutex_);
    absl::StrAppend(&text_, std::string(message));
    for (const LogField& field : fields) absl::StrAppend(&text_, " ", std::string(field.value));
    text_ += "\n";
  }
  std::string text() const {
    absl::MutexLock lock(&mutex_);
    return text_;
  }
  void Await(const std::string& part) const {
    absl::MutexLock lock(&mutex_);
    const auto there = [&]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
      return text_.find(part) != std::string::npos;
    };
    EXPECT_TRUE(mutex_.AwaitWithTimeout(absl::Condition(&there), kDeadline)) << part;
  }

 private:
  mutable absl::Mutex mutex_;
  std::string text_ ABSL_GUARDED_BY(mutex_);
};

class WebhookTest : public ::testing::Test {
 protected:
  ~WebhookTest() override { timers_.Stop(); }
  void Start(int port, absl::Duration timeout = absl::Seconds(20)) {
    WebhookOptions options;
    options.url = absl::StrCat("http://127.0.0.1:", port, "/hook?key=q-s3cret");
    options.token = kToken;
    options.timeout = timeout;
    Webhook::Parts parts;
    parts.node_id = "EDGE7";
    parts.timers = &timers_;
    parts.log = &log_;
    parts.metrics = &metrics_;
    parts.retry = {absl::Milliseconds(5), absl::Milliseconds(20), 2, 0.2};
    webhook_ = std::make_unique<Webhook>(options, parts);
  }
  static Alert AlertNumber(int number, bool cleared = false) {
    Alert alert;
    alert.id = absl::StrCat("alert-", number);
    alert.kind = AlertKind::kLinkDown;
    alert.subject = "uplink";
    alert.text = "link uplink: down";
    alert.value = alert.threshold = 1;
    alert.raised_at = absl::FromUnixSeconds(1705314600);
    if (cleared) alert.cleared_at = alert.raised_at + absl::Minutes(1);
    return alert;
  }
  double Counted(const std::string& name) const {
    for (const MetricSample& sample : metrics_.Samples()) {
      if (sample.name == name) return sample.value;
    }
    return -1;
  }
  // Once what was received is settled, too.
  void AwaitSent(double count) {
    const absl::Time end = absl::Now() + kDeadline;
    while (Counted("viaduct_webhook_sent_total") < count && absl::Now() < end) {
      std::this_thread::yield();
    }
    EXPECT_EQ(Counted("viaduct_webhook_sent_total"), count);
  }

  SystemClock clock_;
  TimerQueue timers_{&clock_};
  KeepingLog log_;
  Metrics metrics_;
  std::unique_ptr<Webhook> webhook_;
};

std::vector<std::string> Ids(const std::vector<Receiver::Got>& got) {
  std::vector<std::string> ids;
  for (const auto& one : got) ids.push_back(one.id);
  return ids;
}

TEST_F(WebhookTest, SendsEachOnceInOrderWithTokenAndId) {
  Receiver receiver;
  Start(receiver.port());
  webhook_->Send(AlertNumber(1));
  webhook_->Send(AlertNumber(1, true));
  webhook_->Send(AlertNumber(2));
  const auto got = receiver.Await(3);
  AwaitSent(3);
  EXPECT_THAT(Ids(got), ElementsAre("alert-1-raised", "alert-1-cleared", "alert-2-raised"));
  EXPECT_EQ(got[0].authorization, absl::StrCat("Bearer ", kToken));
  EXPECT_EQ(got[0].target, "/hook?key=q-s3cret");
  EXPECT_EQ(got[1].body, Json::parse(R"({
      "event_id": "alert-1-cleared", "node_id": "EDGE7", "text": "link uplink: down",
      "alert_id": "alert-1", "kind": "link_down", "subject": "uplink", "state": "cleared",
      "value": 1, "threshold": 1, "raised_at": "2024-01-15T10:30:00.000Z",
      "cleared_at": "2024-01-15T10:31:00.000Z"})"));
  EXPECT_FALSE(got[0].body.contains("cleared_at"));
}

TEST_F(WebhookTest, AReceiverThatIsDownAtFirstGetsAllOfThemOnce) {
  int port = 0;
  { port = Receiver().port(); }
  Start(port);
  webhook_->Send(AlertNumber(1));
  log_.Await("trying again");
  webhook_->Send(AlertNumber(1, true));
  Receiver receiver(port);
  EXPECT_THAT(Ids(receiver.Await(2)), ElementsAre("alert-1-raised", "alert-1-cleared"));
  AwaitSent(2);
  EXPECT_THAT(Ids(receiver.Await(2)), ElementsAre("alert-1-raised", "alert-1-cleared"));
  EXPECT_GE(Counted("viaduct_webhook_failed_total"), 1);
}

TEST_F(WebhookTest, WhatIsAnsweredByAnErrorComesAgainWithTheSameId) {
  Receiver receiver;
  receiver.Answer({500, 503, 429, 200});
  Start(receiver.port());
  webhook_->Send(AlertNumber(1));
  webhook_->Send(AlertNumber(2));
  EXPECT_THAT(Ids(receiver.Await(5)),
              ElementsAre("alert-1-raised", "alert-1-raised", "alert-1-raised", "alert-1-raised",
                          "alert-2-raised"));
  AwaitSent(2);
  EXPECT_EQ(Counted("viaduct_webhook_failed_total"), 3);
  EXPECT_THAT(log_.text(), HasSubstr("HTTP 500"));
}

TEST_F(WebhookTest, WhatIsRefusedForGoodIsGivenUpAndDoesNotHoldUpTheNext) {
  Receiver receiver;
  receiver.Answer({400});
  Start(receiver.port());
  webhook_->Send(AlertNumber(1));
  webhook_->Send(AlertNumber(2));
  EXPECT_THAT(Ids(receiver.Await(2)), ElementsAre("alert-1-raised", "alert-2-raised"));
  AwaitSent(1);
  EXPECT_EQ(Counted("viaduct_webhook_dropped_total"), 1);
}

TEST_F(WebhookTest, ASlowReceiverHoldsUpNobodyAndIsTriedAgain) {
  Receiver receiver;
  receiver.Hold();
  Start(receiver.port(), absl::Milliseconds(100));
  const absl::Time begin = absl::Now();
  webhook_->Send(AlertNumber(1));
  receiver.Await(1);
  webhook_->Send(AlertNumber(2));
  EXPECT_LT(absl::Now() - begin, kDeadline / 2);
  receiver.Await(2);  // The time limit has passed: the same again.
  receiver.Release();
  AwaitSent(2);
  EXPECT_EQ(receiver.Await(3)[1].id, "alert-1-raised");
  EXPECT_GE(Counted("viaduct_webhook_failed_total"), 1);
}

TEST_F(WebhookTest, TheQueueIsBoundedAndLosesTheOldest) {
  Receiver receiver;
  receiver.Hold();
  Start(receiver.port());
  webhook_->Send(AlertNumber(0));
  receiver.Await(1);
  const int more = static_cast<int>(Webhook::kMaxQueued) + 2;
  for (int i = 1; i <= more; ++i) webhook_->Send(AlertNumber(i));
  EXPECT_EQ(Counted("viaduct_webhook_dropped_total"), 3);
  receiver.Release();
  const auto got = receiver.Await(1 + Webhook::kMaxQueued);
  EXPECT_EQ(got[1].id, "alert-3-raised");
  EXPECT_EQ(got.back().id, absl::StrCat("alert-", more, "-raised"));
}

TEST_F(WebhookTest, AnAnswerWithoutEndIsCutOffButCounts) {
  Receiver receiver;
  receiver.Answer({200}, std::string(4u << 20, 'x'));
  Start(receiver.port());
  webhook_->Send(AlertNumber(1));
  AwaitSent(1);
  EXPECT_EQ(receiver.Await(1).size(), 1u);
}

TEST_F(WebhookTest, StopCutsWhatIsUnderWay) {
  Receiver receiver;
  receiver.Hold();
  Start(receiver.port(), absl::Minutes(1));
  webhook_->Send(AlertNumber(1));
  receiver.Await(1);
  const absl::Time begin = absl::Now();
  EXPECT_EQ(webhook_->Stop(kDeadline), 0);
  EXPECT_LT(absl::Now() - begin, kDeadline);
  webhook_->Send(AlertNumber(2));  // Nothing happens.
}

TEST_F(WebhookTest, NeitherTokenNorQueryStandInTheLog) {
  Receiver receiver;
  receiver.Answer({500, 400}, kToken);
  Start(receiver.port());
  webhook_->Send(AlertNumber(1));
  log_.Await("given up");
  EXPECT_THAT(log_.text(), HasSubstr("HTTP 400"));
  EXPECT_THAT(log_.text(), Not(HasSubstr("s3cret")));
}

}  // namespace
}  // namespace viaduct
