#include "plugins/rest/http_client.h"

#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "plugins/rest/sync_server.h"

namespace viaduct::rest {
namespace {

using Json = nlohmann::json;

constexpr absl::Duration kDeadline = absl::Seconds(20);

// A server node in small: says "stored" of every envelope, except of those it is told about.
HttpReply StoreAll(const HttpRequest& request) {
  const Json body = Json::parse(request.body, nullptr, false);
  Json results = Json::array();
  for (const Json& item : body.is_array() ? body : Json::array({body}))
    results.push_back(
        {{"message_id", item["message_id"]}, {"status", item.value("want", "stored")}});
  return HttpReply{200, {{"content-type", "application/json"}}, Json{{"results", results}}.dump()};
}

class HttpClientTest : public testing::Test {
 protected:
  void Serve(SyncServer::Handler handler) {
    HttpServerOptions options;
    options.port = 0;
    server_ = std::make_unique<SyncServer>(options, std::move(handler));
    ASSERT_TRUE((*server_)->Start().ok());
    client_options_.base_url = absl::StrCat("http://127.0.0.1:", (*server_)->port());
  }
  void StartClient() {
    client_ = std::make_unique<HttpClient>(
        client_options_, [this](absl::Span<const DeliveryResult> results) { Record(results); },
        [this](const std::string& problem) {
          absl::MutexLock lock(&mutex_);
          problem_ = problem;
        });
    ASSERT_TRUE(client_->Start().ok());
  }
  bool Send(uint64_t token, const std::string& want = "stored", bool backlog = false) {
    HttpDelivery delivery;
    delivery.backlog = backlog;
    delivery.token = token;
    delivery.message_id = absl::StrCat("m", token);
    delivery.body = Json{{"message_id", delivery.message_id}, {"want", want}}.dump();
    return client_->Take(std::move(delivery));
  }
  void Record(absl::Span<const DeliveryResult> results) {
    absl::MutexLock lock(&mutex_);
    for (const DeliveryResult& result : results) {
      EXPECT_EQ(results_.count(result.token), 0u) << "completed twice: " << result.token;
      results_[result.token] = result;
    }
  }
  std::map<uint64_t, DeliveryResult> WaitFor(size_t count) {
    absl::MutexLock lock(&mutex_);
    const auto enough = [&]()
                            ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return results_.size() >= count; };
    EXPECT_TRUE(mutex_.AwaitWithTimeout(absl::Condition(&enough), kDeadline));
    return results_;
  }
  std::string problem() {
    absl::MutexLock lock(&mutex_);
    return problem_;
  }

