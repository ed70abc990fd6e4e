// The configuration of a `hailo_lpr` instance, as config.schema.json describes it.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/time/time.h"
#include "opencv2/core.hpp"
#include "plugins/common/options_error.h"
#include "plugins/hailo_lpr/picture.h"
#include "plugins/hailo_lpr/tracker.h"

namespace viaduct::hailo_lpr {

enum class SourceKind { kNone, kFolder, kVideo, kV4l2, kRtsp, kLibcamera };
enum class VehicleFinder { kNone, kMotion, kModel };
// Where a vehicle comes from and goes to, in the picture.
enum class Direction { kAny, kDown, kUp, kLeft, kRight };

// What becomes of a picture of the folder whose detections are durable.
enum class After { kKeep, kMove, kDelete };

struct FolderOptions {
  std::string path;
  After after = After::kKeep;
  std::string move_to;
  absl::Duration settle = absl::Seconds(1);  // So long a file has not changed before it is read.
};

struct CameraOptions {
  std::string url;  // Of rtsp.
  std::string username;
  std::string password;
  std::string device = "/dev/video0";
  std::string pipeline;  // Of libcamera; made of width, height and fps without it.
  std::string file;      // Of video.
  bool real_time = true;
  bool loop = false;
  std::optional<absl::Time> recorded_at;
  int width = 0;  // 0: as the camera likes.
  int height = 0;
  int fps = 0;
  absl::Duration stall_timeout = absl::Seconds(10);
  absl::Duration reconnect_after = absl::Seconds(1);
  absl::Duration reconnect_at_most = absl::Seconds(30);
};

struct ModelOptions {
  std::string data;  // Folder with models/ and grammars/.
  std::string backend = "auto";
  std::string library;                        // Of that back end; "": the usual names.
  int threads = 1;                            // Of onnxruntime.
  absl::Duration timeout = absl::Seconds(2);  // Of a Hailo, for a picture or a result.
  std::string reader;                         // "": models/reader.onnx of `data`.
  std::string plate_model;                    // "": lines of characters.
  std::string plate_output = "auto";
  int plate_width = 640;  // Of the model's input.
  int plate_height = 640;
  float min_plate_score = 0.3F;
  VehicleFinder vehicle_finder = VehicleFinder::kNone;
  std::string vehicle_model;
  std::string vehicle_output = "auto";
  int vehicle_width = 640;
  int vehicle_height = 640;
  float min_vehicle_score = 0.35F;
  std::vector<std::string> vehicle_labels = {"", "", "car", "motorcycle", "", "bus", "", "truck"};
  std::vector<std::string> grammars;
};

// What counts as a plate.
struct PlateOptions {
  std::optional<float> min_confidence;  // Nothing: what calibration of the reader says.
  bool require_grammar = false;
  int looked_at_again = 1;  // Plates of a picture at most, of those whose reading is in doubt.
  int min_vehicle_width = 0;
  int min_width = 30;  // Pixels of the picture.
  int min_height = 8;
  std::vector<cv::Point2f> region;  // Parts of width and height; empty: everywhere.
};

struct EventOptions {
  std::string camera_id;  // "": the name of the instance.
  std::string checkpoint_id = "main";
  bool annotated_image = true;
  bool cropped_plates = true;
  int jpeg_quality = 85;
  int image_width = 1280;  // Wider annotated images are made smaller.
};

struct Options {
  SourceKind source = SourceKind::kNone;
  FolderOptions folder;
  CameraOptions camera;
  ModelOptions models;
  PlateOptions plates;
  EventOptions events;
  TrackerOptions tracker;
  bool tracking = true;
  Direction direction = Direction::kAny;
  int queue = 4;       // Pictures that wait.
  double max_fps = 0;  // 0: every picture.
  PictureLimits limits;
  absl::TimeZone zone = absl::UTCTimeZone();
};

// Reads a config that has passed the schema, defaults filled in. False: *error says what the schema
// could not.
bool ReadOptions(std::string_view config_json, Options* options, OptionsError* error);

}  // namespace viaduct::hailo_lpr
