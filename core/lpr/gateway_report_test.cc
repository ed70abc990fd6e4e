// What nodes tell of their roads: within bounds, read without trust, and shown with its age.
#include "core/lpr/gateway_report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/lpr/testing/application_fixture.h"

namespace viaduct {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::Optional;
using ::testing::SizeIs;

const absl::Time kNow = absl::FromUnixMillis(1705314600123);

RoadReport Road(const std::string& name, const std::string& state) {
  RoadReport road;
  road.name = name;
  road.plugin = "rest";
  road.state = state;
  road.breaker = "closed";
  road.quality = "good";
  road.recent_share = 0.5;
  road.latency_p50_ms = 12.5;
  return road;
}

GatewayReport Report(const std::vector<std::string>& states) {
  GatewayReport report;
  for (const std::string& state : states) {
    report.links.push_back(Road(absl::StrCat("road-", report.links.size()), state));
  }
  report.switches.push_back({kNow, "road-0", "road-1", "not_ready", "road-0 is not ready"});
  report.backlog = BacklogReport{3, 4096, 7.5};
  report.files.push_back({"t-1", "CAM/a.jpg", 1000, 250, "active", "files", kNow});
  report.interval_s = 60;
  return report;
}

TEST(GatewayReportTest, IsReadAsItWasWritten) {
  const std::string payload = GatewayPayload(Report({"ready", "open"}), "EDGE1", kNow);
  const Json json = Json::parse(payload);
  EXPECT_EQ(json["type"], "health_check");
  EXPECT_EQ(json["camera_id"], "EDGE1");
  EXPECT_EQ(json["component"], "gateway");
  EXPECT_EQ(json["status"], "warning");
  EXPECT_EQ(json["message"], "1 of 2 roads are ready");
  const GatewayReport read = ReadGatewayPayload(payload);
  EXPECT_EQ(GatewayPayload(read, "EDGE1", kNow), payload);
  ASSERT_THAT(read.links, SizeIs(2));
  EXPECT_THAT(read.links[0].recent_share, Optional(0.5));
  EXPECT_EQ(read.links[1].state, "open");
  EXPECT_EQ(read.switches[0].at, kNow);
  EXPECT_EQ(read.backlog->bytes, 4096);
  EXPECT_EQ(read.files[0].sent, 250);
}

TEST(GatewayReportTest, SaysHowTheRoadsAreInOneWord) {
  EXPECT_EQ(GatewayStatus(Report({"ready", "ready"})), "healthy");
  EXPECT_EQ(GatewayStatus(Report({"ready", "stopped"})), "healthy") << "stopped on purpose";
  EXPECT_EQ(GatewayStatus(Report({"ready", "half_open"})), "warning");
  EXPECT_EQ(GatewayStatus(Report({"offline", "open"})), "error");
  EXPECT_EQ(GatewayStatus(Report({})), "error");
}

TEST(GatewayReportTest, HasBoundsWhateverIsInIt) {
  GatewayReport report;
  for (int i = 0; i < 100; ++i) {
    report.links.push_back(Road(absl::StrCat(std::string(60, 'r'), i), "ready"));
    report.switches.push_back({kNow, "a", "b", "gone", std::string(1000, 'w')});
    report.files.push_back({"t", std::string(5000, 'f'), 1, 1, "queued", "", kNow});
  }
  report.switches.back().to = "newest";
  const std::string payload = GatewayPayload(report, "EDGE1", kNow);
  EXPECT_LE(payload.size(), GatewayReport::kMaxBytes);
  const GatewayReport read = ReadGatewayPayload(payload);
  EXPECT_THAT(read.links, SizeIs(GatewayReport::kMaxRoads));
  EXPECT_THAT(read.switches, SizeIs(GatewayReport::kMaxSwitches));
  EXPECT_EQ(read.switches.back().to, "newest");
  EXPECT_THAT(read.files, SizeIs(GatewayReport::kMaxFiles));
  // Each octet of such a name is six in JSON.
  for (FileReport& file : report.files) file.name = std::string(5000, '\x01');
  const std::string roads = GatewayPayload(report, "EDGE1", kNow);
  EXPECT_LE(roads.size(), GatewayReport::kMaxBytes);
  EXPECT_THAT(ReadGatewayPayload(roads).links, SizeIs(GatewayReport::kMaxRoads));
}

// With two roads, as most edges have; GATEWAY.md says what it costs.
TEST(GatewayReportTest, IsSmallWhereTheRoadsAreFew) {
  const std::string payload = GatewayPayload(Report({"ready", "open"}), "EDGE1", kNow);
  EXPECT_LT(payload.size(), 1'600u);
  EXPECT_GT(payload.size(), 500u);
}

TEST(GatewayReportTest, LeavesOutWhatHasNotTheTypeItShould) {
  for (const char* payload :
       {"", "[", "[]", "1", "{}", R"({"details":[]})", R"({"details":{"links":{}}})",
        R"({"details":{"links":[1,"a",null,[]],"switches":7,"backlog":[],"files":"x"}})"}) {
    const GatewayReport read = ReadGatewayPayload(payload);
    EXPECT_THAT(read.links, IsEmpty()) << payload;
    EXPECT_FALSE(read.backlog.has_value()) << payload;
  }
  const GatewayReport read = ReadGatewayPayload(
      R"({"details":{"interval_s":-5,"links":[{"link":["x"],"plugin":7,"state":{"a":1},"share":7,
          "recent_share":"1","confirmed":1e300,"metered":"yes","latency_ms":[1],"score":-1,
          "evil":"<script>"}],"switches":[{"at":"yesterday","from":1}],
          "files":[{"size":10,"sent":99}],"backlog":{"messages":-1,"oldest_s":1e308}}})");
  ASSERT_THAT(read.links, SizeIs(1));
  EXPECT_EQ(read.links[0].name, "");
  EXPECT_EQ(read.links[0].state, "");
  EXPECT_EQ(read.links[0].share, std::nullopt);
  EXPECT_EQ(read.links[0].recent_share, std::nullopt);
  EXPECT_EQ(read.links[0].confirmed, 0);
  EXPECT_FALSE(read.links[0].metered);
  EXPECT_EQ(read.switches[0].at, absl::InfinitePast());
  EXPECT_EQ(read.files[0].sent, 10) << "no more than there is";
  EXPECT_EQ(read.backlog->messages, 0);
  EXPECT_EQ(read.interval_s, 0);
  EXPECT_THAT(GatewayPayload(read, "E", kNow), Not(HasSubstr("script")));
}

