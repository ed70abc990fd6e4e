// What the application does at its edges: hostile and unusual senders, a slow disk, full memory.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <mutex>
#include <set>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "core/lpr/json_writer.h"
#include "core/lpr/testing/application_fixture.h"
#include "core/lpr/testing/jpeg_picture.h"
#include "core/lpr/testing/wrapped_store.h"
#include "core/lpr/thumbnail.h"

namespace viaduct {
namespace {

using ::testing::HasSubstr;
using ::testing::SizeIs;

// A store whose disk does not come back until it is released.
class StuckStore final : public WrappedStore {
 public:
  using WrappedStore::WrappedStore;
  absl::StatusOr<RecordsPage> ListRecords(const RecordsQuery& query) override {
    release.WaitForNotificationWithTimeout(kDeadline);
    return WrappedStore::ListRecords(query);
  }
  absl::Notification release;
};

TEST_F(ApplicationTest, SlowReadersKeepNoListenerWaiting) {
  StuckStore stuck(store_.get());
  MakeApplication(sink_.get(), &stuck);
  constexpr int kReads = 300;  // More than threads and queue together.
  std::mutex mutex;
  std::multiset<int> statuses;
  for (int i = 0; i < kReads; ++i) {
    CallRequest request;
    request.method = i % 2 == 0 ? "GET" : "HEAD";
    request.path = "/api/records";
    application_->Handle(std::move(request), [&](CallReply reply) {
      const std::lock_guard<std::mutex> lock(mutex);
      statuses.insert(reply.status);
    });
  }
  EXPECT_EQ(Post("/api/detection", Detection()).status, 200);
  {
    const std::lock_guard<std::mutex> lock(mutex);
    EXPECT_EQ(statuses.count(200), 0u);
    EXPECT_GE(statuses.count(503), kReads - 4u - 256u);
  }
  stuck.release.Notify();
  application_.reset();  // Answers what it has taken.
  EXPECT_EQ(statuses.size(), static_cast<size_t>(kReads));
  EXPECT_GE(statuses.count(200), 256u);
}

TEST_F(ApplicationTest, APlateWithoutTextDoesNotMoveTheImagesOfTheOthers) {
  Json detection = Detection();
  detection["ocr_results"] = Json::array({"", Json{{"confidence", 0.2}}, "1AB2345"});
  const std::string image = absl::Base64Escape(TinyJpeg());
  detection["cropped_plates"] = Json::array({image, image, image});
  ASSERT_EQ(Post("/api/detection", detection).status, 200);
  const Json record = FirstRecord();
  ASSERT_THAT(record["plates"], SizeIs(1));
  EXPECT_EQ(record["plates"][0]["image"], record["cropped_plates"][2]);
}

TEST_F(ApplicationTest, DetectionDataMayComeAsText) {
  Json detection = Detection();
  detection.erase("ocr_results");
  const std::string image = absl::Base64Escape(TinyJpeg());
  detection["detection_data"] = Json{
      {"plates", Json::array({Json{{"plate_number", "9ZZ9999"}}})},
      {"vehicles_count", 4},
      {"annotated_image", image}}.dump();
  detection.erase("vehicles_count");
  ASSERT_EQ(Post("/api/detection", detection).status, 200);
  const Json record = FirstRecord("?include=payload");
  EXPECT_EQ(record["plates"][0]["text"], "9ZZ9999");
  EXPECT_EQ(record["vehicles_count"], 4);
  EXPECT_THAT(record["annotated_image"].get<std::string>(), HasSubstr("detection_"));
  EXPECT_EQ(record["payload"]["detection_data"]["annotated_image"], nullptr);
}

TEST_F(ApplicationTest, EveryAliasOfACameraFilters) {
  ASSERT_EQ(Post("/api/detection", Detection()).status, 200);
  for (const char* alias :
       {"camera_id", "aicamera_id", "device_id", "edge_device_id", "client_id"}) {
    for (const auto& [camera, count] : {std::pair("CAM001", 1), std::pair("CAM002", 0)}) {
      const std::string query = absl::StrCat("?", alias, "=", camera);
      EXPECT_EQ(Get("/api/records" + query).json()["returned_count"], count) << query;
      EXPECT_EQ(Get("/api/lpr/events" + query).json()["returned_count"], count) << query;
    }
  }
}

// Its text may not grow over the limit of the next node while it becomes an envelope.
TEST_F(ApplicationTest, AFlatBodyLeavesRoomForItsEnvelope) {
  Json detection = Detection();
  detection["note"] = "";
  detection["note"] = std::string((1 << 20) - 1000 - detection.dump().size(), 'x');
  EXPECT_EQ(Post("/api/detection", detection).status, 413);
  detection["note"] = std::string(detection["note"].get<std::string>().size() - 100, 'x');
  EXPECT_EQ(Post("/api/detection", detection).status, 200);
}

// Counts what it is given.
class CountingSink final : public Sink {
 public:
  void Accept(std::vector<Arrival> batch, AcceptFn done) override {
    messages += batch.size();
    done(std::vector<AcceptResult>(batch.size(), AcceptResult{absl::OkStatus(), false, "id"}));
  }
  size_t messages = 0;
};

// Also where it stores: what the next node would refuse for ever must not be on its way there.
TEST_F(ApplicationTest, ANodeThatForwardsTakesNothingThatTheNextOneRefuses) {
  for (Store* store : {static_cast<Store*>(nullptr), store_.get()}) {
    CountingSink sink;
    MakeApplication(&sink, store);
    const auto refused = [&](const Json& payload, const std::string& type) {
      return Post("/api/lpr/data", EnvelopeOf("m1", payload, type)).status;
    };
    EXPECT_EQ(refused(Json{{"vehicles_count", -1}}, "detection"), 400);
    EXPECT_EQ(refused(Json{{"status", "fine"}}, "health"), 400);
    EXPECT_EQ(refused(Json{{"type", "camera_register"}, {"location_lat", 200}}, "config"), 400);
    EXPECT_EQ(refused(Json{{"camera_id", Json::array()}}, "control"), 400);
    EXPECT_EQ(refused(Json{{"x", std::string((1 << 20) - 1000, 'x')}}, "control"), 400);
    EXPECT_EQ(sink.messages, 0u);
    EXPECT_EQ(refused(Json{{"type", "camera_register"}, {"location_lat", 20}}, "config"), 200);
    EXPECT_EQ(refused(Json{{"location_lat", 200}}, "control"), 200);
    application_.reset();
  }
}

TEST_F(ApplicationTest, TheNilUuidIsNoMessageId) {
  const std::string nil = "00000000-0000-0000-0000-000000000000";
  Json detection = Detection();
  detection["message_id"] = nil;
  ASSERT_EQ(Post("/api/detection", detection).status, 200);
  detection["ocr_results"] = Json::array({"2CD"});
  EXPECT_EQ(Post("/api/detection", detection).status, 200);
  Json payload{{"checkpoint_id", "CP01"}, {"ocr_results", Json::array({"3EF"})}};
  EXPECT_EQ(Post("/api/lpr/data", EnvelopeOf(nil, payload, "detection")).status, 200);
  EXPECT_EQ(Get("/api/records").json()["total_count"], 3);
}

TEST_F(ApplicationTest, HugeListsAreCountedAndBounded) {
  Json detection = Detection();
  detection.erase("vehicles_count");
  detection["vehicle_detections"] = Json(100'000, Json::object());
  ASSERT_EQ(Post("/api/detection", detection).status, 200);
  EXPECT_EQ(FirstRecord()["vehicles_count"], 100'000);
  detection["ocr_results"] = Json(257, "1AB");
  ExpectError(Post("/api/detection", detection), 400, "ocr_results: too many, limit 256");
}

// Three octets a character: a cut at 64 octets would go through one.
TEST_F(ApplicationTest, AnErrorThatQuotesThaiLeavesTheVerdictReadable) {
  std::string thai;
  for (int i = 0; i < 40; ++i) thai += "\u0e01";
  const auto health = [&](const std::string& id, const std::string& status) {
    return Json{{"message_id", id},      {"timestamp", "2024-01-15T10:30:00Z"},
                {"protocol", "rest"},    {"edge_device_id", "CAM001"},
                {"data_type", "health"}, {"payload", {{"component", "cpu"}, {"status", status}}}};
  };
  const Reply reply = Call(application_.get(), "POST", "/api/lpr/data",
                           Json::array({health("h1", thai), health("h2", "PASS")}).dump());
  const Json results = reply.json()["results"];
  EXPECT_EQ(results[0]["status"], "rejected");
  EXPECT_THAT(results[0]["error"].get<std::string>(), HasSubstr("\u0e01...\""));
  EXPECT_EQ(results[1]["status"], "stored");
  const Reply log = Call(application_.get(), "GET", "/api/communication/logs?success=false");
  EXPECT_EQ(log.json()["returned_count"], 1);
}

TEST_F(ApplicationTest, AnswersAreJsonWhateverThePathIs) {
  for (const char* path : {"/api/devices/%FF", "/api/lpr/events/%E0%B8", "/%FF", "/\xff"}) {
    EXPECT_EQ(Call(application_.get(), "GET", path).json()["success"], false) << path;
  }
}

// One bit that flips in the store must not make a page of a thousand rows unreadable.
TEST(JsonWriterTest, WhatIsDamagedInTheStoreIsNull) {
  const auto written = [](std::string_view stored) {
    JsonWriter json;
    json.BeginObject().Key("payload").Stored(stored).EndObject();
    return json.Take();
  };
  EXPECT_EQ(written(R"({"a":[1,"\u00e9"]})"), R"({"payload":{"a":[1,"\u00e9"]}})");
  for (const char* damaged : {"", "{", "{\"a\":\"\xac\"}", "{\"a\":1]", "{\"a\":1}}"}) {
    EXPECT_EQ(written(damaged), R"({"payload":null})") << damaged;
  }
}

TEST_F(ApplicationTest, MakesThumbnailsOnDemand) {
  Json detection = Detection();
  const std::string picture = JpegPicture(640, 360);
  detection["annotated_image"] = absl::Base64Escape(picture);
  ASSERT_EQ(Post("/api/detection", detection).status, 200);
  const std::string url = FirstRecord()["annotated_image"];
  const Reply whole = Get(url);
  const Reply small = Get(url + "?width=100");
  ASSERT_EQ(small.status, 200) << small.body;
  EXPECT_EQ(small.attribute("content-type"), "image/jpeg");
  EXPECT_LT(small.body.size(), picture.size());
  const auto expected = MakeThumbnail(picture, 160, ThumbnailLimits());
  EXPECT_EQ(small.body, *expected);
  const std::string tag = small.attribute("etag");
  EXPECT_THAT(tag, testing::EndsWith("-w160\""));
  EXPECT_EQ(Get("/api" + url + "?width=160").body, small.body);
  const auto ask = [&](const Attributes& fields) {
    return Call(application_.get(), "GET", url + "?width=160", "", fields);
  };
  EXPECT_EQ(ask({{"if-none-match", tag}}).status, 304);
  EXPECT_EQ(ask({{"if-none-match", whole.attribute("etag")}}).status, 200);
  const Reply part = ask({{"range", "bytes=2-9"}, {"if-range", tag}});
  EXPECT_EQ(part.status, 206);
  EXPECT_EQ(part.body, small.body.substr(2, 8));
  EXPECT_EQ(part.attribute("content-range"), absl::StrCat("bytes 2-9/", small.body.size()));
  // Never larger than it is.
  const Reply large = Get(url + "?width=1000");
  EXPECT_EQ(large.body, picture);
  EXPECT_EQ(large.attribute("etag"), whole.attribute("etag"));
  for (const char* bad : {"0", "-1", "wide", "100000000000"}) {
    ExpectError(Get(url + "?width=" + bad), 400, "width: ");
  }
}

TEST_F(ApplicationTest, SaysWhyAThumbnailCannotBeMade) {
  const std::string picture = JpegPicture(640, 360);
  const std::pair<std::string, const char*> pictures[] = {
      {WithJpegSize(picture, 65'000, 65'000), "image: too large, 65000 x 65000 pixels"},
      {picture.substr(0, picture.size() * 3 / 4) + "\xff\xd9", "it is cut short"}};
  int minute = 30;
  for (const auto& [hostile, why] : pictures) {
    Json detection = Detection();
    detection["timestamp"] = absl::StrCat("2024-01-15T11:", minute++, ":00Z");
    detection["annotated_image"] = absl::Base64Escape(hostile);
    ASSERT_EQ(Post("/api/detection", detection).status, 200);
    const std::string url = FirstRecord()["annotated_image"];
    ExpectError(Get(url + "?width=80"), 422, why);
    EXPECT_EQ(Get(url).body, hostile);
  }
}

}  // namespace
}  // namespace viaduct
