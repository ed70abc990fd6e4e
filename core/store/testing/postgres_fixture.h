// Stores on databases of a real PostgreSQL, for tests.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "core/base/clock.h"
#include "core/observe/log.h"
#include "core/store/message_key.h"
#include "core/store/postgres_store.h"
#include "core/store/testing/postgres_server.h"

namespace viaduct {

inline constexpr absl::Duration kPatience = absl::Seconds(60);

inline AppendResult Append(Store* store, StoreRecord record) {
  absl::Notification done;
  AppendResult out{absl::DeadlineExceededError("no answer"), false, ""};
  std::vector<StoreRecord> records;
  records.push_back(std::move(record));
  store->Append(std::move(records), [&](std::vector<AppendResult> results) {
    out = std::move(results[0]);
    done.Notify();
  });
  EXPECT_TRUE(done.WaitForNotificationWithTimeout(kPatience));
  return out;
}

class PostgresStoreTest : public ::testing::Test {
 protected:
  std::unique_ptr<Store> Open(const PostgresAddress& address, const std::string& node = "node-1") {
    PostgresStoreOptions options;
    options.address = address;
    options.node_id = node;
    options.connect_timeout = absl::Seconds(3);
    auto opened = OpenPostgresStore(options, &clock_, &log_);
    EXPECT_TRUE(opened.ok()) << opened.status();
    return opened.ok() ? std::move(*opened) : nullptr;
  }
  std::unique_ptr<PgConnection> Connect(const PostgresAddress& address) {
    PgConnection::Options options;
    options.address = address;
    auto db = PgConnection::Open(options);
    EXPECT_TRUE(db.ok()) << db.status();
    return db.ok() ? std::move(*db) : nullptr;
  }
  void UntilIndexed(const PostgresAddress& address) {
    auto db = Connect(address);
    const auto made = [&db] {
      return db
          ->QueryInt(
              "SELECT count(*) FROM pg_index WHERE indisvalid AND indexrelid = "
              "to_regclass('lpr_events_plate')")
          .value_or(0);
    };
    const absl::Time deadline = absl::Now() + kPatience;
    while (made() == 0 && absl::Now() < deadline) std::this_thread::yield();
    EXPECT_EQ(made(), 1);
  }
  DetectionRecord Detection(const std::string& id, const std::string& camera = "CAM001") {
    DetectionRecord r;
    r.message_id = id;
    r.camera_id = camera;
    r.checkpoint_id = "CP01";
    r.protocol = "rest";
    r.captured_at = r.arrived_at = clock_.Now();
    r.key = MakeMessageKey(id, camera, r.captured_at);
    r.plates.push_back(PlateRead{"1AB2345", 0.9, R"({"text":"1AB2345"})", ""});
    r.payload_json = R"({"a":1})";
    return r;
  }
  // Messages of one camera until `enough`: a watch tells of nothing until it has begun.
  void SendUntil(Store* store, const std::function<bool()>& enough) {
    const absl::Time deadline = absl::Now() + kPatience;
    for (int sent = 0; !enough() && absl::Now() < deadline; ++sent) {
      Append(store, Detection(absl::StrCat("first-", sent), "FIRST"));
    }
  }
  // Tries as a sender does; the clock moves on, so that the store tries to connect again.
  AppendResult AppendUntilStored(Store* store, const StoreRecord& record) {
    const absl::Time deadline = absl::Now() + kPatience;
    AppendResult result;
    do {
      result = Append(store, record);
      clock_.Advance(absl::Seconds(1));
    } while (!result.status.ok() && absl::Now() < deadline);
    return result;
  }

  FakeClock clock_;
  NullLog log_;
};

}  // namespace viaduct
