// What every implementation of Store has to show: counts by hour, health reports, detections by
// key.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "core/store/store.h"
#include "core/store/testing/store_fixture.h"

namespace viaduct {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class StoreReportsTest : public StoreTest {
 protected:
  int64_t Hour() const { return absl::ToUnixSeconds(clock_.Now()) / 3600; }
  void Add(const std::string& id, const std::string& camera, const std::string& checkpoint,
           int plates) {
    DetectionRecord r = Detection(id, camera, checkpoint);
    r.plates_count = plates;
    EXPECT_TRUE(AppendOne(r).status.ok());
  }
  // "hour detections plates", hours from `first_`.
  std::vector<std::string> Hours(const std::string& camera = "", int64_t from = -1000,
                                 int64_t to = 1000) {
    HoursQuery query{camera, first_ + from, first_ + to};
    const auto report = ReportOf<HoursReport>(store_.get(), query);
    EXPECT_TRUE(report.ok()) << report.status();
    std::vector<std::string> out;
    for (const HourCounts& one : *report) {
      out.push_back(absl::StrCat(one.hour - first_, " ", one.detections, " ", one.plates));
    }
    return out;
  }
  std::vector<std::string> Sources(const SourcesQuery& query) {
    const auto report = ReportOf<SourcesReport>(store_.get(), query);
    EXPECT_TRUE(report.ok()) << report.status();
    std::vector<std::string> out;
    for (const SourceCounts& one : *report) {
      out.push_back(absl::StrCat(one.camera_id, " ", one.checkpoint_id, " ", one.detections, " ",
                                 one.plates));
    }
    return out;
  }
  void Forget(KeptTable table) {
    KeptQuery query;
    query.table = table;
    const auto page = store_->ListKept(query);
    ASSERT_TRUE(page.ok()) << page.status();
    ForgetRecord forget;
    forget.table = table;
    for (const KeptRow& row : page->rows) forget.ids.push_back(row.id);
    ASSERT_TRUE(AppendOne(forget).status.ok());
  }

