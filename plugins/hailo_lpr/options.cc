#include "plugins/hailo_lpr/options.h"

#include <map>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "plugins/common/option_members.h"

namespace viaduct::hailo_lpr {
namespace {

using Json = nlohmann::json;

constexpr size_t kFewestCorners = 3;

// A word of the configuration as one of an enum.
template <typename T>
void ReadWord(OptionMembers* config, const char* key, const std::map<std::string, T>& words,
              T* out) {
  std::string word;
  config->Read(key, &word);
  if (word.empty()) return;
  const auto found = words.find(word);
  if (found == words.end()) return config->Mistake(key, absl::StrCat("unknown, ", word));
  *out = found->second;
}

template <typename T>
void ReadOptional(OptionMembers* config, const char* key, std::optional<T>* out) {
  if (!config->Has(key)) return;
  T value{};
  config->Read(key, &value);
  *out = value;
}

bool IsAbsolute(const std::string& path) {
  return !path.empty() && path[0] == '/' && path.find('\0') == std::string::npos;
}

void ReadSource(OptionMembers* config, Options* options) {
  ReadWord<SourceKind>(config, "source",
                       {{"none", SourceKind::kNone},
                        {"folder", SourceKind::kFolder},
                        {"video", SourceKind::kVideo},
                        {"v4l2", SourceKind::kV4l2},
                        {"rtsp", SourceKind::kRtsp},
                        {"libcamera", SourceKind::kLibcamera}},
                       &options->source);
  std::string path;
  config->Read("path", &path);
  const bool of_files =
      options->source == SourceKind::kFolder || options->source == SourceKind::kVideo;
  if (of_files && !IsAbsolute(path)) config->Mistake("path", "missing or not absolute");
  if (!of_files && !path.empty()) config->Mistake("path", "goes with a folder or video only");
  options->folder.path = path;
  options->camera.file = path;
  // What is found in a folder need not be of one camera, nor in order.
  options->tracking = options->source != SourceKind::kFolder;
  config->Read("tracking", &options->tracking);
}

void ReadFolder(OptionMembers* config, FolderOptions* folder) {
  ReadWord<After>(config, "after",
                  {{"keep", After::kKeep}, {"move", After::kMove}, {"delete", After::kDelete}},
                  &folder->after);
  config->Read("move_to", &folder->move_to);
  config->ReadSeconds("settle", &folder->settle);
  if (folder->after == After::kMove && !IsAbsolute(folder->move_to)) {
    config->Mistake("move_to", "missing or not absolute");
  } else if (folder->after != After::kMove && !folder->move_to.empty()) {
    config->Mistake("move_to", "goes with after: move only");
  } else if (folder->after == After::kMove && folder->move_to == folder->path) {
    config->Mistake("move_to", "is the folder that is watched");
  }
}

void ReadUrl(OptionMembers* config, CameraOptions* camera) {
  config->Read("url", &camera->url);
  config->Read("username", &camera->username);
  config->Read("password", &camera->password);
  const size_t scheme_end = camera->url.find("://");
  const std::string scheme = camera->url.substr(0, scheme_end);
  const bool known = scheme == "rtsp" || scheme == "rtsps" || scheme == "http" || scheme == "https";
  if (scheme_end == std::string::npos || !known) {
    return config->Mistake("url", "expected rtsp, rtsps, http or https and ://");
  }
  const std::string host = camera->url.substr(scheme_end + 3);
  if (host.substr(0, host.find('/')).find('@') != std::string::npos) {
    return config->Mistake("url", "has a user, which goes into username and password");
  }
  if (!camera->password.empty() && camera->username.empty()) {
    config->Mistake("username", "missing, a password needs one");
  }
}

void ReadCamera(OptionMembers* config, SourceKind source, CameraOptions* camera) {
  if (source == SourceKind::kRtsp) ReadUrl(config, camera);
  ReadWord<bool>(config, "pace", {{"real_time", true}, {"fast", false}}, &camera->real_time);
  config->Read("loop", &camera->loop);
  config->Read("device", &camera->device);
  config->Read("pipeline", &camera->pipeline);
  config->Read("width", &camera->width);
  config->Read("height", &camera->height);
  config->Read("fps", &camera->fps);
  config->ReadSeconds("stall_timeout", &camera->stall_timeout);
  config->ReadSeconds("reconnect_after", &camera->reconnect_after);
  config->ReadSeconds("reconnect_at_most", &camera->reconnect_at_most);
  std::string recorded_at;
  config->Read("recorded_at", &recorded_at);
  if (recorded_at.empty()) return;
  absl::Time time;
  std::string error;
  if (!absl::ParseTime(absl::RFC3339_full, recorded_at, &time, &error)) {
    return config->Mistake("recorded_at", absl::StrCat("no time as 2024-01-15T10:30:00Z, ", error));
  }
  camera->recorded_at = time;
}

void ReadSize(OptionMembers* config, const char* key, int* width, int* height) {
  std::vector<int> size = {*width, *height};
  config->Read(key, &size);
  if (size.size() != 2) return config->Mistake(key, "expected width and height");
  *width = size[0];
  *height = size[1];
}

void ReadModels(OptionMembers* config, ModelOptions* models) {
  config->Read("data", &models->data);
  config->Read("backend", &models->backend);
  config->Read("library", &models->library);
  config->Read("threads", &models->threads);
  config->ReadSeconds("model_timeout", &models->timeout);
  config->Read("reader", &models->reader);
  config->Read("plate_model", &models->plate_model);
  config->Read("plate_output", &models->plate_output);
  ReadSize(config, "plate_size", &models->plate_width, &models->plate_height);
  config->Read("min_plate_score", &models->min_plate_score);
  ReadWord<VehicleFinder>(config, "vehicles",
                          {{"none", VehicleFinder::kNone},
                           {"motion", VehicleFinder::kMotion},
                           {"model", VehicleFinder::kModel}},
                          &models->vehicle_finder);
  config->Read("vehicle_model", &models->vehicle_model);
  config->Read("vehicle_output", &models->vehicle_output);
  ReadSize(config, "vehicle_size", &models->vehicle_width, &models->vehicle_height);
  config->Read("min_vehicle_score", &models->min_vehicle_score);
  config->Read("vehicle_labels", &models->vehicle_labels);
  config->Read("grammars", &models->grammars);
  const bool wanted = models->vehicle_finder == VehicleFinder::kModel;
  if (wanted == models->vehicle_model.empty()) {
    config->Mistake("vehicle_model",
                    wanted ? "missing, vehicles is model" : "goes with vehicles: model only");
  }
}

void ReadPlates(OptionMembers* config, const ModelOptions& models, PlateOptions* plates) {
  ReadOptional(config, "min_confidence", &plates->min_confidence);
  config->Read("require_grammar", &plates->require_grammar);
  config->Read("looked_at_again", &plates->looked_at_again);
  config->Read("min_vehicle_width", &plates->min_vehicle_width);
  config->Read("min_plate_width", &plates->min_width);
  config->Read("min_plate_height", &plates->min_height);
  if (plates->require_grammar && models.grammars.empty()) {
    config->Mistake("require_grammar", "wants grammars");
  }
  std::vector<std::vector<float>> corners;
  config->Read("region", &corners);
  if (!corners.empty() && corners.size() < kFewestCorners) {
    return config->Mistake("region", "has fewer than three corners");
  }
  for (const std::vector<float>& corner : corners) {
    if (corner.size() != 2) return config->Mistake("region", "a corner is not [x, y]");
    plates->region.emplace_back(corner[0], corner[1]);
  }
}

void ReadTracking(OptionMembers* config, Options* options) {
  ReadWord<Direction>(config, "direction",
                      {{"any", Direction::kAny},
                       {"down", Direction::kDown},
                       {"up", Direction::kUp},
                       {"left", Direction::kLeft},
                       {"right", Direction::kRight}},
                      &options->direction);
  TrackerOptions* tracker = &options->tracker;
  config->ReadSeconds("lost_after", &tracker->lost_after);
  config->ReadSeconds("longest_pass", &tracker->longest_pass);
  config->ReadSeconds("again_after", &tracker->again_after);
  config->Read("least_seen", &tracker->least_seen);
  if (options->direction != Direction::kAny && !options->tracking) {
    config->Mistake("direction", "wants tracking");
  }
}

void ReadEvents(OptionMembers* config, EventOptions* events) {
  config->Read("camera_id", &events->camera_id);
  config->Read("checkpoint_id", &events->checkpoint_id);
  config->Read("annotated_image", &events->annotated_image);
  config->Read("cropped_plates", &events->cropped_plates);
  config->Read("jpeg_quality", &events->jpeg_quality);
  config->Read("image_width", &events->image_width);
}

}  // namespace

bool ReadOptions(std::string_view config_json, Options* options, OptionsError* error) {
  Json json = Json::parse(config_json, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) {
    *error = {"", "config: not an object"};
    return false;
  }
  OptionMembers config(std::move(json));
  ReadSource(&config, options);
  if (options->source == SourceKind::kFolder) ReadFolder(&config, &options->folder);
  ReadCamera(&config, options->source, &options->camera);
  ReadModels(&config, &options->models);
  ReadPlates(&config, options->models, &options->plates);
  ReadTracking(&config, options);
  ReadEvents(&config, &options->events);
  config.Read("queue", &options->queue);
  config.Read("max_fps", &options->max_fps);
  config.Read("max_pixels", &options->limits.max_pixels);
  std::string zone = "UTC";
  config.Read("timezone", &zone);
  if (!absl::LoadTimeZone(zone, &options->zone)) {
    config.Mistake("timezone", absl::StrCat("unknown, ", zone));
  }
  if (config.wrong_message().empty()) return true;
  *error = {config.wrong_pointer(), config.wrong_message()};
  return false;
}

}  // namespace viaduct::hailo_lpr
