// What cameras and nodes hand over by HTTP, in every form.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "core/lpr/application.h"
#include "core/lpr/testing/application_fixture.h"

namespace viaduct {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::StartsWith;

TEST_F(ApplicationTest, RegistersACamera) {
  const Reply reply = Post("/api/cameras/register", Json{{"camera_id", "CAM001"},
                                                         {"checkpoint_id", "CP01"},
                                                         {"camera_name", "North gate"},
                                                         {"ip_address", "10.0.0.7"},
                                                         {"location_lat", 13.75},
                                                         {"location_lon", "100.5"}});
  ASSERT_EQ(reply.status, 200) << reply.body;
  const Json json = reply.json();
  EXPECT_EQ(json["success"], true);
  EXPECT_EQ(json["message"], "Camera registered successfully");
  EXPECT_EQ(json["camera_id"], "CAM001");
  EXPECT_EQ(json["checkpoint_id"], "CP01");
  EXPECT_EQ(json["timestamp"], "2024-01-15T10:30:00.000Z");
  const Json cameras = Get("/api/cameras").json();
  EXPECT_EQ(cameras["total_cameras"], 1);
  const Json camera = cameras["cameras"][0];
  EXPECT_EQ(camera["camera_id"], "CAM001");
  EXPECT_EQ(camera["checkpoint_id"], "CP01");
  EXPECT_EQ(camera["registered_at"], "2024-01-15T10:30:00.000Z");
  EXPECT_EQ(camera["status"], "online");
  EXPECT_EQ(camera["detection_count"], 0);
  EXPECT_EQ(camera["health_status"], "unknown");
  clock_.Advance(absl::Minutes(6));
  EXPECT_EQ(Get("/api/cameras").json()["cameras"][0]["status"], "offline");
  const auto seen = publisher_.Take();
  ASSERT_THAT(seen, SizeIs(1));
  EXPECT_EQ(seen[0].event, "camera_status");
  EXPECT_EQ(seen[0].room, "dashboard");
  EXPECT_EQ(seen[0].body["status"], "online");
  EXPECT_EQ(seen[0].body["camera_id"], "CAM001");
}

TEST_F(ApplicationTest, RefusesARegistrationWithoutIdsInTheOriginalWords) {
  for (const char* body : {R"({"camera_id":"CAM001"})", R"({"checkpoint_id":"CP01"})", "{}",
                           R"({"camera_id":"","checkpoint_id":null})"}) {
    const Reply reply = Post("/api/cameras/register", std::string(body));
    ExpectError(reply, 400, "camera_id and checkpoint_id are required");
    EXPECT_EQ(reply.json()["message"], "camera_id and checkpoint_id are required");
  }
  ExpectError(Post("/api/cameras/register",
                   std::string(R"({"camera_id":"c","checkpoint_id":"p","location_lat":91})")),
              400, "location_lat: out of range, 91");
}

TEST_F(ApplicationTest, StoresADetectionAndTellsTheDashboard) {
  const Reply reply = Post("/api/detection", Detection());
  ASSERT_EQ(reply.status, 200) << reply.body;
  const Json json = reply.json();
  EXPECT_EQ(json["success"], true);
  EXPECT_EQ(json["message"], "Detection data received");
  EXPECT_THAT(json["detection_id"].get<std::string>(), SizeIs(36));
  EXPECT_EQ(json["timestamp"], "2024-01-15T10:30:00.000Z");

  const Json record = FirstRecord();
  EXPECT_EQ(record["detection_id"], json["detection_id"]);
  EXPECT_EQ(record["camera_id"], "CAM001");
  EXPECT_EQ(record["checkpoint_id"], "CP01");
  EXPECT_EQ(record["timestamp"], "2024-01-15T10:30:00.000Z");
  EXPECT_EQ(record["vehicles_count"], 1);
  EXPECT_EQ(record["ocr_results"], Json::array({"1AB2345"}));
  EXPECT_EQ(record["plates"][0]["text"], "1AB2345");
  EXPECT_EQ(record["annotated_image"], nullptr);
  EXPECT_EQ(record.count("payload"), 0u);
  EXPECT_EQ(FirstRecord("?include=payload")["payload"], Detection());

  std::set<std::string> events;
  for (const auto& seen : publisher_.Take()) {
    events.insert(seen.event + " " + seen.room);
    EXPECT_EQ(seen.body["detection_id"], json["detection_id"]);
    EXPECT_EQ(seen.body["ocr_results"], Json::array({"1AB2345"}));
    EXPECT_EQ(seen.body["plates_count"], 1);
  }
  EXPECT_THAT(events, ElementsAre("lpr_event_processed dashboard", "lpr_event_received dashboard",
                                  "new_detection camera_CAM001_CP01", "new_detection dashboard"));
}

TEST_F(ApplicationTest, ARepeatedDetectionIsStoredOnceAndToldOnce) {
  const Json first = Post("/api/detection", Detection()).json();
  publisher_.Take();
  const Reply again = Post("/api/detection", Detection());
  EXPECT_EQ(again.status, 200);
  EXPECT_EQ(again.json()["detection_id"], first["detection_id"]);
  EXPECT_EQ(Get("/api/records").json()["total_count"], 1);
  EXPECT_THAT(publisher_.Take(), IsEmpty());
}

TEST_F(ApplicationTest, OneMessageIdIsOneMessageInEveryForm) {
  const std::string id = "0190a6f0-1234-7abc-8def-0123456789ab";
  Json flat = Detection();
  flat["message_id"] = id;
  EXPECT_EQ(Post("/api/detection", flat).json()["detection_id"], id);
  const Json reply = Post("/api/lpr/data", EnvelopeOf(id, Detection(), "detection")).json();
  EXPECT_EQ(reply["results"][0]["status"], "duplicate");
  EXPECT_EQ(reply["results"][0]["id"], id);
  EXPECT_EQ(Get("/api/records").json()["total_count"], 1);
}

TEST_F(ApplicationTest, NamesTheMissingField) {
  for (const char* field : {"type", "camera_id", "checkpoint_id", "timestamp"}) {
    for (const Json& absent : {Json(), Json("")}) {
      Json detection = Detection();
      detection.erase(field);
      if (absent.is_string()) detection[field] = "";
      const Reply reply = Post("/api/detection", detection);
      EXPECT_EQ(reply.status, 400);
      EXPECT_EQ(reply.json()["message"], absl::StrCat("Missing required field: ", field));
      EXPECT_EQ(reply.json()["success"], false);
    }
  }
  for (const char* field :
       {"type", "camera_id", "checkpoint_id", "timestamp", "component", "status"}) {
    Json health = Health();
    health.erase(field);
    const Reply reply = Post("/api/health", health);
    EXPECT_EQ(reply.status, 400);
    EXPECT_EQ(reply.json()["message"], absl::StrCat("Missing required field: ", field));
  }
  EXPECT_EQ(Get("/api/records").json()["total_count"], 0);
}

TEST_F(ApplicationTest, RefusesWrongValuesByName) {
  const auto with = [](const char* field, Json value) {
    Json detection = Detection();
    detection[field] = std::move(value);
    return detection;
  };
  ExpectError(Post("/api/detection", with("timestamp", "yesterday")), 400,
              "timestamp: not a timestamp, \"yesterday\"");
  ExpectError(Post("/api/detection", with("timestamp", 1705314600)), 400,
              "timestamp: expected a timestamp text, got a number");
  ExpectError(Post("/api/detection", with("type", "health_check")), 400,
              "type: expected detection_result, got \"health_check\"");
  ExpectError(Post("/api/detection", with("camera_id", Json::array())), 400,
              "camera_id: expected a string, got an array");
  ExpectError(Post("/api/detection", with("camera_id", std::string(129, 'x'))), 400,
              "camera_id: too long, 129 bytes, limit 128");
  ExpectError(Post("/api/detection", with("camera_id", "a\nb")), 400,
              "camera_id: control character");
  ExpectError(Post("/api/detection", with("vehicles_count", -1)), 400,
              "vehicles_count: not a count, -1");
  ExpectError(Post("/api/detection", with("vehicles_count", 1e300)), 400,
              "vehicles_count: not a count");
  ExpectError(Post("/api/detection", with("ocr_results", 7)), 400,
              "ocr_results: expected an array, got a number");
  ExpectError(Post("/api/detection", with("ocr_results", std::string(129, 'x'))), 400,
              "ocr_results: too long");
  ExpectError(Post("/api/detection", with("annotated_image", Json::object())), 400,
              "annotated_image: expected a string, got an object");
  ExpectError(Post("/api/detection", with("cropped_plates", Json::array({1}))), 400,
              "cropped_plates/0: expected a string, got a number");
  Json health = Health();
  health["status"] = "fine";
  ExpectError(Post("/api/health", health), 400,
              "status: expected healthy, warning or error, got \"fine\"");
  EXPECT_EQ(Get("/api/statistics").json()["data"]["total_detections"], 0);
}

TEST_F(ApplicationTest, NamesThePositionOfMalformedJson) {
  for (const char* path : {"/api/detection", "/api/health", "/api/cameras/register",
                           "/api/statistics", "/api/lpr/data", "/api/lpr/events", "/api/devices"}) {
    const Reply broken = Post(path, std::string(R"({"type": )"));
    ExpectError(broken, 400, "Malformed JSON: ");
    EXPECT_EQ(broken.json()["position"], 9) << path << broken.body;
    ExpectError(Post(path, std::string()), 400, "Malformed JSON: ");
    ExpectError(Post(path, std::string("\"text\"")), 400, "");
    ExpectError(Post(path, std::string("{\"a\":\"\xff\"}")), 400, "Malformed JSON: ");
    ExpectError(Post(path, std::string(R"({"a":1e999})")), 400, "Malformed JSON: ");
    ExpectError(Post(path, std::string(R"({"a":1,"a":2})")), 400, "Malformed JSON: ");
    ExpectError(Post(path, std::string(2000, '[')), 400, "");
    std::string deep;
    for (int i = 0; i < 200; ++i) deep += "{\"a\":";
    ExpectError(Post(path, deep), 400, "Malformed JSON: ");
  }
}

TEST_F(ApplicationTest, TakesEveryNameOfACameraAndEveryFormOfATime) {
  int n = 0;
  for (const char* alias :
       {"camera_id", "aicamera_id", "device_id", "edge_device_id", "client_id"}) {
    for (const auto& [text, utc] : std::vector<std::pair<std::string, std::string>>{
             {"2024-01-15T10:30:00.000Z", "2024-01-15T10:30:00.000Z"},
             {"2024-01-15T17:30:00", "2024-01-15T10:30:00.000Z"},  // The node's zone is +07:00.
             {"2024-01-15 17:30:00.5", "2024-01-15T10:30:00.500Z"},
             {"2024-01-15T12:30:00+02:00", "2024-01-15T10:30:00.000Z"}}) {
      Json detection = Detection();
      detection.erase("camera_id");
      detection[alias] = absl::StrCat("CAM-", alias);
      detection["timestamp"] = text;
      detection["n"] = ++n;
      ASSERT_EQ(Post("/api/detection", detection).status, 200) << detection;
      const Json record = FirstRecord();
      EXPECT_EQ(record["camera_id"], absl::StrCat("CAM-", alias));
      EXPECT_EQ(record["timestamp"], utc);
    }
  }
}

TEST_F(ApplicationTest, ReadsArraysThatCameAsText) {
  Json detection = Detection();
  detection["ocr_results"] = R"([{"text":"9ZZ1","confidence":88},"7AA2"])";
  detection["vehicle_detections"] = R"([{"bbox":[1,2,3,4]},{"bbox":[5,6,7,8]}])";
  detection.erase("vehicles_count");
  detection.erase("plates_count");
  ASSERT_EQ(Post("/api/detection", detection).status, 200);
  const Json record = FirstRecord();
  EXPECT_EQ(record["vehicles_count"], 2);
  EXPECT_EQ(record["plates_count"], 2);
  EXPECT_EQ(record["ocr_results"][0]["text"], "9ZZ1");
  EXPECT_EQ(record["vehicle_detections"][1]["bbox"][3], 8);
  EXPECT_EQ(record["plates"][0]["confidence"], 0.88);  // 0..100 is scaled.
  EXPECT_EQ(record["plates"][1]["confidence"], nullptr);
}

TEST_F(ApplicationTest, AConfidenceThatIsNoneIsLeftOut) {
  Json detection = Detection();
  detection["ocr_results"] = Json::array({{{"text", "A"}, {"confidence", 101}},
                                          {{"text", "B"}, {"confidence", -1}},
                                          {{"text", "C"}, {"confidence", "high"}},
                                          {{"text", "D"}, {"confidence", 1}},
                                          {{"text", "E"}, {"score", 0.25}}});
  ASSERT_EQ(Post("/api/detection", detection).status, 200);
  const Json plates = FirstRecord()["plates"];
  ASSERT_THAT(plates, SizeIs(5));
  EXPECT_EQ(plates[0]["confidence"], nullptr);
  EXPECT_EQ(plates[1]["confidence"], nullptr);
  EXPECT_EQ(plates[2]["confidence"], nullptr);
  EXPECT_EQ(plates[3]["confidence"], 1);
  EXPECT_EQ(plates[4]["confidence"], 0.25);
}

TEST_F(ApplicationTest, KeepsImagesAsFilesAndServesThem) {
  Json detection = Detection();
  detection["camera_id"] = "../CAM/1";
  detection["annotated_image"] = absl::Base64Escape(TinyJpeg());
  detection["cropped_plates"] =
      Json::array({"data:image/jpeg;base64," + absl::Base64Escape(TinyJpeg()), nullptr});
  const Reply reply = Post("/api/detection", detection);
  ASSERT_EQ(reply.status, 200) << reply.body;
  const std::string id = reply.json()["detection_id"];
  const Json record = FirstRecord("?include=payload");
  const std::string url = record["annotated_image"];
  EXPECT_EQ(url, "/images/=2E.=2FCAM=2F1/CP01/2024/01/15/detection_" + id + ".jpg");
  const Reply image = Get(url);
  EXPECT_EQ(image.status, 200);
  EXPECT_EQ(image.attribute("content-type"), "image/jpeg");
  EXPECT_EQ(image.body, TinyJpeg());
  ASSERT_THAT(record["cropped_plates"], SizeIs(2));
  EXPECT_THAT(record["cropped_plates"][0].get<std::string>(), HasSubstr("plate_" + id + "_1.jpg"));
  EXPECT_EQ(record["cropped_plates"][1], nullptr);
  EXPECT_EQ(record["plates"][0]["image"], record["cropped_plates"][0]);
  EXPECT_EQ(record["payload"]["annotated_image"], nullptr);  // Not twice on disk.
  EXPECT_EQ(FirstRecord("?images=inline")["annotated_image"],
            "data:image/jpeg;base64," + absl::Base64Escape(TinyJpeg()));
  // Sent again, it is still one detection with its image.
  EXPECT_EQ(Post("/api/detection", detection).json()["detection_id"], id);
  EXPECT_EQ(Get(url).body, TinyJpeg());
  EXPECT_EQ(Get("/api/records").json()["total_count"], 1);
}

TEST_F(ApplicationTest, ServesPartsOfAnImage) {
  Json detection = Detection();
  detection["annotated_image"] = absl::Base64Escape(TinyJpeg());
  ASSERT_EQ(Post("/api/detection", detection).status, 200);
  const std::string url = "/api" + FirstRecord()["annotated_image"].get<std::string>();
  const auto ask = [&](const Attributes& fields, const std::string& method = "GET") {
    return Call(application_.get(), method, url, "", fields);
  };
  const std::string size = std::to_string(TinyJpeg().size());
  const Reply whole = ask({});
  EXPECT_EQ(whole.status, 200);
  EXPECT_EQ(whole.body, TinyJpeg());
  EXPECT_EQ(whole.attribute("accept-ranges"), "bytes");
  const std::string tag = whole.attribute("etag");
  EXPECT_THAT(tag, testing::MatchesRegex("\"[-0-9a-f]+\""));
  const Reply part = ask({{"range", "bytes=4-9"}, {"if-range", tag}});
  EXPECT_EQ(part.status, 206);
  EXPECT_EQ(part.body, TinyJpeg().substr(4, 6));
  EXPECT_EQ(part.attribute("content-range"), "bytes 4-9/" + size);
  EXPECT_EQ(part.attribute("content-type"), "image/jpeg");
  EXPECT_EQ(part.attribute("etag"), tag);
  EXPECT_EQ(ask({{"range", "bytes=-2"}}).body, TinyJpeg().substr(TinyJpeg().size() - 2));
  const Reply beyond = ask({{"range", "bytes=" + size + "-"}});
  ExpectError(beyond, 416, "range: nothing of it is there");
  EXPECT_EQ(beyond.attribute("content-range"), "bytes */" + size);
  // Of another file than it knows the client gets all, of the one that it has nothing.
  EXPECT_EQ(ask({{"range", "bytes=4-9"}, {"if-range", "\"other\""}}).status, 200);
  EXPECT_EQ(ask({{"range", "bytes=4-9"}}, "HEAD").status, 200);
  const Reply known = ask({{"if-none-match", "\"x\", " + tag}, {"range", "bytes=4-9"}});
  EXPECT_EQ(known.status, 304);
  EXPECT_EQ(known.body, "");
}

TEST_F(ApplicationTest, AReplacedImageHasAnotherTag) {
  Json detection = Detection();
  detection["annotated_image"] = absl::Base64Escape(TinyJpeg());
  ASSERT_EQ(Post("/api/detection", detection).status, 200);
  const std::string url = FirstRecord()["annotated_image"];
  const std::string tag = Get(url).attribute("etag");
  const std::string file = folder_.path() + url;
  std::ofstream(file + ".new") << TinyJpeg();
  std::filesystem::rename(file + ".new", file);
  EXPECT_NE(Get(url).attribute("etag"), tag);
}

TEST_F(ApplicationTest, AnImageThatIsNoneIsNotedAndTheDetectionStored) {
  Json detection = Detection();
  detection["annotated_image"] = "!!!";
  detection["cropped_plates"] = Json::array({absl::Base64Escape("GIF89a not a jpeg")});
  ASSERT_EQ(Post("/api/detection", detection).status, 200);
  const Json record = FirstRecord();
  EXPECT_EQ(record["annotated_image"], nullptr);
  EXPECT_EQ(record["note"],
            "annotated_image: not base64; cropped_plates/0: neither a whole JPEG nor PNG nor WebP");
}

TEST_F(ApplicationTest, ShowsImagesThatAreNotThereYetAsPending) {
  Json detection = Detection();
  detection["annotated_image"] = absl::Base64Escape(TinyJpeg());
  detection["cropped_plates"] = Json::array({nullptr});
  const Json plate = {{"kind", "plate"}, {"index", 0},     {"name", "CAM001/p.jpg"},
                      {"size", 9},       {"sha256", "ab"}, {"transfer_id", "t"}};
  Json vehicle = plate;
  vehicle["kind"] = "image";
  vehicle["status"] = "of the sender";
  detection["image_files"] = Json::array({vehicle, plate, 7, {{"kind", "plate"}, {"index", -1}}});
  ASSERT_EQ(Post("/api/detection", detection).status, 200);
  const Json files = FirstRecord()["image_files"];
  ASSERT_THAT(files, SizeIs(3));
  EXPECT_EQ(files[0]["status"], "stored");  // It came in the message, too.
  EXPECT_EQ(files[1]["status"], "pending");
  EXPECT_EQ(files[1]["sha256"], "ab");
  EXPECT_EQ(files[2]["status"], "pending");
  detection["image_files"] = "what is no list";
  detection["timestamp"] = "2024-01-15T10:31:00Z";
  ASSERT_EQ(Post("/api/detection", detection).status, 200);
  EXPECT_FALSE(FirstRecord().contains("image_files"));
}

TEST_F(ApplicationTest, ServesNoFileOutsideTheImageFolder) {
  std::ofstream(folder_.path() + "/secret.jpg") << "secret";
  for (const char* path :
       {"/images/../secret.jpg", "/images/%2e%2e/secret.jpg", "/images/a/b/2024/01/15/../x.jpg",
        "/images/a/b/2024/01/15/%2e%2e%2f%2e%2e%2fx.jpg", "/images//etc/passwd", "/images/x",
        "/images/a/b/2024/01/15/x.txt", "/images/a/b/2024/01/15/x.jpg", "/api/images/../secret.jpg",
        "/api/images/a/b/2024/01/15/%2e%2e%2f%2e%2e%2fx.jpg", "/api/images//secret.jpg"}) {
    const Reply reply = Get(path);
    EXPECT_EQ(reply.status, 404) << path;
    EXPECT_THAT(reply.body, testing::Not(HasSubstr("secret\"}"))) << path;
  }
}

TEST_F(ApplicationTest, StoresAHealthReport) {
  const Reply reply = Post("/api/health", Health());
  ASSERT_EQ(reply.status, 200) << reply.body;
  EXPECT_EQ(reply.json()["message"], "Health data received");
  EXPECT_THAT(reply.json()["health_id"].get<std::string>(), SizeIs(36));
  const auto seen = publisher_.Take();
  ASSERT_THAT(seen, SizeIs(1));
  EXPECT_EQ(seen[0].event, "health_update");
  EXPECT_EQ(seen[0].room, "health_monitoring");
  EXPECT_EQ(seen[0].body["status"], "healthy");  // PASS
  EXPECT_EQ(seen[0].body["component"], "camera");
  EXPECT_EQ(seen[0].body["timestamp"], "2024-01-15T03:30:00.000Z");
  EXPECT_EQ(Get("/api/cameras").json()["cameras"][0]["health_status"], "healthy");
}

TEST_F(ApplicationTest, TheStatisticsAliasGoesByType) {
  const Reply detection = Post("/api/statistics", Detection());
  EXPECT_EQ(detection.status, 200);
  EXPECT_EQ(detection.json().size(), 2u);
  EXPECT_THAT(detection.json()["id"].get<std::string>(), SizeIs(36));
  EXPECT_EQ(Post("/api/statistics", Health()).status, 200);
  const Json data = Get("/api/statistics").json()["data"];
  EXPECT_EQ(data["total_detections"], 1);
  EXPECT_EQ(data["total_health_checks"], 1);
  Json other = Detection();
  other["type"] = "greeting";
  ExpectError(Post("/api/statistics", other), 400,
              "type: expected detection_result or health_check, got \"greeting\"");
  other.erase("type");
  ExpectError(Post("/api/statistics", other), 400, "Missing required field: type");
}

TEST_F(ApplicationTest, AnswersEachEnvelopeOfAnArray) {
  Json bad = EnvelopeOf("m-2", Detection(), "detection");
  bad.erase("edge_device_id");
  Json wrong = EnvelopeOf("m-3", Json{{"vehicles_count", "many"}}, "detection");
  const Reply reply =
      Post("/api/lpr/data", Json::array({EnvelopeOf("m-1", Detection(), "detection"), bad, wrong,
                                         EnvelopeOf("m-1", Detection(), "detection"),
                                         EnvelopeOf("h-1", Health(), "health"),
                                         EnvelopeOf("c-1", Json::object(), "config"), 7}));
  ASSERT_EQ(reply.status, 200) << reply.body;
  const Json results = reply.json()["results"];
  ASSERT_THAT(results, SizeIs(7));
  EXPECT_EQ(results[0]["message_id"], "m-1");
  EXPECT_EQ(results[0]["status"], "stored");
  EXPECT_EQ(results[1]["message_id"], "m-2");
  EXPECT_EQ(results[1]["status"], "rejected");
  EXPECT_EQ(results[1]["error"], "envelope: /1/edge_device_id: required, missing");
  EXPECT_EQ(results[2]["status"], "rejected");
  EXPECT_THAT(results[2]["error"].get<std::string>(), StartsWith("vehicles_count: "));
  EXPECT_EQ(results[3]["status"], "duplicate");
  EXPECT_EQ(results[4]["status"], "stored");
  EXPECT_EQ(results[5]["status"], "stored");
  EXPECT_EQ(results[6]["status"], "rejected");
  EXPECT_EQ(Get("/api/statistics").json()["data"]["total_detections"], 1);
}

TEST_F(ApplicationTest, AnswersOneEnvelope) {
  const Reply good = Post("/api/lpr/data", EnvelopeOf("m-1", Detection(), "detection"));
  EXPECT_EQ(good.status, 200);
  EXPECT_EQ(good.json()["results"][0]["status"], "stored");
  Json bad = EnvelopeOf("m-2", Detection(), "detection");
  bad["timestamp"] = "soon";
  const Reply reply = Post("/api/lpr/data", bad);
  EXPECT_EQ(reply.status, 400);
  EXPECT_EQ(reply.json()["message"], "envelope: /timestamp: not a timestamp, \"soon\"");
  EXPECT_EQ(reply.json()["results"][0]["status"], "rejected");
  EXPECT_EQ(Post("/api/lpr/data", Json::array()).json()["results"], Json::array());
}

TEST_F(ApplicationTest, AnEnvelopeNeedsNothingThatItSaysItself) {
  EXPECT_EQ(Post("/api/lpr/data",
                 EnvelopeOf("m-1", Json{{"plate", "1AB2345"}, {"confidence", 91}}, "detection"))
                .status,
            200);
  const Json record = FirstRecord();
  EXPECT_EQ(record["camera_id"], "CAM001");
  EXPECT_EQ(record["plates"][0]["text"], "1AB2345");
  EXPECT_EQ(record["plates"][0]["confidence"], 0.91);
}

TEST_F(ApplicationTest, IngestsEnvelopesFromOtherRoads) {
  Envelope good;
  good.message_id = "m-1";
  good.timestamp = clock_.Now();
  good.protocol = "mqtt";
  good.edge_device_id = "CAM001";
  good.payload_json = Detection().dump();
  Envelope bad = good;
  bad.message_id = "";
  absl::Notification done;
  std::vector<AcceptResult> results;
  const Sender sender{"mqtt", "mqtt:edge-1", nullptr, nullptr};
  application_->IngestEnvelopes({good, bad, good}, sender, [&](std::vector<AcceptResult> accepted) {
    results = std::move(accepted);
    done.Notify();
  });
  ASSERT_TRUE(done.WaitForNotificationWithTimeout(kDeadline));
  ASSERT_THAT(results, SizeIs(3));
  EXPECT_TRUE(results[0].status.ok()) << results[0].status;
  EXPECT_EQ(results[1].status.message(), "envelope: /message_id: empty");
  EXPECT_TRUE(results[2].duplicate);
  EXPECT_EQ(FirstRecord()["protocol"], "mqtt");
}

}  // namespace
}  // namespace viaduct
