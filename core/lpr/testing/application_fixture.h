// The application with everything behind it, for tests.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "absl/synchronization/notification.h"
#include "core/lpr/application.h"
#include "core/lpr/store_sink.h"
#include "core/store/sqlite_store.h"

namespace viaduct {

using Json = nlohmann::json;

inline constexpr absl::Duration kDeadline = absl::Seconds(30);

// The smallest thing that passes for a JPEG.
inline std::string TinyJpeg() {
  std::string jpeg("\xff\xd8\xff\xc0\x00\x0b\x08\x00\x01\x00\x01\x01\x01\x11\x00", 15);
  jpeg += std::string("\xff\xda\x00\x08\x01\x01\x00\x00\x3f\x00\x12\x34\xff\xd9", 14);
  return jpeg;
}

// Keeps what was published.
class RecordingPublisher final : public Publisher {
 public:
  bool Wanted(std::string_view room) const override {
    return only_room.empty() || room == only_room;
  }
  void Publish(const Publication& publication) override {
    const std::lock_guard<std::mutex> lock(mutex_);
    seen_.push_back({std::string(publication.event), std::string(publication.room),
                     Json::parse(publication.body)});
  }
  struct Seen {
    std::string event;
    std::string room;
    Json body;
  };
  // What was told of one event.
  std::vector<Json> Bodies(const std::string& event) {
    const std::lock_guard<std::mutex> lock(mutex_);
    std::vector<Json> bodies;
    for (const Seen& seen : seen_) {
      if (seen.event == event) bodies.push_back(seen.body);
    }
    return bodies;
  }
  std::vector<Seen> Take() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return std::move(seen_);
  }

  std::string only_room;  // Where somebody listens; empty: everywhere.

 private:
  std::mutex mutex_;
  std::vector<Seen> seen_;
};

// Refuses everything with one status.
class RefusingSink final : public Sink {
 public:
  explicit RefusingSink(absl::Status status) : status_(std::move(status)) {}
  void Accept(std::vector<Arrival> batch, AcceptFn done) override {
    done(std::vector<AcceptResult>(batch.size(), AcceptResult{status_, false, "", {}}));
  }

 private:
  const absl::Status status_;
};

