#include "core/lpr/gateway_report.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "core/base/string_view.h"
#include "core/lpr/payload.h"
#include "core/message/envelope.h"
#include "core/message/json_scanner.h"
#include "core/store/records.h"

namespace viaduct {
namespace {

constexpr double kMaxWholeNumber = 9007199254740992;  // 2^53
constexpr double kMaxSeconds = 100.0 * 366 * 24 * 3600;
constexpr double kMaxMillis = 1e9;
constexpr size_t kMaxElements = 1'000;  // Of a list that is read; more make it none.
constexpr int kMaxDepth = 16;
constexpr size_t kMaxWordBytes = 32;  // A state, a reason.

void WriteShare(std::string_view key, const std::optional<double>& share, JsonWriter* json) {
  json->Key(key);
  share.has_value() ? json->Real(*share) : json->Null();
}

void WriteText(std::string_view key, const std::string& text, JsonWriter* json) {
  json->Key(key);
  text.empty() ? json->Null() : json->String(text);
}

void WriteRoad(const RoadReport& road, JsonWriter* json) {
  json->BeginObject().Field("link", std::string_view(road.name));
  json->Field("plugin", std::string_view(road.plugin));
  json->Field("state", std::string_view(road.state));
  json->Field("ready", road.ready).Field("breaker", std::string_view(road.breaker));
  json->Field("metered", road.metered);
  WriteShare("share", road.share, json);
  WriteShare("recent_share", road.recent_share, json);
  json->Field("confirmed", road.confirmed);
  WriteShare("success_rate", road.success_rate, json);
  WriteShare("recent_success_rate", road.recent_success_rate, json);
  json->Key("latency_ms").BeginObject().Key("p50").Real(road.latency_p50_ms);
  json->Key("p90").Real(road.latency_p90_ms).Key("p99").Real(road.latency_p99_ms).EndObject();
  json->Field("quality", std::string_view(road.quality));
  json->Key("score").Real(road.score).EndObject();
}

void WriteSwitch(const RoadSwitchReport& one, JsonWriter* json) {
  json->BeginObject().Field("at", one.at);
  WriteText("from", one.from, json);
  json->Field("to", std::string_view(one.to)).Field("reason", std::string_view(one.reason));
  json->Field("why", std::string_view(one.why)).EndObject();
}

// The members of an object that somebody has sent.
class Members {
 public:
  explicit Members(const std::vector<JsonMember>& members) : members_(members) {}

  // Nothing where it is not there or has another type.
  const JsonSlice* Find(std::string_view name, JsonType type) const {
    for (const JsonMember& member : members_) {
      if (member.key == name && member.value.type == type) return &member.value;
    }
    return nullptr;
  }
  std::string Text(std::string_view name, size_t max_bytes) const {
    const JsonSlice* const value = Find(name, JsonType::kString);
    if (value == nullptr) return "";
    return std::string(CutText(DecodeJsonString(value->text), max_bytes));
  }
  std::optional<double> Number(std::string_view name, double most) const {
    const JsonSlice* const value = Find(name, JsonType::kNumber);
    double number = 0;
    if (value == nullptr || !absl::SimpleAtod(AbslView(value->text), &number) || !(number >= 0) ||
        number > most) {
      return std::nullopt;
    }
    return number;
  }
  std::optional<double> Share(std::string_view name) const { return Number(name, 1); }
  int64_t Count(std::string_view name) const {
    return static_cast<int64_t>(std::floor(Number(name, kMaxWholeNumber).value_or(0)));
  }
  bool Flag(std::string_view name) const { return Find(name, JsonType::kTrue) != nullptr; }
  absl::Time Time(std::string_view name) const {
    return ParseTimestamp(Text(name, kMaxWordBytes + 32), absl::UTCTimeZone())
        .value_or(absl::InfinitePast());
  }
  std::vector<JsonMember> Object(std::string_view name) const {
    std::vector<JsonMember> members;
    const JsonSlice* const value = Find(name, JsonType::kObject);
    if (value == nullptr || !Scanner(value->text).ScanObject(&members).ok()) members.clear();
    return members;
  }
  // The first `most` objects of a list.
  std::vector<JsonElement> Objects(std::string_view name, size_t most) const {
    std::vector<JsonElement> elements;
    const JsonSlice* const value = Find(name, JsonType::kArray);
    if (value == nullptr || !Scanner(value->text).ScanArray(kMaxElements, &elements).ok())
      return {};
    elements.erase(std::remove_if(elements.begin(), elements.end(),
                                  [](const JsonElement& element) {
                                    return element.value.type != JsonType::kObject;
                                  }),
                   elements.end());
    if (elements.size() > most) elements.resize(most);
    return elements;
  }
  static JsonScanner Scanner(std::string_view text) {
    JsonScanLimits limits;
    limits.max_bytes = text.size();
    limits.max_depth = kMaxDepth;
    return JsonScanner(text, limits);
  }