TEST(GatewayReportTest, LongTextsAndListsOfOthersAreCut) {
  std::string links;
  for (int i = 0; i < 200; ++i) {
    absl::StrAppend(&links, i == 0 ? "" : ",", R"({"link":")", std::string(5000, 'x'), "\"}");
  }
  const GatewayReport read =
      ReadGatewayPayload(absl::StrCat(R"({"details":{"links":[)", links, "]}}"));
  ASSERT_THAT(read.links, SizeIs(GatewayReport::kMaxRoads));
  EXPECT_THAT(read.links[0].name, SizeIs(GatewayReport::kMaxNameBytes));
  // Deeper than anything of ours.
  const std::string deep = std::string(100, '[') + std::string(100, ']');
  EXPECT_THAT(ReadGatewayPayload(absl::StrCat(R"({"details":{"links":)", deep, "}}")).links,
              IsEmpty());
}

class NodesTest : public ApplicationTest {
 protected:
  void Tell(const std::string& node, const GatewayReport& report) {
    ASSERT_EQ(Post("/api/health", Json::parse(GatewayPayload(report, node, clock_.Now()))).status,
              200);
  }
  Json Nodes(const std::string& query = "") {
    return Get("/api/communication/nodes" + query).json();
  }
};

TEST_F(NodesTest, TheNewestReportOfEachNodeIsShownWithItsAge) {
  Tell("EDGE2", Report({"ready", "ready"}));
  clock_.Advance(absl::Seconds(60));
  Tell("EDGE1", Report({"ready"}));
  Tell("EDGE2", Report({"ready", "open"}));
  clock_.Advance(absl::Seconds(100));
  const Json page = Nodes();
  EXPECT_EQ(page["success"], true);
  EXPECT_EQ(page["next_cursor"], nullptr);
  ASSERT_THAT(page["nodes"], SizeIs(2));
  const Json& node = page["nodes"][1];
  EXPECT_EQ(node["node_id"], "EDGE2");
  EXPECT_EQ(node["status"], "warning");
  EXPECT_EQ(node["links"][1]["state"], "open");
  EXPECT_EQ(node["links"][0]["latency_ms"]["p50"], 12.5);
  EXPECT_EQ(node["switches"][0]["reason"], "not_ready");
  EXPECT_EQ(node["backlog"]["messages"], 3);
  EXPECT_EQ(node["files"][0]["name"], "CAM/a.jpg");
  EXPECT_EQ(node["age_s"], 100);
  EXPECT_EQ(node["old"], false);
  clock_.Advance(absl::Seconds(90));
  EXPECT_EQ(Nodes()["nodes"][1]["old"], true) << "more than three intervals";
}

