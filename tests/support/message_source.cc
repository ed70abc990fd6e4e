#include "tests/support/message_source.h"

#include <cstdio>
#include <ctime>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "tests/support/digest.h"

namespace viaduct::support {
namespace {

constexpr char kIdSlot[] = "@ID@";
constexpr char kTimeSlot[] = "@TIME@";

nlohmann::json Payload(const MessageSpec& spec) {
  nlohmann::json plate = {{"bbox", {412, 318, 521, 352}}, {"confidence", 0.93}, {"text", kIdSlot}};
  nlohmann::json vehicle = {{"bbox", {300, 120, 680, 410}}, {"class", "car"}, {"confidence", 0.91}};
  nlohmann::json payload = {{"type", "detection_result"},
                            {"camera_id", spec.camera_id},
                            {"checkpoint_id", spec.checkpoint_id},
                            {"timestamp", kTimeSlot},
                            {"vehicles_count", 1},
                            {"plates_count", 1},
                            {"ocr_results", nlohmann::json::array({std::move(plate)})},
                            {"vehicle_detections", nlohmann::json::array({std::move(vehicle)})},
                            {"processing_time_ms", 41.5}};
  if (!spec.image.empty()) payload["annotated_image"] = absl::Base64Escape(spec.image);
  return payload;
}

std::string FormatMillis(int64_t unix_ms) {
  const time_t seconds = static_cast<time_t>(unix_ms / 1000);
  tm parts{};
  gmtime_r(&seconds, &parts);
  char text[64];
  std::snprintf(text, sizeof text, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", parts.tm_year + 1900,
                parts.tm_mon + 1, parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec,
                static_cast<int>(unix_ms % 1000));
  return text;
}

}  // namespace

MessageSource::MessageSource(MessageSpec spec) : spec_(std::move(spec)) {
  const nlohmann::json payload = Payload(spec_);
  payload_ = Cut(payload.dump());
  view_ = Cut(DigestView(payload));
  const std::string hash = Sha256Hex(spec_.prefix);
  uuid_head_ = absl::StrCat(hash.substr(0, 8), "-", hash.substr(8, 4), "-7", hash.substr(12, 3),
                            "-8", hash.substr(15, 3), "-");
}

MessageSource::Template MessageSource::Cut(const std::string& text) {
  Template t;
  size_t from = 0;
  for (;;) {
    const size_t id = text.find(kIdSlot, from);
    const size_t time = text.find(kTimeSlot, from);
    const size_t at = std::min(id, time);
    if (at == std::string::npos) break;
    t.pieces.push_back(text.substr(from, at - from));
    t.slots.push_back(id < time ? 'i' : 't');
    from = at + (id < time ? sizeof kIdSlot : sizeof kTimeSlot) - 1;
  }
  t.pieces.push_back(text.substr(from));
  return t;
}

void MessageSource::Render(const Template& t, const Message& m, std::string* out) {
  for (size_t i = 0; i < t.slots.size(); ++i) {
    out->append(t.pieces[i]);
    out->append(t.slots[i] == 'i' ? m.id : m.timestamp);
  }
  out->append(t.pieces.back());
}

Message MessageSource::Next(bool with_digest) {
  const uint64_t n = ++next_;
  char number[32];
  Message m;
  std::snprintf(number, sizeof number, "%08llu", static_cast<unsigned long long>(n));
  m.id = spec_.prefix + number;
  std::snprintf(number, sizeof number, "%012llx", static_cast<unsigned long long>(n));
  m.message_id = uuid_head_ + number;
  m.timestamp = FormatMillis(spec_.start_unix_ms + static_cast<int64_t>(n));
  if (with_digest) {
    std::string view;
    Render(view_, m, &view);
    m.digest = ViewDigest(view);
  }
  return m;
}

void MessageSource::AppendPayload(const Message& message, std::string* out) const {
  Render(payload_, message, out);
}

void MessageSource::AppendEnvelope(const Message& message, std::string* out) const {
  absl::StrAppend(out, "{\"message_id\":\"", message.message_id, "\",\"timestamp\":\"",
                  message.timestamp, "\",\"protocol\":\"rest\",\"edge_device_id\":\"",
                  spec_.camera_id, "\",\"data_type\":\"detection\",\"payload\":");
  AppendPayload(message, out);
  out->append(
      ",\"metadata\":{\"protocol_version\":\"1.0\",\"compression\":false,\"encryption\":false");
  if (!spec_.priority.empty()) absl::StrAppend(out, ",\"priority\":\"", spec_.priority, "\"");
  out->append("}}");
}

}  // namespace viaduct::support