 private:
  const std::vector<JsonMember>& members_;
};

RoadReport ReadRoad(const Members& from) {
  constexpr size_t kName = GatewayReport::kMaxNameBytes;
  RoadReport road;
  road.name = from.Text("link", kName);
  road.plugin = from.Text("plugin", kName);
  road.state = from.Text("state", kMaxWordBytes);
  road.ready = from.Flag("ready");
  road.breaker = from.Text("breaker", kMaxWordBytes);
  road.metered = from.Flag("metered");
  road.share = from.Share("share");
  road.recent_share = from.Share("recent_share");
  road.confirmed = from.Count("confirmed");
  road.success_rate = from.Share("success_rate");
  road.recent_success_rate = from.Share("recent_success_rate");
  const std::vector<JsonMember> latency = from.Object("latency_ms");
  road.latency_p50_ms = Members(latency).Number("p50", kMaxMillis).value_or(0);
  road.latency_p90_ms = Members(latency).Number("p90", kMaxMillis).value_or(0);
  road.latency_p99_ms = Members(latency).Number("p99", kMaxMillis).value_or(0);
  road.quality = from.Text("quality", kMaxWordBytes);
  road.score = from.Share("score").value_or(0);
  return road;
}

RoadSwitchReport ReadSwitch(const Members& from) {
  return {from.Time("at"), from.Text("from", GatewayReport::kMaxNameBytes),
          from.Text("to", GatewayReport::kMaxNameBytes), from.Text("reason", kMaxWordBytes),
          from.Text("why", GatewayReport::kMaxWhyBytes)};
}

FileReport ReadFile(const Members& from) {
  FileReport file;
  file.id = from.Text("transfer_id", GatewayReport::kMaxNameBytes);
  file.name = from.Text("name", GatewayReport::kMaxFileNameBytes);
  file.size = from.Count("size");
  file.sent = std::min(from.Count("sent"), file.size);
  file.status = from.Text("status", kMaxWordBytes);
  file.road = from.Text("road", GatewayReport::kMaxNameBytes);
  file.updated_at = from.Time("updated_at");
  return file;
}

void Cut(size_t max_bytes, std::string* text) {
  if (text->size() > max_bytes) *text = std::string(CutText(*text, max_bytes));
}

template <typename List>
void KeepLast(size_t most, List* list) {
  if (list->size() > most) list->erase(list->begin(), list->end() - static_cast<int64_t>(most));
}

// Instances have short names; those of files are anybody's.
void Bound(GatewayReport* report) {
  if (report->links.size() > GatewayReport::kMaxRoads) {
    report->links.resize(GatewayReport::kMaxRoads);
  }
  KeepLast(GatewayReport::kMaxSwitches, &report->switches);
  if (report->files.size() > GatewayReport::kMaxFiles) {
    report->files.resize(GatewayReport::kMaxFiles);
  }
  for (RoadSwitchReport& one : report->switches) Cut(GatewayReport::kMaxWhyBytes, &one.why);
  for (FileReport& file : report->files) Cut(GatewayReport::kMaxFileNameBytes, &file.name);
}

bool Works(const RoadReport& road) { return road.state == "ready"; }
bool Counts(const RoadReport& road) { return road.state != "stopped"; }

std::string WritePayload(const GatewayReport& report, std::string_view node_id, absl::Time now) {
  const auto of = std::count_if(report.links.begin(), report.links.end(), Counts);
  const auto ready = std::count_if(report.links.begin(), report.links.end(), Works);
  JsonWriter json;
  json.BeginObject().Field("type", kHealthType).Field("camera_id", node_id);
  json.Field("checkpoint_id", node_id).Field("timestamp", now);
  json.Field("component", kGatewayComponent).Field("status", GatewayStatus(report));
  json.Field("message", std::string_view(absl::StrCat(ready, " of ", of, " roads are ready")));
  json.Key("details").BeginObject().Key("interval_s").Real(report.interval_s);
  WriteRoads(report, &json);
  WriteFiles(report.files, &json);
  json.EndObject().EndObject();
  return json.Take();
}

}  // namespace

std::string_view GatewayStatus(const GatewayReport& report) {
  const auto of = std::count_if(report.links.begin(), report.links.end(), Counts);
  const auto ready = std::count_if(report.links.begin(), report.links.end(), Works);
  if (ready == 0) return "error";
  return ready == of ? "healthy" : "warning";
}

void WriteRoads(const GatewayReport& report, JsonWriter* json) {
  json->Key("links").BeginArray();
  for (const RoadReport& road : report.links) WriteRoad(road, json);
  json->EndArray().Key("switches").BeginArray();
  for (const RoadSwitchReport& one : report.switches) WriteSwitch(one, json);
  json->EndArray().Key("backlog");
  if (!report.backlog.has_value()) {
    json->Null();
    return;
  }
  json->BeginObject().Field("messages", report.backlog->messages);
  json->Field("bytes", report.backlog->bytes);
  json->Key("oldest_s").Real(report.backlog->oldest_s).EndObject();
}

void WriteFile(const FileReport& file, JsonWriter* json) {
  json->BeginObject().Field("transfer_id", std::string_view(file.id));
  json->Field("name", std::string_view(file.name)).Field("size", file.size);
  json->Field("sent", file.sent).Field("status", std::string_view(file.status));
  WriteText("road", file.road, json);
  json->Field("updated_at", file.updated_at).EndObject();
}

void WriteFiles(const std::vector<FileReport>& files, JsonWriter* json) {
  json->Key("files").BeginArray();
  for (const FileReport& file : files) WriteFile(file, json);
  json->EndArray();
}

std::string GatewayPayload(GatewayReport report, std::string_view node_id, absl::Time now) {
  Bound(&report);
  std::string payload = WritePayload(report, node_id, now);
  if (payload.size() <= GatewayReport::kMaxBytes) return payload;
  report.files.clear();
  report.switches.clear();
  return WritePayload(report, node_id, now);
}

GatewayReport ReadGatewayPayload(std::string_view payload_json) {
  GatewayReport report;
  std::vector<JsonMember> payload;
  if (!Members::Scanner(payload_json).ScanObject(&payload).ok()) return report;
  const std::vector<JsonMember> details = Members(payload).Object("details");
  const Members from(details);
  report.interval_s = from.Number("interval_s", kMaxSeconds).value_or(0);
  for (const JsonElement& one : from.Objects("links", GatewayReport::kMaxRoads)) {
    report.links.push_back(ReadRoad(Members(one.members)));
  }
  for (const JsonElement& one : from.Objects("switches", GatewayReport::kMaxSwitches)) {
    report.switches.push_back(ReadSwitch(Members(one.members)));
  }
  for (const JsonElement& one : from.Objects("files", GatewayReport::kMaxFiles)) {
    report.files.push_back(ReadFile(Members(one.members)));
  }
  const std::vector<JsonMember> backlog = from.Object("backlog");
  if (!backlog.empty()) {
    report.backlog =
        BacklogReport{Members(backlog).Count("messages"), Members(backlog).Count("bytes"),
                      Members(backlog).Number("oldest_s", kMaxSeconds).value_or(0)};
  }
  return report;
}

}  // namespace viaduct
