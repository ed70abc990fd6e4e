// One store of every implementation, each with a place of its own, for tests of what all of them
// do.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/synchronization/notification.h"
#include "core/base/clock.h"
#include "core/store/postgres_store.h"
#include "core/store/sqlite_store.h"
#include "core/store/store.h"
#include "core/store/testing/postgres_server.h"

namespace viaduct {

inline constexpr absl::Duration kDeadline = absl::Seconds(30);

// A place where one implementation keeps its data between two openings.
class Backend {
 public:
  virtual ~Backend() = default;
  virtual absl::StatusOr<std::unique_ptr<Store>> Open(absl::TimeZone zone, size_t max_queued,
                                                      const Clock* clock, Log* log) = 0;
};

class SqliteBackend final : public Backend {
 public:
  SqliteBackend() {
    std::string path = ::testing::TempDir() + "/store-XXXXXX";
    folder_ = mkdtemp(path.data());
  }
  ~SqliteBackend() override { std::filesystem::remove_all(folder_); }
  absl::StatusOr<std::unique_ptr<Store>> Open(absl::TimeZone zone, size_t max_queued,
                                              const Clock* clock, Log* log) override {
    SqliteStoreOptions options;
    options.path = folder_ + "/store.db";
    options.zone = zone;
    options.max_queued_records = max_queued;
    return OpenSqliteStore(options, clock, log);
  }

 private:
  std::string folder_;
};

class PostgresBackend final : public Backend {
 public:
  PostgresBackend() : address_(PostgresServer::Shared()->NewDatabase()) {}
  absl::StatusOr<std::unique_ptr<Store>> Open(absl::TimeZone zone, size_t max_queued,
                                              const Clock* clock, Log* log) override {
    PostgresStoreOptions options;
    options.address = address_;
    options.zone = zone;
    options.max_queued_records = max_queued;
    return OpenPostgresStore(options, clock, log);
  }

 private:
  const PostgresAddress address_;
};

using BackendFactory = std::unique_ptr<Backend> (*)();

class StoreTest : public ::testing::TestWithParam<BackendFactory> {
 protected:
  void SetUp() override {
    backend_ = GetParam()();
    Open();
  }

  void Open(size_t max_queued = 65'536) {
    store_.reset();
    auto opened = backend_->Open(zone_, max_queued, &clock_, &log_);
    ASSERT_TRUE(opened.ok()) << opened.status();
    store_ = std::move(*opened);
  }

  std::vector<AppendResult> Append(std::vector<StoreRecord> records) {
    absl::Notification done;
    std::vector<AppendResult> out;
    store_->Append(std::move(records), [&](std::vector<AppendResult> results) {
      out = std::move(results);
      done.Notify();
    });
    EXPECT_TRUE(done.WaitForNotificationWithTimeout(kDeadline));
    return out;
  }
  AppendResult AppendOne(StoreRecord record) {
    std::vector<StoreRecord> records;
    records.push_back(std::move(record));
    std::vector<AppendResult> results = Append(std::move(records));
    return results.empty() ? AppendResult{absl::InternalError("no result"), false, ""}
                           : results.front();
  }

  DetectionRecord Detection(const std::string& message_id, const std::string& camera = "CAM001",
                            const std::string& checkpoint = "CP01") {
    DetectionRecord r;
    r.message_id = message_id;
    r.camera_id = camera;
    r.checkpoint_id = checkpoint;
    r.protocol = "rest";
    r.captured_at = clock_.Now();
    r.arrived_at = clock_.Now();
    r.key = MakeMessageKey(message_id, camera, r.captured_at);
    r.vehicles_count = 1;
    r.plates_count = 1;
    r.plates.push_back(PlateRead{"1AB2345", 0.93, R"({"text":"1AB2345"})", ""});
    r.payload_json = R"({"ocr_results":["1AB2345"]})";
    return r;
  }
  HealthRecord HealthReport(const std::string& message_id, const std::string& status) {
    HealthRecord r;
    r.message_id = message_id;
    r.camera_id = "CAM001";
    r.checkpoint_id = "CP01";
    r.protocol = "rest";
    r.captured_at = r.arrived_at = clock_.Now();
    r.key = MakeMessageKey(message_id, r.camera_id, r.captured_at);
    r.component = "camera";
    r.status = status;
    return r;
  }
  EventRecord Event(const std::string& id, const std::string& plate, double confidence) {
    EventRecord r;
    r.event_id = id;
    r.at = clock_.Now();
    r.captured_at = clock_.Now();
    r.device_id = "CAM001";
    r.license_plate = plate;
    r.confidence = confidence;
    return r;
  }
  std::vector<std::string> EventIds(const EventsQuery& query) {
    const absl::StatusOr<EventsPage> page = store_->ListEvents(query);
    EXPECT_TRUE(page.ok()) << page.status();
    std::vector<std::string> ids;
    if (page.ok()) {
      for (const EventRow& row : page->rows) ids.push_back(row.event_id);
    }
    return ids;
  }
  StoreStatistics Statistics() {
    const absl::StatusOr<StoreStatistics> statistics = store_->Statistics();
    EXPECT_TRUE(statistics.ok()) << statistics.status();
    return statistics.ok() ? *statistics : StoreStatistics();
  }

  FakeClock clock_;
  NullLog log_;
  absl::TimeZone zone_ = absl::UTCTimeZone();
  std::unique_ptr<Backend> backend_;
  std::unique_ptr<Store> store_;
};

}  // namespace viaduct
