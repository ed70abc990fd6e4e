#include "plugins/hailo_lpr/options.h"

#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <tuple>

#include "plugins/hailo_lpr/request.h"

namespace viaduct::hailo_lpr {
namespace {

using Json = nlohmann::json;

Json Schema() {
  std::ifstream file("plugins/hailo_lpr/config.schema.json");
  return Json::parse(file);
}

TEST(ReadOptions, NothingIsNeeded) {
  Options options;
  OptionsError error;
  ASSERT_TRUE(ReadOptions("{}", &options, &error)) << error.message;
  EXPECT_EQ(options.source, SourceKind::kNone);
  EXPECT_TRUE(options.tracking);
}

TEST(ReadOptions, AFolderIsNotTrackedUnlessAsked) {
  Options options;
  OptionsError error;
  ASSERT_TRUE(ReadOptions(R"({"source":"folder","path":"/in","after":"move","move_to":"/done",
      "region":[[0,0],[1,0],[0.5,1]],"min_confidence":0.5,"grammars":["th"]})",
                          &options, &error))
      << error.message;
  EXPECT_FALSE(options.tracking);
  EXPECT_EQ(options.folder.after, After::kMove);
  EXPECT_EQ(options.plates.region.size(), 3u);
  EXPECT_EQ(options.plates.min_confidence, 0.5F);
}

TEST(ReadOptions, PointsAtWhatTheSchemaCannotSay) {
  const struct {
    Json config;
    const char* pointer;
  } kCases[] = {
      {{{"source", "folder"}}, "/path"},
      {{{"source", "folder"}, {"path", "in"}}, "/path"},
      {{{"path", "/in"}}, "/path"},
      {{{"source", "folder"}, {"path", "/in"}, {"after", "move"}}, "/move_to"},
      {{{"source", "folder"}, {"path", "/in"}, {"move_to", "/x"}}, "/move_to"},
      {{{"source", "folder"}, {"path", "/in"}, {"after", "move"}, {"move_to", "/in"}}, "/move_to"},
      {{{"source", "rtsp"}}, "/url"},
      {{{"source", "rtsp"}, {"url", "file:///etc/passwd"}}, "/url"},
      {{{"source", "rtsp"}, {"url", "rtsp://user:secret@camera/1"}}, "/url"},
      {{{"source", "rtsp"}, {"url", "rtsp://camera/1"}, {"password", "p"}}, "/username"},
      {{{"source", "video"}, {"path", "/a.mp4"}, {"recorded_at", "yesterday"}}, "/recorded_at"},
      {{{"vehicles", "model"}}, "/vehicle_model"},
      {{{"vehicle_model", "/m.onnx"}}, "/vehicle_model"},
      {{{"require_grammar", true}}, "/require_grammar"},
      {{{"region", {{0, 0}, {1, 1}}}}, "/region"},
      {{{"direction", "up"}, {"tracking", false}}, "/direction"},
      {{{"timezone", "Mars/Base"}}, "/timezone"},
      {{{"queue", "many"}}, "/queue"},
  };
  for (const auto& c : kCases) {
    Options options;
    OptionsError error;
    EXPECT_FALSE(ReadOptions(c.config.dump(), &options, &error)) << c.config;
    EXPECT_EQ(error.pointer, c.pointer) << c.config << error.message;
    EXPECT_NE(error.message, "") << c.config;
  }
  Options options;
  OptionsError error;
  EXPECT_FALSE(ReadOptions("[", &options, &error));
}

