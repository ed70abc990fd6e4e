#include "plugins/hailo_lpr/event.h"

#include <openssl/evp.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"

namespace viaduct::hailo_lpr {
namespace {

using Json = nlohmann::json;

constexpr size_t kUuidBytes = 16;

std::string TimeText(int64_t ns) {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", absl::FromUnixNanos(ns), absl::UTCTimeZone());
}

double Rounded(double value, double parts) { return std::round(value * parts) / parts; }
double Pixels(float value) { return Rounded(static_cast<double>(value), 10); }
double Share(float value) { return Rounded(static_cast<double>(value), 10'000); }
double Millis(double value) { return Rounded(value, 100); }

Json BoxJson(const Box& box) {
  return {Pixels(box.left), Pixels(box.top), Pixels(box.right), Pixels(box.bottom)};
}

Json ReadingJson(const Reading& reading) {
  Json out = {{"text", reading.text()}, {"confidence", Share(reading.confidence)}};
  if (!reading.province.empty()) {
    out["province"] = reading.province;
    out["province_confidence"] = Share(reading.province_confidence);
  }
  return out;
}

Json OcrJson(const EventPlate& plate) {
  Json out = ReadingJson(plate.reading);
  out["bbox"] = BoxJson(plate.box);
  if (!plate.grammar.empty()) out["grammar"] = plate.grammar;
  out["alternatives"] = Json::array();
  for (const auto& [text, share] : plate.alternatives) {
    out["alternatives"].push_back({{"text", text}, {"confidence", Share(share)}});
  }
  if (plate.seen == 0) return out;
  out["pictures"] = plate.seen;
  out["first_seen"] = TimeText(plate.first_ns);
  out["last_seen"] = TimeText(plate.last_ns);
  if (!plate.direction.empty()) out["direction"] = plate.direction;
  return out;
}

Json TimesJson(const StageTimes& times) {
  return {{"decode", Millis(times.decode)},
          {"vehicles", Millis(times.vehicles)},
          {"plates", Millis(times.plates)},
          {"read", Millis(times.read)},
          {"encode", Millis(times.encode)}};
}

Json PayloadJson(const PlateEvent& event) {
  Json out = {{"type", "detection_result"},
              // A plate that was read is on a vehicle, seen or not.
              {"vehicles_count", std::max(event.vehicles.size(), event.plates.size())},
              {"plates_count", event.plates.size()},
              {"vehicle_detections", Json::array()},
              {"plate_detections", Json::array()},
              {"ocr_results", Json::array()},
              {"processing_time_ms", Millis(event.times.total())},
              {"stages", TimesJson(event.times)},
              {"image", {{"width", event.size.width}, {"height", event.size.height}}}};
  if (!event.camera_id.empty()) out["camera_id"] = event.camera_id;
  if (!event.checkpoint_id.empty()) out["checkpoint_id"] = event.checkpoint_id;
  if (event.capture_ns != 0) out["timestamp"] = TimeText(event.capture_ns);
  for (const Vehicle& vehicle : event.vehicles) {
    out["vehicle_detections"].push_back({{"bbox", BoxJson(vehicle.box)},
                                         {"score", Share(vehicle.score)},
                                         {"label", vehicle.label}});
  }
  for (const EventPlate& plate : event.plates) {
    out["plate_detections"].push_back({{"bbox", BoxJson(plate.box)},
                                       {"score", Share(plate.reading.confidence)},
                                       {"label", "plate"}});
    out["ocr_results"].push_back(OcrJson(plate));
  }
  return out;
}

Json CandidateJson(const PlateSeen& seen, size_t readings) {
  Json out = {{"bbox", BoxJson(seen.plate.box)},
              {"score", Rounded(static_cast<double>(seen.plate.score), 1000)},
              {"accepted", seen.accepted},
              {"readings", Json::array()}};
  for (size_t i = 0; i < std::min(readings, seen.readings.size()); ++i) {
    Json reading = ReadingJson(seen.readings[i]);
    if (i == 0 && !seen.grammar.empty()) reading["grammar"] = seen.grammar;
    out["readings"].push_back(std::move(reading));
  }
  return out;
}

// Names of cameras come from outside.
std::string Dump(const Json& json) {
  return json.dump(-1, ' ', /*ensure_ascii=*/false, Json::error_handler_t::replace);
}

}  // namespace

std::string ResultJson(const PlateEvent& event, const Candidates& candidates) {
  Json out = PayloadJson(event);
  out["min_confidence"] = Share(candidates.analysis->min_confidence);
  out["candidates"] = Json::array();
  for (const PlateSeen& seen : candidates.analysis->plates) {
    out["candidates"].push_back(CandidateJson(seen, candidates.readings));
  }
  return Dump(out);
}

std::string DetectionJson(const PlateEvent& event, int64_t sent_ns) {
  Json out = PayloadJson(event);
  out["message_id"] = MessageId(event);
  out["sent_at"] = TimeText(sent_ns);
  if (!event.annotated.empty()) out["annotated_image"] = absl::Base64Escape(event.annotated);
  Json crops = Json::array();
  for (const EventPlate& plate : event.plates) {
    if (!plate.crop.empty()) crops.push_back(absl::Base64Escape(plate.crop));
  }
  if (!crops.empty()) out["cropped_plates"] = std::move(crops);
  return Dump(out);
}

std::string MessageId(const PlateEvent& event) {
  std::string key =
      absl::StrCat(event.camera_id, "\n", event.checkpoint_id, "\n", event.capture_ns / 1'000'000);
  for (const EventPlate& plate : event.plates) absl::StrAppend(&key, "\n", plate.reading.text());
  unsigned char digest[EVP_MAX_MD_SIZE] = {};
  unsigned size = 0;
  EVP_Digest(key.data(), key.size(), digest, &size, EVP_sha256(), nullptr);
  // Version 8, "of one's own making" (RFC 9562), and its variant.
  digest[6] = static_cast<unsigned char>((digest[6] & 0x0f) | 0x80);
  digest[8] = static_cast<unsigned char>((digest[8] & 0x3f) | 0x80);
  const std::string hex = absl::BytesToHexString(
      absl::string_view(static_cast<const char*>(static_cast<const void*>(digest)), kUuidBytes));
  return absl::StrCat(hex.substr(0, 8), "-", hex.substr(8, 4), "-", hex.substr(12, 4), "-",
                      hex.substr(16, 4), "-", hex.substr(20));
}

}  // namespace viaduct::hailo_lpr
