// What the application shows and lets administrators change.
#include "core/lpr/application.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <regex>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/lpr/testing/application_fixture.h"
#include "core/lpr/uplink_sink.h"

namespace viaduct {
namespace {

using ::testing::HasSubstr;
using ::testing::SizeIs;
using ::testing::StartsWith;

TEST_F(ApplicationTest, SaysWhatItIs) {
  const Json root = Get("/").json();
  EXPECT_EQ(root["status"], "running");
  EXPECT_EQ(root["port"], 8000);
  EXPECT_EQ(root["websocket_endpoint"], "ws://gate.example:8000/ws/");
  EXPECT_EQ(root["api_endpoints"]["detection"], "/api/detection");
  const Json websocket = Get("/websocket").json();
  EXPECT_EQ(websocket["connection_url"], "ws://gate.example:8000/ws/");
  EXPECT_THAT(websocket["events"], testing::Contains("lpr_data"));
  const Json test = Get("/api/test").json();
  EXPECT_EQ(test["success"], true);
  EXPECT_EQ(test["message"], "Server is running");
  EXPECT_EQ(test["timestamp"], "2024-01-15T10:30:00.000Z");
}

TEST_F(ApplicationTest, CountsInTheStatistics) {
  Post("/api/detection", Detection());
  Post("/api/health", Health());
  const Json reply = Get("/api/statistics").json();
  EXPECT_EQ(reply["success"], true);
  const Json expected = {{"total_detections", 1},     {"today_detections", 1},
                         {"total_health_checks", 1},  {"today_health_checks", 1},
                         {"unique_cameras", 1},       {"total_cameras", 1},
                         {"active_cameras", 1},       {"blacklist_count", 0},
                         {"connected_clients", 3},    {"last_update", "2024-01-15T10:30:00.000Z"},
                         {"server_status", "running"}};
  EXPECT_EQ(reply["data"], expected);
}

TEST_F(ApplicationTest, PagesAndFiltersRecords) {
  for (int i = 0; i < 5; ++i) {
    Json detection = Detection();
    detection["camera_id"] = absl::StrCat("CAM", i % 2);
    detection["n"] = i;
    Post("/api/detection", detection);
  }
  Json page = Get("/api/records?limit=2&camera_id=CAM0").json();
  EXPECT_EQ(page["total_count"], 3);
  EXPECT_EQ(page["returned_count"], 2);
  page = Get("/api/records?limit=2&camera_id=CAM0&cursor=" + page["next_cursor"].get<std::string>())
             .json();
  EXPECT_EQ(page["returned_count"], 1);
  EXPECT_EQ(page["next_cursor"], nullptr);
  EXPECT_EQ(Get("/api/records?checkpoint_id=nowhere").json()["total_count"], 0);
  ExpectError(Get("/api/records?limit=0"), 400, "limit: expected 1 to 1000, got \"0\"");
  ExpectError(Get("/api/records?limit=1e3"), 400, "limit: expected 1 to 1000");
  ExpectError(Get("/api/records?cursor=x"), 400, "cursor: not one of ours");
  ExpectError(Get("/api/records?camera_id=%ff"), 400, "query: invalid UTF-8");
  ExpectError(Get("/api/records?camera_id=" + std::string(600, 'x')), 400, "too long");
  EXPECT_EQ(Get("/api/records?camera_id=" + std::string(5000, 'x')).status, 414);
}

TEST_F(ApplicationTest, ManagesEvents) {
  Reply reply = Post("/api/lpr/events", Json{{"edge_device_id", "CAM001"},
                                             {"license_plate", "1AB2345"},
                                             {"confidence", 93},
                                             {"timestamp", "2024-01-15T10:00:00Z"},
                                             {"metadata", {{"by", "operator"}}}});
  ASSERT_EQ(reply.status, 201) << reply.body;
  const std::string id = reply.json()["event_id"];
  Json event = Get("/api/lpr/events/" + id).json()["event"];
  EXPECT_EQ(event["edge_device_id"], "CAM001");
  EXPECT_EQ(event["license_plate"], "1AB2345");
  EXPECT_EQ(event["confidence"], 0.93);
  EXPECT_EQ(event["metadata"]["by"], "operator");
  EXPECT_EQ(event["timestamp"], "2024-01-15T10:00:00.000Z");
  EXPECT_EQ(event["detection_id"], nullptr);
  EXPECT_EQ(
      Call(application_.get(), "PUT", "/api/lpr/events/" + id, R"({"license_plate":"X"})").status,
      200);
  EXPECT_EQ(Get("/api/lpr/events/" + id).json()["event"]["license_plate"], "X");
  EXPECT_EQ(Get("/api/lpr/events?plate=x&device=CAM001&min_confidence=90&from=2024-01-15"
                "&to=2024-01-16T00:00:00%2B07:00")
                .json()["returned_count"],
            1);
  EXPECT_EQ(Call(application_.get(), "DELETE", "/api/lpr/events/" + id).status, 200);
  EXPECT_EQ(Get("/api/lpr/events/" + id).status, 404);
  EXPECT_EQ(Call(application_.get(), "DELETE", "/api/lpr/events/" + id).status, 404);
  EXPECT_EQ(Call(application_.get(), "PUT", "/api/lpr/events/" + id, "{}").status, 404);
}

TEST_F(ApplicationTest, RefusesWrongEvents) {
  ExpectError(Post("/api/lpr/events", Json{{"license_plate", "A"}}), 400,
              "Missing required field: edge_device_id");
  ExpectError(Post("/api/lpr/events", Json{{"device_id", "C"}, {"confidence", 101}}), 400,
              "confidence: expected 0 to 1 or 0 to 100, got 101");
  ExpectError(Post("/api/lpr/events", Json{{"device_id", "C"}, {"metadata", 1}}), 400,
              "metadata: expected an object, got a number");
  ExpectError(Post("/api/lpr/events", Json{{"device_id", "C"}, {"image_path", "../../etc"}}), 400,
              "image_path: expected a path below the image folder");
  ExpectError(Post("/api/lpr/events", Json{{"device_id", "C"},
                                           {"event_id", "0190a6f0-1234-7abc-8def-0123456789ab-1"}}),
              400, "event_id: reserved");
  ExpectError(Get("/api/lpr/events?from=tomorrow"), 400, "from: not a timestamp");
  ExpectError(Get("/api/lpr/events?min_confidence=x"), 400, "min_confidence: expected a number");
  ExpectError(Get("/api/lpr/events/unknown"), 404, "event: unknown, \"unknown\"");
}

TEST_F(ApplicationTest, PagesEvents) {
  for (int i = 0; i < 5; ++i) {
    Json detection = Detection();
    detection["n"] = i;
    Post("/api/detection", detection);
  }
  std::set<std::string> seen;
  std::string cursor;
  for (int pages = 0; pages < 3; ++pages) {
    const Json page = Get("/api/lpr/events?limit=2&cursor=" + cursor).json();
    for (const Json& event : page["events"]) seen.insert(event["event_id"].get<std::string>());
    if (page["next_cursor"].is_null()) break;
    cursor = page["next_cursor"];
  }
  EXPECT_THAT(seen, SizeIs(5));
}

TEST_F(ApplicationTest, ManagesDevices) {
  ASSERT_EQ(Post("/api/devices", Json{{"device_id", "CAM 1/ก"}, {"hostname", "edge-1"}}).status,
            201);
  const std::string path = "/api/devices/CAM%201%2F%E0%B8%81";
  EXPECT_EQ(Get(path).json()["device"]["hostname"], "edge-1");
  EXPECT_EQ(Call(application_.get(), "PUT", path, R"({"status":"maintenance"})").status, 200);
  const Json device = Get(path).json()["device"];
  EXPECT_EQ(device["status"], "maintenance");
  EXPECT_EQ(device["hostname"], "edge-1");
  EXPECT_EQ(device["last_seen"], nullptr);
  const Json list = Get("/api/devices").json();
  EXPECT_EQ(list["total_count"], 1);
  EXPECT_EQ(list["devices"][0], device);
  ExpectError(Post("/api/devices", Json{{"hostname", "x"}}), 400,
              "Missing required field: device_id");
  ExpectError(Get("/api/devices/nobody"), 404, "device: unknown, \"nobody\"");
  EXPECT_EQ(Call(application_.get(), "PUT", "/api/devices/nobody", "{}").status, 404);
}

TEST_F(ApplicationTest, KeepsFiguresAndALogOfExchanges) {
  Post("/api/detection", Detection());
  Post("/api/detection", std::string("{"));
  const Json stats = Get("/api/communication/stats").json()["protocols"]["rest"];
  EXPECT_EQ(stats["total_attempts"], 2);
  EXPECT_EQ(stats["success_rate"], 0.5);
  EXPECT_GT(stats["bytes"], 100);
  EXPECT_TRUE(stats.contains("average_latency") && stats.contains("p50") && stats.contains("p99"));
  const Json logs = Get("/api/communication/logs").json()["logs"];
  ASSERT_THAT(logs, SizeIs(2));
  EXPECT_EQ(logs[1]["source"], "CAM001");
  EXPECT_EQ(logs[1]["success"], true);
  EXPECT_EQ(logs[0]["success"], false);
  EXPECT_EQ(logs[0]["source"], "127.0.0.1:50000");
  EXPECT_EQ(Get("/api/communication/logs?success=false&protocol=rest").json()["returned_count"], 1);
  EXPECT_EQ(Get("/api/communication/logs?protocol=mqtt").json()["returned_count"], 0);
  ExpectError(Get("/api/communication/logs?success=maybe"), 400,
              "success: expected true or false, got \"maybe\"");
}

TEST_F(ApplicationTest, ReportsHealthAndMetrics) {
  const Json health = Get("/api/health").json();
  EXPECT_EQ(health["status"], "degraded");
  EXPECT_EQ(health["components"][1]["name"], "mqtt");
  EXPECT_EQ(health["components"][1]["message"], "refused");
  const Reply metrics = Get("/metrics");
  EXPECT_EQ(metrics.body, "viaduct_up 1\n");
  EXPECT_THAT(metrics.attribute("content-type"), StartsWith("text/plain; version=0.0.4"));
}

TEST_F(ApplicationTest, AnswersWhatIsNotThere) {
  ExpectError(Get("/nothing"), 404, "no such path, /nothing");
  ExpectError(Get("/api/detection/"), 404, "no such path");
  const Reply wrong = Call(application_.get(), "DELETE", "/api/health");
  ExpectError(wrong, 405, "method not allowed, DELETE");
  EXPECT_EQ(wrong.attribute("allow"), "GET, HEAD, POST");
  EXPECT_EQ(Call(application_.get(), "PUT", "/api/detection").attribute("allow"), "POST");
  EXPECT_EQ(Call(application_.get(), "POST", "/api/devices/x").attribute("allow"),
            "GET, HEAD, PUT");
  EXPECT_EQ(Call(application_.get(), "HEAD", "/api/test").status, 200);
  ExpectError(Post("/api/detection", std::string((1 << 20) + 1, ' ')), 413,
              "body: too large, 1048577 bytes, limit 1047552");
}

TEST_F(ApplicationTest, SaysWhenToComeBack) {
  for (const auto& [status, http] : std::vector<std::pair<absl::Status, int>>{
           {absl::ResourceExhaustedError("store: disk full"), 507},
           {absl::UnavailableError("store: busy"), 503}}) {
    RefusingSink sink(status);
    MakeApplication(&sink, store_.get());
    for (const auto& [path, body] : std::vector<std::pair<std::string, Json>>{
             {"/api/detection", Detection()},
             {"/api/health", Health()},
             {"/api/cameras/register", Json{{"camera_id", "c"}, {"checkpoint_id", "p"}}},
             {"/api/lpr/data", EnvelopeOf("m-1", Detection(), "detection")},
             {"/api/lpr/data", Json::array({EnvelopeOf("m-1", Detection(), "detection"),
                                            EnvelopeOf("m-2", Detection(), "detection")})}}) {
      const Reply reply = Post(path, body);
      ExpectError(reply, http, std::string(status.message()));
      EXPECT_EQ(reply.attribute("retry-after"), "2") << path;
    }
    application_.reset();
  }
}

TEST_F(ApplicationTest, AnEdgeNodeTakesDataAndHasNothingToRead) {
  SpoolOptions spool_options;
  spool_options.path = folder_.path() + "/spool.db";
  auto spool = Spool::Open(spool_options, &clock_, &log_);
  ASSERT_TRUE(spool.ok()) << spool.status();
  UplinkSink uplink(spool->get());
  const std::string at_server = Post("/api/detection", Detection()).json()["detection_id"];
  MakeApplication(&uplink, nullptr);
  const Reply reply = Post("/api/detection", Detection());
  ASSERT_EQ(reply.status, 200) << reply.body;
  // The id that the edge answers is the one under which the server stores.
  EXPECT_EQ(reply.json()["detection_id"], at_server);
  EXPECT_EQ(Post("/api/health", Health()).status, 200);
  EXPECT_EQ(Post("/api/cameras/register", Json{{"camera_id", "c"}, {"checkpoint_id", "p"}}).status,
            200);
  EXPECT_EQ((*spool)->Info().messages, 3u);
  ExpectError(Post("/api/lpr/data", EnvelopeOf("m", Json{{"vehicles_count", -1}}, "detection")),
              400, "vehicles_count: not a count");
  for (const char* path : {"/api/statistics", "/api/records", "/api/cameras", "/api/lpr/events",
                           "/api/devices", "/api/communication/logs", "/images/x"}) {
    ExpectError(Get(path), 501, "this node has no store");
  }
  EXPECT_EQ(Get("/api/communication/stats").status, 200);
  application_.reset();
}

TEST_F(ApplicationTest, TellsOfAPlateOnTheBlacklistHoweverItIsWritten) {
  EXPECT_EQ(
      Post("/api/blacklist", Json{{"license_plate", "1ab-2345"}, {"reason", "stolen"}}).status,
      201);
  const Reply again =
      Post("/api/blacklist", Json{{"license_plate", "1AB 2345"}, {"reason", "stolen car"}});
  EXPECT_EQ(again.status, 200);
  EXPECT_EQ(again.json()["duplicate"], true);
  Json list = Get("/api/blacklist").json();
  ASSERT_EQ(list["blacklist"].size(), 1u);
  EXPECT_EQ(list["blacklist"][0]["license_plate"], "1AB2345");
  EXPECT_EQ(list["blacklist"][0]["reason"], "stolen car");
  EXPECT_EQ(list["total_count"], 1);
  EXPECT_EQ(Get("/api/statistics").json()["data"]["blacklist_count"], 1);
  const Json detection = Detection();
  const std::string id = Post("/api/detection", detection).json()["detection_id"];
  EXPECT_EQ(Post("/api/detection", detection).status, 200);  // A duplicate tells nobody.
  const std::vector<Json> alerts = publisher_.Bodies("blacklist_alert");
  ASSERT_EQ(alerts.size(), 1u);
  const Json& alert = alerts[0];
  EXPECT_EQ(alert["plate"], "1AB2345");
  EXPECT_EQ(alert["reason"], "stolen car");
  EXPECT_EQ(alert["detection_id"], id);
  EXPECT_EQ(alert["camera_id"], "CAM001");
  EXPECT_EQ(alert["checkpoint_id"], "CP01");
  EXPECT_TRUE(alert.contains("timestamp"));
  EXPECT_EQ(Call(application_.get(), "DELETE", "/api/blacklist/1AB%202345").status, 200);
  EXPECT_EQ(Call(application_.get(), "DELETE", "/api/blacklist/1AB2345").status, 404);
  EXPECT_EQ(Get("/api/statistics").json()["data"]["blacklist_count"], 0);
  ExpectError(Post("/api/blacklist", Json{{"license_plate", " - "}}), 400,
              "Missing required field: license_plate");
}

TEST_F(ApplicationTest, TellsItsSubscribersWhatAnotherNodeHasStored) {
  const std::string id = Post("/api/detection", Detection()).json()["detection_id"];
  const std::vector<Json> own = publisher_.Bodies("new_detection");
  const auto page = store_->ListRecords(RecordsQuery());
  ASSERT_TRUE(page.ok());
  StoredElsewhere stored{id, page->rows.at(0).record, {PlateAlert{"1AB2345", "stolen"}}};
  application_->PublishElsewhere(MessageOf(stored));
  const std::vector<Json> both = publisher_.Bodies("new_detection");
  ASSERT_EQ(both.size(), 2 * own.size());
  for (size_t i = 0; i < own.size(); ++i) EXPECT_EQ(both[own.size() + i], own[i]);
  EXPECT_EQ(publisher_.Bodies("blacklist_alert").size(), 1u);
}

TEST_F(ApplicationTest, TheOpenApiDocumentHasEveryRoute) {
  const Json document = Json::parse(OpenApiDocument());
  EXPECT_THAT(document["openapi"].get<std::string>(), StartsWith("3."));
  EXPECT_EQ(Json::parse(Get("/api/openapi.json").body), document);
  const std::regex parameter(R"(\{\w+\})");
  for (const auto& [path, methods] : document["paths"].items()) {
    for (const auto& [method, operation] : methods.items()) {
      std::string upper = method;
      for (char& c : upper) c = static_cast<char>(toupper(c));
      const std::string target = std::regex_replace(path, parameter, "x");
      const Reply reply = Call(application_.get(), upper, target, "");
      EXPECT_NE(reply.status, 405) << method << " " << path;
      if (reply.status == 404) {
        EXPECT_THAT(reply.body, testing::Not(HasSubstr("no such path"))) << method << " " << path;
      }
      EXPECT_TRUE(operation.contains("summary") && operation.contains("operationId")) << path;
    }
  }
  // And no route is missing: the methods that a path allows are the ones it describes.
  for (const auto& [path, methods] : document["paths"].items()) {
    const std::string target = std::regex_replace(path, parameter, "x");
    const std::string allow = Call(application_.get(), "PATCH", target).attribute("allow");
    const size_t listed = static_cast<size_t>(std::count(allow.begin(), allow.end(), ',')) + 1 -
                          (allow.find("HEAD") != std::string::npos ? 1 : 0);
    EXPECT_EQ(listed, methods.size()) << path << " allows " << allow;
  }
  EXPECT_EQ(document["paths"].size(), 42u);
}

TEST_F(ApplicationTest, AParameterThatIsNoTextIsRefused) {
  for (const char* target : {"/api/blacklist/%FF", "/api/blacklist/a%C3"}) {
    ExpectError(Call(application_.get(), "DELETE", target), 400, "path: not UTF-8");
  }
  EXPECT_EQ(Call(application_.get(), "DELETE", "/api/blacklist/%E0%B8%81").status, 404);
}

}  // namespace
}  // namespace viaduct