// The schema fills in its defaults; the structs have theirs. They are one and the same.
TEST(ReadOptions, DefaultsOfSchemaAndCodeAgree) {
  const Json schema = Schema();
  Json filled = Json::object();
  for (const auto& [key, property] : schema["properties"].items()) {
    EXPECT_TRUE(property.contains("description")) << key;
    if (property.contains("default")) filled[key] = property["default"];
  }
  Options a;
  const Options b;
  OptionsError error;
  ASSERT_TRUE(ReadOptions(filled.dump(), &a, &error)) << error.message;
  EXPECT_EQ(std::tie(a.source, a.queue, a.max_fps, a.tracking, a.direction, a.limits.max_pixels),
            std::tie(b.source, b.queue, b.max_fps, b.tracking, b.direction, b.limits.max_pixels));
  EXPECT_EQ(std::tie(a.camera.device, a.camera.real_time, a.camera.loop, a.camera.stall_timeout,
                     a.camera.reconnect_after, a.camera.reconnect_at_most),
            std::tie(b.camera.device, b.camera.real_time, b.camera.loop, b.camera.stall_timeout,
                     b.camera.reconnect_after, b.camera.reconnect_at_most));
  const ModelOptions& m = a.models;
  const ModelOptions& n = b.models;
  EXPECT_EQ(std::tie(m.threads, m.timeout, a.plates.min_vehicle_width),
            std::tie(n.threads, n.timeout, b.plates.min_vehicle_width));
  EXPECT_EQ(std::tie(m.backend, m.plate_output, m.plate_width, m.plate_height, m.min_plate_score),
            std::tie(n.backend, n.plate_output, n.plate_width, n.plate_height, n.min_plate_score));
  EXPECT_EQ(std::tie(m.vehicle_finder, m.vehicle_output, m.vehicle_width, m.vehicle_height,
                     m.min_vehicle_score, m.vehicle_labels),
            std::tie(n.vehicle_finder, n.vehicle_output, n.vehicle_width, n.vehicle_height,
                     n.min_vehicle_score, n.vehicle_labels));
  EXPECT_EQ(std::tie(a.plates.require_grammar, a.plates.looked_at_again, a.plates.min_width,
                     a.plates.min_height),
            std::tie(b.plates.require_grammar, b.plates.looked_at_again, b.plates.min_width,
                     b.plates.min_height));
  EXPECT_EQ(std::tie(a.tracker.lost_after, a.tracker.longest_pass, a.tracker.again_after,
                     a.tracker.least_seen),
            std::tie(b.tracker.lost_after, b.tracker.longest_pass, b.tracker.again_after,
                     b.tracker.least_seen));
  EXPECT_EQ(std::tie(a.events.checkpoint_id, a.events.annotated_image, a.events.cropped_plates,
                     a.events.jpeg_quality, a.events.image_width),
            std::tie(b.events.checkpoint_id, b.events.annotated_image, b.events.cropped_plates,
                     b.events.jpeg_quality, b.events.image_width));
  EXPECT_EQ(a.folder.settle, b.folder.settle);
}

TEST(ReadOptions, SecretsAreMarked) {
  EXPECT_EQ(Schema()["properties"]["password"]["x-viaduct-secret"], true);
}

// README, schema and sample agree: every option of the schema has its row in the README.
TEST(ReadOptions, EveryOptionIsInTheReadme) {
  std::ifstream readme_file("plugins/hailo_lpr/README.md");
  const std::string readme((std::istreambuf_iterator<char>(readme_file)), {});
  const Json schema = Schema();
  for (const auto& [key, property] : schema["properties"].items()) {
    EXPECT_NE(readme.find("| `" + key + "` |"), std::string::npos) << key;
  }
}

TEST(ParseInferRequest, ReadsWhatItKnowsAndNamesWhatItDoesNot) {
  const absl::StatusOr<InferRequest> request = ParseInferRequest(
      R"({"alternatives":5,"ground_truth":false,"crops":false,"min_confidence":0.25,"stream":"a"})");
  ASSERT_TRUE(request.ok()) << request.status();
  EXPECT_EQ(request->alternatives, 5u);
  EXPECT_FALSE(request->crops);
  EXPECT_EQ(request->min_confidence, 0.25F);
  EXPECT_EQ(request->stream, "a");
  EXPECT_TRUE(ParseInferRequest("").ok());
  EXPECT_TRUE(ParseInferRequest("{}").ok());
  for (const char* wrong :
       {"[]", "{", R"({"alternatives":9})", R"({"alternatives":-1})", R"({"crops":1})",
        R"({"min_confidence":2})", R"({"stream":""})", R"({"unheard_of":1})"}) {
    EXPECT_TRUE(absl::IsInvalidArgument(ParseInferRequest(wrong).status())) << wrong;
  }
}

}  // namespace
}  // namespace viaduct::hailo_lpr