class Folder {
 public:
  Folder() {
    std::string path = ::testing::TempDir() + "/lpr-XXXXXX";
    path_ = mkdtemp(path.data());
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

struct Reply {
  int status = 0;
  Attributes attributes;
  std::string body;
  Json json() const { return Json::parse(body); }
  std::string attribute(const std::string& name) const {
    for (const auto& [key, value] : attributes) {
      if (key == name) return value;
    }
    return "";
  }
};

inline Reply Call(CallHandler* handler, const std::string& method, const std::string& target,
                  const std::string& body = "", const Attributes& attributes = {}) {
  CallRequest request;
  request.protocol = "http";
  request.method = method;
  const size_t mark = target.find('?');
  request.path = target.substr(0, mark);
  if (mark != std::string::npos) request.query = target.substr(mark + 1);
  request.body = body;
  request.attributes = {{"host", "gate.example:8000"}};
  request.attributes.insert(request.attributes.end(), attributes.begin(), attributes.end());
  request.peer.address = "127.0.0.1:50000";
  absl::Notification done;
  Reply out;
  handler->Handle(std::move(request), [&](CallReply reply) {
    out = Reply{reply.status, reply.attributes, reply.body};
    done.Notify();
  });
  EXPECT_TRUE(done.WaitForNotificationWithTimeout(kDeadline)) << method << " " << target;
  return out;
}

class ApplicationTest : public ::testing::Test {
 protected:
  ApplicationTest() {
    SqliteStoreOptions store;
    store.path = folder_.path() + "/store.db";
    auto opened = OpenSqliteStore(store, &clock_, &log_);
    EXPECT_TRUE(opened.ok()) << opened.status();
    store_ = std::move(*opened);
    auto images = ImageFolder::Open(ImageFolderOptions{folder_.path() + "/images"}, &log_);
    EXPECT_TRUE(images.ok()) << images.status();
    images_ = std::move(*images);
    sink_ = std::make_unique<StoreSink>(StoreSinkOptions(), store_.get(), images_.get(), &clock_,
                                        &log_);
    MakeApplication(sink_.get(), store_.get());
  }
  ~ApplicationTest() override {
    application_.reset();
    sink_.reset();
    store_.reset();
  }

  void MakeApplication(Sink* sink, Store* store) {
    ApplicationParts parts;
    parts.clock = &clock_;
    parts.log = &log_;
    parts.sink = sink;
    parts.store = store;
    parts.images = store == nullptr ? nullptr : images_.get();
    parts.publisher = &publisher_;
    parts.audit = [this](security::AuditRecord record, const std::function<void()>& then) {
      {
        absl::MutexLock lock(&audit_mutex_);
        audited_.push_back(std::move(record));
      }
      then();
    };
    parts.metrics_text = [] { return std::string("viaduct_up 1\n"); };
    parts.connected_clients = [] { return int64_t{3}; };
    parts.health = [] {
      return HealthReport{"degraded", {{"store", "healthy", ""}, {"mqtt", "degraded", "refused"}}};
    };
    ApplicationOptions options;
    options.node_id = "server-1";
    options.zone = absl::FixedTimeZone(7 * 3600);
    options.max_body_bytes = 1 << 20;
    options.guarded = guarded_;
    if (guarded_) options.mask_plates_for = {"viewer"};
    if (adjust_) adjust_(&options, &parts);
    application_ = std::make_unique<Application>(options, parts);
  }

  Reply Get(const std::string& target) { return Call(application_.get(), "GET", target); }
  Reply Post(const std::string& target, const std::string& body) {
    return Call(application_.get(), "POST", target, body);
  }
  Reply Post(const std::string& target, const Json& body) { return Post(target, body.dump()); }

  static Json Detection() {
    return Json{{"type", "detection_result"},
                {"camera_id", "CAM001"},
                {"checkpoint_id", "CP01"},
                {"timestamp", "2024-01-15T10:30:00.000Z"},
                {"vehicles_count", 1},
                {"plates_count", 1},
                {"ocr_results", Json::array({"1AB2345"})}};
  }
  static Json Health() {
    return Json{{"type", "health_check"},          {"camera_id", "CAM001"},
                {"checkpoint_id", "CP01"},         {"timestamp", "2024-01-15T10:30:00"},
                {"component", "camera"},           {"status", "PASS"},
                {"details", {{"cpu_usage", 12.5}}}};
  }
  static Json EnvelopeOf(const std::string& id, Json payload, const std::string& type) {
    return Json{{"message_id", id},          {"timestamp", "2024-01-15T10:30:00.000Z"},
                {"protocol", "rest"},        {"edge_device_id", "CAM001"},
                {"data_type", type},         {"payload", std::move(payload)},
                {"metadata", Json::object()}};
  }
  Json FirstRecord(const std::string& query = "") {
    const Json reply = Get("/api/records" + query).json();
    return reply["records"].empty() ? Json() : reply["records"][0];
  }
  void ExpectError(const Reply& reply, int status, const std::string& message) {
    EXPECT_EQ(reply.status, status) << reply.body;
    EXPECT_EQ(reply.attribute("content-type"), "application/json");
    EXPECT_EQ(reply.json()["success"], false);
    EXPECT_THAT(reply.json()["message"].get<std::string>(), ::testing::HasSubstr(message));
  }

  FakeClock clock_;
  NullLog log_;
  Folder folder_;
  RecordingPublisher publisher_;
  std::unique_ptr<Store> store_;
  std::unique_ptr<ImageFolder> images_;
  std::unique_ptr<StoreSink> sink_;
  bool guarded_ = false;  // Of the next MakeApplication, as is the next one.
  std::function<void(ApplicationOptions*, ApplicationParts*)> adjust_;
  absl::Mutex audit_mutex_;
  std::vector<security::AuditRecord> audited_;
  std::unique_ptr<Application> application_;
};

}  // namespace viaduct
