// What pages draw: series, records by plate and time, the health and place of a camera.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/lpr/router.h"
#include "core/lpr/testing/application_fixture.h"

namespace viaduct {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

class ReportTest : public ApplicationTest {
 protected:
  void Add(const std::string& camera, const std::string& plate, const std::string& time,
           const std::string& checkpoint = "CP01") {
    Json detection = Detection();
    detection["camera_id"] = camera;
    detection["checkpoint_id"] = checkpoint;
    detection["timestamp"] = time;
    detection["ocr_results"] = Json::array({{{"text", plate}, {"confidence", 0.9}}});
    ASSERT_EQ(Post("/api/detection", detection).status, 200);
  }
  std::vector<std::string> Plates(const Json& page) {
    std::vector<std::string> plates;
    for (const Json& record : page["records"]) plates.push_back(record["plates"][0]["text"]);
    return plates;
  }
  Reply As(const std::string& method, const std::string& path, security::Role role,
           const std::string& id = "anna", const std::string& query = "") {
    CallRequest request;
    request.protocol = "http";
    request.method = method;
    request.path = path;
    request.query = query;
    auto who = std::make_shared<security::Principal>();
    who->id = id;
    who->role = role;
    if (role == security::Role::kDevice) who->kind = security::PrincipalKind::kDevice;
    request.principal = who;
    absl::Notification done;
    Reply out;
    application_->Handle(std::move(request), [&](const CallReply& reply) {
      out = Reply{reply.status, reply.attributes, reply.body};
      done.Notify();
    });
    EXPECT_TRUE(done.WaitForNotificationWithTimeout(kDeadline));
    return out;
  }
};

TEST_F(ReportTest, CountsByHourWithTheEmptyOnes) {
  Add("CAM1", "A1", "2024-01-15T10:00:00Z");
  clock_.Advance(absl::Hours(2));
  Add("CAM1", "A2", "2024-01-15T12:00:00Z");
  Add("CAM2", "A3", "2024-01-15T12:00:00Z");
  const Json reply =
      Get("/api/statistics/series?by=hour&from=2024-01-15T10:00:00Z&to=2024-01-15T13:00:00Z")
          .json();
  EXPECT_EQ(reply["success"], true);
  EXPECT_EQ(reply["by"], "hour");
  const Json expected = {{{"start", "2024-01-15T10:00:00.000Z"}, {"detections", 1}, {"plates", 1}},
                         {{"start", "2024-01-15T11:00:00.000Z"}, {"detections", 0}, {"plates", 0}},
                         {{"start", "2024-01-15T12:00:00.000Z"}, {"detections", 2}, {"plates", 2}}};
  EXPECT_EQ(reply["points"], expected);
  const Json one = Get("/api/statistics/series?camera_id=CAM2").json();
  EXPECT_EQ(one["by"], "hour");
  ASSERT_THAT(one["points"], SizeIs(25));  // The last 24 hours, and the one that has begun.
  EXPECT_EQ(one["points"][24]["detections"], 1);
}

TEST_F(ReportTest, CountsByDayOfTheNodesZone) {
  Add("CAM1", "A1", "2024-01-15T10:00:00Z");  // At 17:30 by the node's zone, UTC+7.
  clock_.Advance(absl::Hours(7));             // 00:30 of the next day.
  Add("CAM1", "A2", "2024-01-15T12:00:00Z");
  const Json reply = Get("/api/statistics/series?by=day&from=2024-01-14&to=2024-01-17").json();
  const Json expected = {{{"start", "2024-01-13T17:00:00.000Z"}, {"detections", 0}, {"plates", 0}},
                         {{"start", "2024-01-14T17:00:00.000Z"}, {"detections", 1}, {"plates", 1}},
                         {{"start", "2024-01-15T17:00:00.000Z"}, {"detections", 1}, {"plates", 1}}};
  EXPECT_EQ(reply["points"], expected);
}

TEST_F(ReportTest, CountsByCameraMostFirst) {
  Add("CAM1", "A1", "2024-01-15T10:00:00Z");
  Add("CAM2", "A2", "2024-01-15T10:00:01Z", "CP02");
  Add("CAM2", "A3", "2024-01-15T10:00:02Z", "CP02");
  const Json reply = Get("/api/statistics/series?by=camera").json();
  const Json expected = {
      {{"camera_id", "CAM2"}, {"checkpoint_id", "CP02"}, {"detections", 2}, {"plates", 2}},
      {{"camera_id", "CAM1"}, {"checkpoint_id", "CP01"}, {"detections", 1}, {"plates", 1}}};
  EXPECT_EQ(reply["points"], expected);
}

TEST_F(ReportTest, RefusesWrongSeries) {
  const std::string path = "/api/statistics/series";
  ExpectError(Get(path + "?by=week"), 400, "by: expected hour, day or camera, got \"week\"");
  ExpectError(Get(path + "?from=2024-01-01&to=2024-03-01"), 400, "more than 1000 points by hour");
  ExpectError(Get(path + "?by=day&from=2020-01-01&to=2024-03-01"), 400, "1000 points by day");
  ExpectError(Get(path + "?from=2024-01-02&to=2024-01-01"), 400, "from: not between");
  ExpectError(Get(path + "?from=1969-01-02&to=1969-01-03"), 400, "from: not between");
  ExpectError(Get(path + "?from=yesterday"), 400, "from: ");
}

TEST_F(ReportTest, FindsRecordsByPlateTimeAndConfidence) {
  Add("CAM1", "1AB2345", "2024-01-15T10:00:00Z");
  Add("CAM1", "9XY0001", "2024-01-15T09:00:00Z");
  Add("CAM2", "2ab7777", "2024-01-15T11:00:00Z", "CP02");
  const auto find = [&](const std::string& query) { return Get("/api/records?" + query).json(); };
  EXPECT_THAT(Plates(find("plate=AB")), ElementsAre("2ab7777", "1AB2345"));
  EXPECT_EQ(find("plate=AB")["total_count"], nullptr);
  EXPECT_THAT(Plates(find("from=2024-01-15T10:00:00Z")), ElementsAre("2ab7777", "1AB2345"));
  EXPECT_THAT(Plates(find("to=2024-01-15T10:00:00Z")), ElementsAre("9XY0001"));
  EXPECT_THAT(Plates(find("plate=AB&camera_id=CAM1")), ElementsAre("1AB2345"));
  EXPECT_THAT(Plates(find("plate=AB&checkpoint_id=CP02")), ElementsAre("2ab7777"));
  EXPECT_THAT(Plates(find("min_confidence=0.95")), SizeIs(0));
  EXPECT_THAT(Plates(find("min_confidence=0.5")), SizeIs(3));
  EXPECT_THAT(Plates(find("limit=3")), ElementsAre("2ab7777", "9XY0001", "1AB2345"));
  ExpectError(Get("/api/records?plate=A&cursor=x"), 400, "cursor: not one of ours");
  ExpectError(Get("/api/records?plate=A&cursor=1_2.x"), 400, "cursor: not one of ours");
  ExpectError(Get("/api/records?min_confidence=x"), 400, "min_confidence: expected a number");
}

TEST_F(ReportTest, PagesOfASearchMissNothingAndRepeatNothing) {
  for (int i = 0; i < 30; ++i) {
    Json detection = Detection();
    detection["n"] = i;
    detection["timestamp"] = absl::StrCat("2024-01-15T10:00:", i < 20 ? "0" : "", i / 2, "Z");
    detection["ocr_results"] = Json::array({"AB1", "AB2", "XX3", "AB4"});  // More than a step.
    detection["checkpoint_id"] = i % 3 == 0 ? "CP02" : "CP01";
    ASSERT_EQ(Post("/api/detection", detection).status, 200);
  }
  for (const char* filter : {"plate=AB", "plate=AB&checkpoint_id=CP02"}) {
    for (const int limit : {1, 4, 1000}) {
      std::set<std::string> seen;
      std::string cursor;
      size_t records = 0;
      do {
        const Json page =
            Get(absl::StrCat("/api/records?", filter, "&limit=", limit, "&cursor=", cursor)).json();
        EXPECT_LE(page["records"].size(), static_cast<size_t>(limit));
        for (const Json& record : page["records"]) {
          seen.insert(record["detection_id"]);
          ++records;
        }
        cursor = page["next_cursor"].is_null() ? "" : page["next_cursor"].get<std::string>();
      } while (!cursor.empty() && records < 100);
      const size_t wanted = std::string(filter) == "plate=AB" ? 30 : 10;
      EXPECT_THAT(seen, SizeIs(wanted)) << filter << " " << limit;
      EXPECT_EQ(records, wanted) << filter << " " << limit;
    }
  }
}

TEST_F(ReportTest, ShowsOneRecordWhole) {
  Add("CAM1", "1AB2345", "2024-01-15T10:00:00Z");
  const Json listed = FirstRecord("?include=payload");
  const std::string path = "/api/records/" + listed["detection_id"].get<std::string>();
  EXPECT_EQ(Get(path).json()["record"], listed);
  ExpectError(Get("/api/records/018d0cab-c078-8aee-9f60-0f2c8d6a3b11"), 404, "record: unknown");
  ExpectError(Get("/api/records/x"), 404, "record: unknown, \"x\"");
  guarded_ = true;
  MakeApplication(sink_.get(), store_.get());
  EXPECT_EQ(As("GET", path, security::Role::kDevice, "CAM1").status, 200);
  EXPECT_EQ(As("GET", path, security::Role::kDevice, "CAM2").status, 404);
  const Reply masked = As("GET", path, security::Role::kViewer);
  EXPECT_THAT(masked.body, ::testing::Not(HasSubstr("1AB2345")));
  EXPECT_EQ(As("GET", "/api/records", security::Role::kViewer, "v", "plate=1AB").status, 403);
  EXPECT_EQ(As("GET", "/api/records", security::Role::kOperator, "o", "plate=1AB").status, 200);
}

TEST_F(ReportTest, ShowsTheHealthOfACamera) {
  Post("/api/health", Health());
  Json later = Health();
  later["status"] = "FAIL";
  later["timestamp"] = "2024-01-15T10:31:00";
  Post("/api/health", later);
  const Json page = Get("/api/cameras/CAM001/health?limit=1").json();
  ASSERT_THAT(page["health"], SizeIs(1));
  EXPECT_EQ(page["health"][0]["status"], "error");
  EXPECT_EQ(page["health"][0]["timestamp"], "2024-01-15T03:31:00.000Z");
  EXPECT_EQ(page["health"][0]["data"]["details"]["cpu_usage"], 12.5);
  const Json next =
      Get("/api/cameras/CAM001/health?cursor=" + page["next_cursor"].get<std::string>()).json();
  EXPECT_EQ(next["health"][0]["status"], "healthy");
  EXPECT_EQ(next["next_cursor"], nullptr);
  ExpectError(Get("/api/cameras/NONE/health"), 404, "device: unknown");
  ExpectError(Get("/api/cameras/CAM001/health?limit=0"), 400, "limit: ");
  EXPECT_EQ(Get("/api/cameras/a/b/health").status, 404);
}

TEST_F(ReportTest, PutsACameraOnTheMap) {
  Post("/api/detection", Detection());
  EXPECT_EQ(Get("/api/cameras").json()["cameras"][0]["latitude"], nullptr);
  const auto put = [&](const std::string& id, const Json& body) {
    return Call(application_.get(), "PUT", "/api/cameras/" + id, body.dump());
  };
  EXPECT_EQ(
      put("CAM001", {{"camera_name", "North"}, {"latitude", 13.75}, {"longitude", 100.5}}).json(),
      Json({{"success", true}, {"camera_id", "CAM001"}}));
  const Json camera = Get("/api/cameras").json()["cameras"][0];
  EXPECT_EQ(camera["camera_name"], "North");
  EXPECT_EQ(camera["latitude"], 13.75);
  EXPECT_EQ(camera["longitude"], 100.5);
  ExpectError(put("CAM001", {{"latitude", 90.1}}), 400, "latitude: expected -90 to 90");
  ExpectError(put("CAM001", {{"longitude", -181}}), 400, "longitude: expected -180 to 180");
  ExpectError(put("CAM001", {{"latitude", "x"}}), 400, "latitude: ");
  ExpectError(put("CAM001", Json::object()), 400, "nothing to change");
  EXPECT_EQ(put("NONE", {{"latitude", 1}}).status, 404);
}

TEST(RouterTest, AParameterMayStandInTheMiddle) {
  const Router router(
      {{"GET", "/a/{id}"}, {"GET", "/a/{id}/b"}, {"POST", "/a/c"}, {"GET", "/r/{path...}"}});
  EXPECT_EQ(router.Find("GET", "/a/x").index, 0u);
  const RouteMatch middle = router.Find("GET", "/a/x%2Fy/b");
  EXPECT_EQ(middle.index, 1u);
  EXPECT_EQ(middle.parameter, "x/y");
  EXPECT_EQ(router.Find("GET", "/a//b").index, RouteMatch::kNone);
  EXPECT_EQ(router.Find("GET", "/a/x/y/b").index, RouteMatch::kNone);
  EXPECT_EQ(router.Find("GET", "/a/x/bb").index, RouteMatch::kNone);
  EXPECT_EQ(router.Find("PUT", "/a/x/b").allow, "GET, HEAD");
  EXPECT_EQ(router.Find("GET", "/a/c").allow, "POST");
  EXPECT_EQ(router.Find("GET", "/r/x/y").parameter, "x/y");
}

}  // namespace
}  // namespace viaduct
