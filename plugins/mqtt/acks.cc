#include "plugins/mqtt/acks.h"

#include <nlohmann/json.hpp>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "plugins/common/retry_after.h"

namespace viaduct::mqtt {
namespace {

using Json = nlohmann::json;

constexpr size_t kMaxErrorBytes = 512;
constexpr size_t kMaxIdBytes = 256;
constexpr size_t kMaxFactBytes = 255;

std::string TextOf(const Json& object, const char* key, size_t max_bytes) {
  const auto it = object.find(key);
  if (it == object.end() || !it->is_string()) return "";
  return it->get_ref<const std::string&>().substr(0, max_bytes);
}

AckWord WordOf(const std::string& status) {
  if (status == "stored" || status == "processed") return AckWord::kStored;
  if (status == "duplicate") return AckWord::kDuplicate;
  if (status == "rejected") return AckWord::kRejected;
  return AckWord::kLater;
}

void ReadAck(const Json& object, std::vector<Ack>* acks) {
  if (!object.is_object()) return;
  Ack ack;
  ack.message_id = TextOf(object, "message_id", kMaxIdBytes);
  if (ack.message_id.empty()) return;
  ack.word = WordOf(TextOf(object, "status", kMaxIdBytes));
  ack.error = TextOf(object, "error", kMaxErrorBytes);
  if (ack.word == AckWord::kLater) ack.retry_after = RetryAfterIn(object);
  acks->push_back(std::move(ack));
}

Json Parse(std::string_view payload) {
  return Json::parse(payload.begin(), payload.end(), nullptr, /*allow_exceptions=*/false);
}

}  // namespace

bool ReadAcks(std::string_view payload, std::vector<Ack>* acks) {
  const Json json = Parse(payload);
  acks->clear();
  if (json.is_array()) {
    for (const Json& item : json) ReadAck(item, acks);
  } else {
    ReadAck(json, acks);
  }
  return !acks->empty();
}

std::string ReadMessageId(std::string_view payload) {
  const Json json = Parse(payload);
  return json.is_object() ? TextOf(json, "message_id", kMaxIdBytes) : "";
}

std::string JoinEnvelopes(const std::vector<std::string_view>& envelopes) {
  if (envelopes.size() == 1) return std::string(envelopes.front());
  size_t bytes = 2;
  for (const std::string_view envelope : envelopes) bytes += envelope.size() + 1;
  std::string out;
  out.reserve(bytes);
  for (const std::string_view envelope : envelopes) {
    out += out.empty() ? '[' : ',';
    out += envelope;
  }
  out += out.empty() ? "[]" : "]";
  return out;
}

NodeFacts ReadFacts(std::string_view introduction) {
  const Json json = Parse(introduction);
  if (!json.is_object()) return {};
  return {TextOf(json, "hostname", kMaxFactBytes), TextOf(json, "version", kMaxFactBytes)};
}

std::string StatusPayload(std::string_view device_id, std::string_view status, long long wall_ns,
                          const NodeFacts& facts) {
  Json json = {{"device_id", device_id}, {"status", status}};
  if (!facts.hostname.empty()) json["hostname"] = facts.hostname;
  if (!facts.version.empty()) json["version"] = facts.version;
  if (wall_ns != 0) {
    json["timestamp"] =
        absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", absl::FromUnixNanos(wall_ns), absl::UTCTimeZone());
  }
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace viaduct::mqtt