  const int64_t first_ = Hour();
};

TEST_P(StoreReportsTest, CountsByHourOfAllAndOfOneCamera) {
  Add("a1", "CAM1", "A", 2);
  Add("a2", "CAM1", "B", 0);
  clock_.Advance(absl::Hours(2));
  Add("b1", "CAM2", "A", 1);
  Add("b1", "CAM2", "A", 1);  // The same again.
  clock_.Advance(absl::Hours(1));
  Add("a3", "CAM1", "A", 1);
  EXPECT_THAT(Hours(), ElementsAre("0 2 2", "2 1 1", "3 1 1"));
  EXPECT_THAT(Hours("", 1, 3), ElementsAre("2 1 1"));
  EXPECT_THAT(Hours("CAM1"), ElementsAre("0 2 2", "3 1 1"));
  EXPECT_THAT(Hours("NONE"), IsEmpty());
  Open();  // It is kept.
  EXPECT_THAT(Hours(), ElementsAre("0 2 2", "2 1 1", "3 1 1"));
}

TEST_P(StoreReportsTest, CountsByPlaceMostFirst) {
  for (int i = 0; i < 3; ++i) Add(absl::StrCat("b", i), "CAM2", "A", 1);
  Add("a1", "CAM1", "B", 5);
  Add("a2", "CAM1", "A", 0);
  SourcesQuery query{"", first_, first_ + 1, 10};
  EXPECT_THAT(Sources(query), ElementsAre("CAM2 A 3 3", "CAM1 A 1 0", "CAM1 B 1 5"));
  query.limit = 1;
  EXPECT_THAT(Sources(query), ElementsAre("CAM2 A 3 3"));
  query.camera_id = "CAM1";
  query.limit = 10;
  EXPECT_THAT(Sources(query), ElementsAre("CAM1 A 1 0", "CAM1 B 1 5"));
  query.from_hour = first_ + 1;
  query.to_hour = first_ + 2;
  EXPECT_THAT(Sources(query), IsEmpty());
}

TEST_P(StoreReportsTest, WhatIsForgottenIsNotCounted) {
  Add("a1", "CAM1", "A", 2);
  clock_.Advance(absl::Hours(1));
  Add("a2", "CAM1", "A", 1);
  EXPECT_THAT(Hours(), SizeIs(2));
  Forget(KeptTable::kDetections);
  EXPECT_THAT(Hours(), IsEmpty());
  EXPECT_THAT(Hours("CAM1"), IsEmpty());
  EXPECT_THAT(Sources({"", first_, first_ + 10, 10}), IsEmpty());
  Add("a3", "CAM1", "A", 1);
  EXPECT_THAT(Hours(), ElementsAre("1 1 1"));
}

TEST_P(StoreReportsTest, ShowsTheHealthOfOneDeviceNewestFirst) {
  for (int i = 0; i < 5; ++i) {
    HealthRecord r = HealthReport(absl::StrCat("h", i), i % 2 == 0 ? "healthy" : "warning");
    r.payload_json = absl::StrCat(R"({"n":)", i, "}");
    AppendOne(r);
    clock_.Advance(absl::Seconds(1));
  }
  HealthRecord other = HealthReport("x", "error");
  other.camera_id = "CAM002";
  AppendOne(other);
  HealthQuery query{"CAM001", 2, ""};
  std::vector<std::string> seen;
  int pages = 0;
  do {
    const auto page = ReportOf<HealthReports>(store_.get(), query);
    ASSERT_TRUE(page.ok()) << page.status();
    for (const HealthRecord& r : page->rows) seen.push_back(r.payload_json);
    query.cursor = page->next_cursor;
    ++pages;
  } while (!query.cursor.empty() && pages < 10);
  EXPECT_THAT(seen,
              ElementsAre(R"({"n":4})", R"({"n":3})", R"({"n":2})", R"({"n":1})", R"({"n":0})"));
  EXPECT_EQ(pages, 3);
  EXPECT_THAT(ReportOf<HealthReports>(store_.get(), HealthQuery{"NONE", 2, ""})->rows, IsEmpty());
  EXPECT_TRUE(absl::IsInvalidArgument(
      ReportOf<HealthReports>(store_.get(), HealthQuery{"CAM001", 2, "x"}).status()));
}

TEST_P(StoreReportsTest, ShowsTheNewestReportOfEachGateway) {
  const auto tell = [this](const std::string& device, const std::string& id,
                           const std::string& payload) {
    HealthRecord r = HealthReport(id, "warning");
    r.camera_id = device;
    r.component = std::string(kGatewayComponent);
    r.payload_json = payload;
    EXPECT_TRUE(AppendOne(r).status.ok());
  };
  const auto seen = [this](GatewaysQuery query, std::string* next) {
    const auto page = ReportOf<GatewayReports>(store_.get(), query);
    EXPECT_TRUE(page.ok()) << page.status();
    std::vector<std::string> out;
    if (!page.ok()) return out;
    for (const HealthRecord& r : page->rows) {
      out.push_back(absl::StrCat(r.camera_id, " ", r.payload_json));
    }
    *next = page->next_cursor;
    return out;
  };
  tell("E2", "a", R"({"n":1})");
  tell("E1", "b", R"({"n":2})");
  tell("E2", "c", R"({"n":3})");
  AppendOne(HealthReport("d", "healthy"));  // Of a camera.
  tell("E3", "e", std::string(GatewaysQuery::kMaxPayloadBytes, ' ') + "{}");
  std::string next;
  EXPECT_THAT(seen({2, ""}, &next), ElementsAre(R"(E1 {"n":2})", R"(E2 {"n":3})"));
  EXPECT_EQ(next, "E2");
  EXPECT_THAT(seen({2, next}, &next), ElementsAre("E3 ")) << "too large to be read";
  EXPECT_EQ(next, "");
  EXPECT_THAT(seen({2, "E3"}, &next), IsEmpty());
}

TEST_P(StoreReportsTest, AReportOfAGatewaySaysNothingOfACamera) {
  HealthRecord r = HealthReport("h-1", "error");
  AppendOne(r);
  clock_.Advance(absl::Seconds(5));
  r = HealthReport("h-2", "healthy");
  r.component = std::string(kGatewayComponent);
  r.checkpoint_id = "CAM001";
  AppendOne(r);
  const absl::StatusOr<DeviceRow> device = store_->GetDevice("CAM001");
  ASSERT_TRUE(device.ok()) << device.status();
  EXPECT_EQ(device->checkpoint_id, "CP01");
  EXPECT_EQ(device->health_status, "error");
  EXPECT_EQ(device->last_seen, r.arrived_at);
}

TEST_P(StoreReportsTest, FindsDetectionsByTheirKeys) {
  const DetectionRecord one = Detection("m-1");
  const DetectionRecord two = Detection("m-2", "CAM2", "B");
  AppendOne(one);
  AppendOne(two);
  DetectionsQuery query;
  query.keys = {two.key, Detection("m-3").key};
  auto report = ReportOf<DetectionsReport>(store_.get(), query);
  ASSERT_TRUE(report.ok()) << report.status();
  ASSERT_THAT(report->rows, SizeIs(1));
  EXPECT_EQ(report->rows[0].detection_id, FormatKey(two.key));
  EXPECT_EQ(report->rows[0].record.camera_id, "CAM2");
  ASSERT_THAT(report->rows[0].record.plates, SizeIs(1));
  EXPECT_EQ(report->rows[0].record.plates[0].text, "1AB2345");
  query.keys.push_back(one.key);
  EXPECT_THAT(ReportOf<DetectionsReport>(store_.get(), query)->rows, SizeIs(2));
  EXPECT_THAT(ReportOf<DetectionsReport>(store_.get(), DetectionsQuery())->rows, IsEmpty());
}

std::unique_ptr<Backend> Sqlite() { return std::make_unique<SqliteBackend>(); }
std::unique_ptr<Backend> Postgres() { return std::make_unique<PostgresBackend>(); }

INSTANTIATE_TEST_SUITE_P(Sqlite, StoreReportsTest, ::testing::Values(&Sqlite));
INSTANTIATE_TEST_SUITE_P(Postgres, StoreReportsTest, ::testing::Values(&Postgres));

}  // namespace
}  // namespace viaduct