TEST_F(NodesTest, APageEndsAndTheNextBeginsThere) {
  for (const char* id : {"E1", "E2", "E3"}) Tell(id, Report({"ready"}));
  const Json first = Nodes("?limit=2");
  ASSERT_THAT(first["nodes"], SizeIs(2));
  const Json second = Nodes("?limit=2&cursor=" + first["next_cursor"].get<std::string>());
  ASSERT_THAT(second["nodes"], SizeIs(1));
  EXPECT_EQ(second["nodes"][0]["node_id"], "E3");
  EXPECT_EQ(second["next_cursor"], nullptr);
  EXPECT_EQ(Get("/api/communication/nodes?limit=0").status, 400);
  EXPECT_EQ(Get("/api/communication/nodes?limit=201").status, 400);
}

TEST_F(NodesTest, AHostileReportShowsNothingAndHarmsNoOther) {
  Tell("GOOD", Report({"ready"}));
  Json report = {{"type", "health_check"},
                 {"camera_id", "EVIL"},
                 {"checkpoint_id", "x"},
                 {"status", "healthy"},
                 {"component", "gateway"},
                 {"timestamp", "2024-01-15T10:30:00Z"},
                 {"details", {{"links", Json::array({{{"link", std::string(200'000, 'x')}}})}}}};
  ASSERT_EQ(Post("/api/health", report).status, 200);  // Larger than any report is read.
  const Json nodes = Nodes()["nodes"];
  ASSERT_THAT(nodes, SizeIs(2));
  EXPECT_EQ(nodes[0]["node_id"], "EVIL");
  EXPECT_THAT(nodes[0]["links"], IsEmpty());
  EXPECT_EQ(nodes[0]["backlog"], nullptr);
  EXPECT_THAT(nodes[1]["links"], SizeIs(1));
}

TEST_F(NodesTest, AReportOfTheRoadsLeavesTheCameraAsItIs) {
  Json health = Json::parse(GatewayPayload(Report({"ready"}), "CAM9", clock_.Now()));
  health["component"] = "camera";
  health["checkpoint_id"] = "GATE-1";
  health["status"] = "error";
  ASSERT_EQ(Post("/api/health", health).status, 200);
  Tell("CAM9", Report({"ready"}));
  const Json camera = Get("/api/cameras").json()["cameras"][0];
  EXPECT_EQ(camera["camera_id"], "CAM9");
  EXPECT_EQ(camera["checkpoint_id"], "GATE-1");
  EXPECT_EQ(camera["health_status"], "error");
}

}  // namespace
}  // namespace viaduct
