// What pages for people read beside the lists of records.h: each a question and its answer.
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "core/store/records.h"

namespace viaduct {

// How much was stored in each hour, by arrival, which no camera's clock can move. Hours are counted
// from 1970 on, in UTC; the last one is not meant any more. What was forgotten is not counted.
struct HoursQuery {
  std::string camera_id;  // "" any
  int64_t from_hour = 0;
  int64_t to_hour = 0;
};
struct HourCounts {
  int64_t hour = 0;
  int64_t detections = 0;
  int64_t plates = 0;
};
using HoursReport = std::vector<HourCounts>;  // In order; hours without any are left out.

// The same of each place of a camera.
struct SourcesQuery {
  std::string camera_id;  // "" any
  int64_t from_hour = 0;
  int64_t to_hour = 0;
  int limit = 1'000;
};
struct SourceCounts {
  std::string camera_id;
  std::string checkpoint_id;
  int64_t detections = 0;
  int64_t plates = 0;
};
using SourcesReport = std::vector<SourceCounts>;  // Most detections first.

// The health reports of one device.
struct HealthQuery {
  std::string device_id;
  int limit = 50;      // 1..kMaxPageRows
  std::string cursor;  // next_cursor of the page before.
};
struct HealthReports {
  std::vector<HealthRecord> rows;  // Newest arrival first.
  std::string next_cursor;         // "" at the end.
};

// The newest report of the gateway of each device that has sent one.
struct GatewaysQuery {
  static constexpr size_t kMaxPayloadBytes = 64u << 10;  // A larger one comes as "".
  int limit = 50;                                        // 1..kMaxPageRows
  std::string cursor;                                    // next_cursor of the page before.
};
using GatewayReports = HealthReports;  // By device_id.

// Detections by their keys; those that are not there are left out.
struct DetectionsQuery {
  std::vector<MessageKey> keys;  // At most kMaxPageRows.
};
struct DetectionsReport {
  std::vector<DetectionRow> rows;  // In no order; fewer where they reach kMaxPageBytes.
};

using ReportQuery =
    std::variant<HoursQuery, SourcesQuery, HealthQuery, GatewaysQuery, DetectionsQuery>;
using StoreReport = std::variant<HoursReport, SourcesReport, HealthReports, DetectionsReport>;

}  // namespace viaduct