  // Before the server: its handlers may still be waiting when a test ends.
  absl::Notification release_;
  absl::Notification inside_;
  absl::Mutex mutex_;
  std::map<uint64_t, DeliveryResult> results_ ABSL_GUARDED_BY(mutex_);
  std::string problem_ ABSL_GUARDED_BY(mutex_);
  HttpClientOptions client_options_;
  std::unique_ptr<SyncServer> server_;
  std::unique_ptr<HttpClient> client_;
};

TEST_F(HttpClientTest, DeliversManyInFewRequests) {
  Serve(StoreAll);
  client_options_.connections = 1;
  StartClient();
  for (uint64_t i = 1; i <= 500; ++i) ASSERT_TRUE(Send(i));
  for (const auto& [token, result] : WaitFor(500))
    EXPECT_EQ(result.outcome, DeliveryOutcome::kDurable) << token << result.status;
  EXPECT_LT((*server_)->stats().requests, 100u);
  EXPECT_EQ((*server_)->stats().connections, 1);
  EXPECT_EQ(client_->credit(), client_options_.window);
}

// Drained is who has nothing more to say.
TEST_F(HttpClientTest, IsDrainedOnlyWhenAllIsTold) {
  Serve(StoreAll);
  client_ = std::make_unique<HttpClient>(
      client_options_,
      [this](absl::Span<const DeliveryResult>) {
        inside_.Notify();
        release_.WaitForNotification();
      },
      [](const std::string&) {});
  ASSERT_TRUE(client_->Start().ok());
  ASSERT_TRUE(Send(1));
  ASSERT_TRUE(inside_.WaitForNotificationWithTimeout(kDeadline));
  EXPECT_FALSE(client_->Drain(absl::Milliseconds(20)));
  release_.Notify();
  EXPECT_TRUE(client_->Drain(kDeadline));
}

TEST_F(HttpClientTest, TakesNoMoreThanItsWindow) {
  Serve([this](const HttpRequest& request) {
    release_.WaitForNotification();
    return StoreAll(request);
  });
  client_options_.window = 10;
  StartClient();
  for (uint64_t i = 1; i <= 10; ++i) EXPECT_TRUE(Send(i));
  EXPECT_FALSE(Send(11));
  EXPECT_EQ(client_->credit(), 0u);
  release_.Notify();
  WaitFor(10);
  EXPECT_TRUE(Send(11));
  WaitFor(11);
}

TEST_F(HttpClientTest, OneBadMessageDoesNotTakeItsNeighboursAlong) {
  Serve([](const HttpRequest& request) {
    if (!absl::StrContains(request.body, "poison")) return StoreAll(request);
    Json answer{{"success", false}, {"message", "bad item"}};
    if (request.body[0] == '{')
      answer["results"] = {{{"message_id", "m7"}, {"status", "rejected"}}};
    return HttpReply{400, {}, answer.dump()};
  });
  StartClient();
  for (uint64_t i = 1; i <= 20; ++i) ASSERT_TRUE(Send(i, i == 7 ? "poison" : "stored"));
  for (const auto& [token, result] : WaitFor(20))
    EXPECT_EQ(result.outcome, token == 7 ? DeliveryOutcome::kReject : DeliveryOutcome::kDurable)
        << token << result.status;
}

// As nginx does to plain HTTP on its port for https.
TEST_F(HttpClientTest, AnswersOfSomethingElseKeepEveryMessageAndAreShown) {
  Serve([](const HttpRequest&) {
    return HttpReply{400, {{"content-type", "text/html"}}, "<html>400</html>"};
  });
  StartClient();
  for (uint64_t i = 1; i <= 20; ++i) ASSERT_TRUE(Send(i));
  for (const auto& [token, result] : WaitFor(20))
    EXPECT_EQ(result.outcome, DeliveryOutcome::kRetry) << token;
  EXPECT_TRUE(absl::StrContains(problem(), "HTTP 400")) << problem();
}

TEST_F(HttpClientTest, AnEndlessAnswerIsNotReadToItsEnd) {
  Serve([](const HttpRequest&) { return HttpReply{200, {}, std::string(1u << 20, 'x')}; });
  StartClient();
  ASSERT_TRUE(Send(1));
  EXPECT_EQ(WaitFor(1)[1].outcome, DeliveryOutcome::kRetry);
  EXPECT_TRUE(absl::StrContains(problem(), "larger than")) << problem();
}

TEST_F(HttpClientTest, ACaptivePortalStoresNothing) {
  Serve([](const HttpRequest&) {
    return HttpReply{200, {{"content-type", "text/html"}}, "<html>pay</html>"};
  });
  StartClient();
  ASSERT_TRUE(Send(1));
  EXPECT_EQ(WaitFor(1)[1].outcome, DeliveryOutcome::kRetry);
  EXPECT_NE(problem(), "");
}

TEST_F(HttpClientTest, GivesBackWhatItCannotDeliverAndSaysWhy) {
  client_options_.base_url = "http://127.0.0.1:1";  // Nobody listens there.
  StartClient();
  ASSERT_TRUE(Send(1));
  const DeliveryResult result = WaitFor(1)[1];
  EXPECT_EQ(result.outcome, DeliveryOutcome::kRetry);
  EXPECT_TRUE(absl::IsUnavailable(result.status));
  EXPECT_TRUE(absl::StrContains(problem(), "http://127.0.0.1:1")) << problem();
}

TEST_F(HttpClientTest, HealthFollowsTheServer) {
  std::atomic<bool> full{true};
  Serve([&](const HttpRequest& request) {
    if (full) return HttpReply{507, {{"retry-after", "3"}}, R"({"message":"disk full"})"};
    return StoreAll(request);
  });
  StartClient();
  ASSERT_TRUE(Send(1));
  const DeliveryResult refused = WaitFor(1)[1];
  EXPECT_TRUE(absl::IsResourceExhausted(refused.status));
  EXPECT_EQ(refused.retry_after, absl::Seconds(3));
  EXPECT_TRUE(absl::StrContains(problem(), "disk full")) << problem();
  full = false;
  ASSERT_TRUE(Send(2));
  EXPECT_EQ(WaitFor(2)[2].outcome, DeliveryOutcome::kDurable);
  EXPECT_EQ(problem(), "");
}

TEST_F(HttpClientTest, StopGivesBackEveryMessageSoon) {
  Serve([this](const HttpRequest& request) {
    release_.WaitForNotification();
    return StoreAll(request);
  });
  StartClient();
  for (uint64_t i = 1; i <= 300; ++i) ASSERT_TRUE(Send(i));
  EXPECT_FALSE(client_->Drain(absl::Milliseconds(1)));
  client_->Stop();
  for (const auto& [token, result] : WaitFor(300))
    EXPECT_NE(result.outcome, DeliveryOutcome::kDurable) << token;
  EXPECT_FALSE(Send(301));
  release_.Notify();
}

TEST_F(HttpClientTest, SpeaksTheFlatFormOneByOne) {
  absl::Mutex mutex;
  std::map<std::string, int> paths;
  Serve([&](const HttpRequest& request) {
    absl::MutexLock lock(&mutex);
    ++paths[request.path];
    return HttpReply{200, {}, R"({"success":true})"};
  });
  client_options_.flat = true;
  client_options_.base_url += "/site/";
  StartClient();
  for (uint64_t i = 1; i <= 4; ++i) {
    HttpDelivery delivery;
    delivery.token = i;
    delivery.path = i == 4 ? "/api/health" : "/api/detection";
    delivery.body = "{}";
    ASSERT_TRUE(client_->Take(std::move(delivery)));
  }
  for (const auto& [token, result] : WaitFor(4))
    EXPECT_EQ(result.outcome, DeliveryOutcome::kDurable) << token;
  absl::MutexLock lock(&mutex);
  EXPECT_EQ(paths["/site/api/detection"], 3);
  EXPECT_EQ(paths["/site/api/health"], 1);
}

TEST_F(HttpClientTest, SendsItsCredentials) {
  std::atomic<bool> seen{false};
  Serve([&](const HttpRequest& request) {
    std::map<std::string, std::string> headers(request.headers.begin(), request.headers.end());
    seen = headers["x-api-key"] == "k1" && headers["authorization"] == "Bearer t1";
    return StoreAll(request);
  });
  client_options_.api_key = "k1";
  client_options_.token = "t1";
  StartClient();
  ASSERT_TRUE(Send(1));
  WaitFor(1);
  EXPECT_TRUE(seen);
}

TEST_F(HttpClientTest, MeasuresTheRoad) {
  Serve([](const HttpRequest& request) {
    EXPECT_EQ(request.path, "/api/test");
    return HttpReply{200, {}, "{}"};
  });
  StartClient();
  absl::Notification done;
  ProbeCost cost;
  absl::Status measured;
  absl::Duration round_trip;
  ASSERT_TRUE(client_->Probe(absl::Seconds(5), [&](const absl::Status& status, absl::Duration trip,
                                                   const ProbeCost& spent) {
    measured = status;
    cost = spent;
    round_trip = trip;
    done.Notify();
  }));
  ASSERT_TRUE(done.WaitForNotificationWithTimeout(kDeadline));
  EXPECT_TRUE(measured.ok()) << measured;
  EXPECT_GT(round_trip, absl::ZeroDuration());
  EXPECT_GE(cost.sent, sizeof("GET /api/test HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"));
  EXPECT_LT(cost.sent, 250u);
  EXPECT_GE(cost.received, sizeof("HTTP/1.1 200 OK\r\n\r\n"));
  EXPECT_LT(cost.received, 400u);
}

TEST_F(HttpClientTest, APageIsNoServerToMeasure) {
  Serve([](const HttpRequest&) { return HttpReply{200, {}, "<html>Welcome to the hotel</html>"}; });
  StartClient();
  absl::Notification done;
  absl::Status measured;
  ASSERT_TRUE(client_->Probe(absl::Seconds(5),
                             [&](const absl::Status& status, absl::Duration, const ProbeCost&) {
                               measured = status;
                               done.Notify();
                             }));
  ASSERT_TRUE(done.WaitForNotificationWithTimeout(kDeadline));
  EXPECT_FALSE(measured.ok());
}

// A portal would keep the connection for ever, long after the name leads to the server again.
TEST_F(HttpClientTest, LeavesAConnectionThatAnswersNonsense) {
  std::vector<std::string> peers;
  Serve([&](const HttpRequest& request) {
    peers.push_back(request.peer);
    return peers.size() == 1 ? HttpReply{200, {}, "<html>"} : StoreAll(request);
  });
  client_options_.connections = 1;
  StartClient();
  for (uint64_t i = 1; i <= 3; ++i) {
    ASSERT_TRUE(Send(i));
    WaitFor(i);
  }
  EXPECT_EQ(WaitFor(3)[1].outcome, DeliveryOutcome::kRetry);
  EXPECT_EQ(WaitFor(3)[3].outcome, DeliveryOutcome::kDurable);
  ASSERT_EQ(peers.size(), 3u);
  EXPECT_NE(peers[0], peers[1]);
  EXPECT_EQ(peers[1], peers[2]);
}

TEST_F(HttpClientTest, CancelTakesBackWhatHasNotBegun) {
  Serve([this](const HttpRequest& request) {
    if (!inside_.HasBeenNotified()) inside_.Notify();
    release_.WaitForNotification();
    return StoreAll(request);
  });
  client_options_.connections = 1;
  StartClient();
  ASSERT_TRUE(Send(1));
  inside_.WaitForNotification();
  ASSERT_TRUE(Send(2));
  const uint64_t tokens[] = {1, 2, 99};
  client_->Cancel(tokens);
  EXPECT_EQ(WaitFor(1)[2].outcome, DeliveryOutcome::kCancelled);
  release_.Notify();
  EXPECT_EQ(WaitFor(2)[1].outcome, DeliveryOutcome::kDurable);
}

TEST_F(HttpClientTest, KeepsAConnectionFreeOfTheBacklog) {
  std::atomic<int> old_bodies{0};
  Serve([&](const HttpRequest& request) {
    if (absl::StrContains(request.body, "old")) {
      ++old_bodies;
      release_.WaitForNotification();
    }
    return StoreAll(request);
  });
  client_options_.connections = 3;
  client_options_.max_batch = 2;
  StartClient();
  for (uint64_t i = 1; i <= 10; ++i) ASSERT_TRUE(Send(i, "old", /*backlog=*/true));
  for (uint64_t i = 11; i <= 20; ++i) ASSERT_TRUE(Send(i));
  for (const auto& [token, result] : WaitFor(10)) EXPECT_GT(token, 10u) << result.status;
  EXPECT_LE(old_bodies, 2);
  release_.Notify();
  WaitFor(20);
}

TEST(HttpClientUrl, IsCheckedBeforeUse) {
  EXPECT_TRUE(HttpClient::CheckUrl("http://server:8000").ok());
  EXPECT_TRUE(HttpClient::CheckUrl("https://server/site/").ok());
  for (const char* url : {"", "server:8000", "ftp://server", "http://", "http://user:pw@server"})
    EXPECT_FALSE(HttpClient::CheckUrl(url).ok()) << url;
}

}  // namespace
}  // namespace viaduct::rest
