#include "tests/support/link_commands.h"

#include <arpa/inet.h>
#include <sys/un.h>

#include <algorithm>
#include <fstream>
#include <set>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "core/base/string_view.h"

namespace viaduct::support {
namespace {

using Json = nlohmann::json;
using Kind = LinkCommand::Kind;

constexpr int64_t kMaxSeed = int64_t{1} << 53;  // What every JSON program can write.
constexpr int kMaxPrefixBits = 30;              // Two ends have to fit.
constexpr std::pair<std::string_view, Kind> kKinds[] = {
    {"set", Kind::kSet},     {"cut", Kind::kCut},   {"heal", Kind::kHeal},
    {"stats", Kind::kStats}, {"play", Kind::kPlay}, {"stop", Kind::kStop}};

absl::Status Wrong(const std::string& what) { return absl::InvalidArgumentError(what); }

absl::Status At(const std::string& place, const absl::Status& status) {
  if (status.ok()) return status;
  return Wrong(absl::StrCat(place, ": ", status.message()));
}

absl::StatusOr<std::string> ReadFile(const std::string& path, size_t max_bytes) {
  std::ifstream in(path, std::ios::binary);
  std::string text(max_bytes + 1, '\0');
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (in.bad() || !in.is_open()) return Wrong(absl::StrCat(path, ": cannot be read"));
  text.resize(static_cast<size_t>(in.gcount()));
  if (text.size() > max_bytes)
    return Wrong(absl::StrCat(path, ": more than ", max_bytes, " bytes"));
  return text;
}

absl::StatusOr<Json> ParseJson(std::string_view text) {
  Json json = Json::parse(text, nullptr, false);
  if (json.is_discarded()) return Wrong("not JSON");
  return json;
}

absl::Status NeedText(const Json& object, const char* key, size_t max_bytes, std::string* out) {
  VD_RETURN_IF_ERROR(ReadText(object, key, out));
  if (out->empty()) return Wrong(absl::StrCat(key, ": is missing"));
  if (out->size() > max_bytes) return Wrong(absl::StrCat(key, ": more than ", max_bytes, " bytes"));
  if (out->find('\0') != std::string::npos) return Wrong(absl::StrCat(key, ": has a zero byte"));
  return absl::OkStatus();
}

absl::Status ReadAddress(const Json& object, LinkEnd* end) {
  std::string text;
  VD_RETURN_IF_ERROR(NeedText(object, "address", sizeof "255.255.255.255/32", &text));
  const size_t slash = text.find('/');
  end->address = text.substr(0, slash);
  in_addr address{};
  if (slash == std::string::npos || inet_pton(AF_INET, end->address.c_str(), &address) != 1 ||
      !absl::SimpleAtoi(text.substr(slash + 1), &end->prefix_bits) || end->prefix_bits < 1 ||
      end->prefix_bits > kMaxPrefixBits) {
    return Wrong(absl::StrCat("address: must be as 10.77.1.1/30, not ", text));
  }
  return absl::OkStatus();
}

absl::Status ReadEnd(const Json& object, LinkEnd* end) {
  VD_RETURN_IF_ERROR(CheckKeys(object, {"namespace", "device", "address"}, "end"));
  VD_RETURN_IF_ERROR(NeedText(object, "namespace", PATH_MAX - 1, &end->network_namespace));
  VD_RETURN_IF_ERROR(NeedText(object, "device", kMaxLinkNameBytes, &end->device));
  if (end->device.find_first_of("/ %") != std::string::npos) {
    return Wrong(absl::StrCat("device: no name of a device, ", end->device));
  }
  return ReadAddress(object, end);
}

absl::Status ReadLink(const Json& object, LinkConfig* link) {
  VD_RETURN_IF_ERROR(CheckKeys(object, {"name", "ends", "settings"}, "link"));
  VD_RETURN_IF_ERROR(NeedText(object, "name", kMaxLinkNameBytes, &link->name));
  const Json ends = object.value("ends", Json());
  if (!ends.is_array() || ends.size() != 2) return Wrong("ends: must be a list of two");
  for (size_t i = 0; i < 2; ++i) {
    VD_RETURN_IF_ERROR(At(absl::StrCat("ends/", i), ReadEnd(ends[i], &link->ends[i])));
  }
  if (!object.contains("settings")) return absl::OkStatus();
  return ApplySettings(object["settings"], &link->settings);
}

absl::Status ReadLinks(const Json& object, std::vector<LinkConfig>* out) {
  const Json links = object.value("links", Json());
  if (!links.is_array() || links.empty() || links.size() > kMaxLinks) {
    return Wrong(absl::StrCat("links: must be a list of 1 to ", kMaxLinks));
  }
  std::set<std::string> names;
  for (size_t i = 0; i < links.size(); ++i) {
    LinkConfig link;
    VD_RETURN_IF_ERROR(At(absl::StrCat("links/", i), ReadLink(links[i], &link)));
    if (!names.insert(link.name).second) {
      return Wrong(absl::StrCat("links/", i, ": name: twice, ", link.name));
    }
    out->push_back(std::move(link));
  }
  return absl::OkStatus();
}

absl::StatusOr<Kind> ReadKind(const Json& object) {
  std::string word;
  VD_RETURN_IF_ERROR(ReadText(object, "do", &word));
  for (const auto& [name, kind] : kKinds) {
    if (word == name) return kind;
  }
  return Wrong("do: must be set, cut, heal, stats, play or stop");
}

absl::Status ReadTarget(const Json& object, const std::vector<LinkConfig>& links,
                        LinkCommand* command) {
  std::string name, direction;
  VD_RETURN_IF_ERROR(ReadText(object, "link", &name));
  VD_RETURN_IF_ERROR(ReadText(object, "direction", &direction));
  for (size_t i = 0; i < links.size(); ++i) {
    if (!object.contains("link") || links[i].name == name) command->links.push_back(i);
  }
  if (command->links.empty()) {
    return Wrong(absl::StrCat("link: there is none, ", name.substr(0, kMaxLinkNameBytes)));
  }
  if (!object.contains("direction")) return absl::OkStatus();
  for (const Direction one : {kUp, kDown}) {
    command->directions[one] = direction == kDirectionNames[one];
  }
  if (!command->directions[kUp] && !command->directions[kDown]) {
    return Wrong("direction: must be up or down");
  }
  return absl::OkStatus();
}

// `at` is a key of timelines alone.
absl::StatusOr<LinkCommand> ReadCommand(const Json& object, const std::vector<LinkConfig>& links,
                                        bool is_entry) {
  if (!object.is_object()) return Wrong("command: must be a JSON object");
  LinkCommand command;
  VD_ASSIGN_OR_RETURN(command.kind, ReadKind(object));
  Json rest = object;
  if (is_entry) rest.erase("at");
  switch (command.kind) {
    case Kind::kSet: {
      VD_RETURN_IF_ERROR(CheckKeys(rest, {"do", "link", "settings"}, "set"));
      command.settings = object.value("settings", Json());
      LinkSettings scratch;
      VD_RETURN_IF_ERROR(ApplySettings(command.settings, &scratch));
      break;
    }
    case Kind::kCut:
    case Kind::kHeal:
      VD_RETURN_IF_ERROR(CheckKeys(rest, {"do", "link", "direction"}, "command"));
      break;
    case Kind::kPlay:
      VD_RETURN_IF_ERROR(CheckKeys(rest, {"do", "timeline"}, "play"));
      VD_RETURN_IF_ERROR(NeedText(object, "timeline", PATH_MAX - 1, &command.timeline_path));
      break;
    case Kind::kStats:
    case Kind::kStop:
      VD_RETURN_IF_ERROR(CheckKeys(rest, {"do"}, "command"));
      break;
  }
  VD_RETURN_IF_ERROR(ReadTarget(object, links, &command));
  return command;
}

absl::StatusOr<TimelineEntry> ReadEntry(const Json& object, const std::vector<LinkConfig>& links) {
  TimelineEntry entry;
  VD_ASSIGN_OR_RETURN(entry.command, ReadCommand(object, links, true));
  if (entry.command.kind > Kind::kHeal) return Wrong("do: must be set, cut or heal");
  double seconds = 0;
  if (!object.contains("at")) return Wrong("at: is missing");
  VD_RETURN_IF_ERROR(ReadNumber(object, "at", 0, kMaxTimelineSeconds, &seconds));
  entry.at_ns = static_cast<int64_t>(seconds * 1e9);
  return entry;
}

}  // namespace

absl::StatusOr<EmulatorConfig> ParseEmulatorConfig(std::string_view text) {
  VD_ASSIGN_OR_RETURN(const Json json, ParseJson(text));
  VD_RETURN_IF_ERROR(CheckKeys(json, {"seed", "control", "timeline", "links"}, "configuration"));
  EmulatorConfig config;
  if (json.contains("seed")) {
    double seed = 0;
    VD_RETURN_IF_ERROR(ReadNumber(json, "seed", 0, static_cast<double>(kMaxSeed), &seed));
    config.seed = static_cast<uint64_t>(seed);
  }
  VD_RETURN_IF_ERROR(
      NeedText(json, "control", sizeof(sockaddr_un::sun_path) - 1, &config.control_path));
  VD_RETURN_IF_ERROR(ReadText(json, "timeline", &config.timeline_path));
  VD_RETURN_IF_ERROR(ReadLinks(json, &config.links));
  return config;
}

absl::StatusOr<EmulatorConfig> ReadEmulatorConfig(const std::string& path) {
  VD_ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kMaxConfigBytes));
  absl::StatusOr<EmulatorConfig> config = ParseEmulatorConfig(text);
  if (!config.ok()) return At(path, config.status());
  return config;
}

absl::StatusOr<LinkCommand> ParseLinkCommand(std::string_view line,
                                             const std::vector<LinkConfig>& links) {
  VD_ASSIGN_OR_RETURN(const Json json, ParseJson(line));
  return ReadCommand(json, links, false);
}

absl::StatusOr<std::vector<TimelineEntry>> ParseTimeline(std::string_view text,
                                                         const std::vector<LinkConfig>& links) {
  VD_ASSIGN_OR_RETURN(const Json json, ParseJson(text));
  if (!json.is_array() || json.size() > kMaxTimelineEntries) {
    return Wrong(absl::StrCat("must be a list of at most ", kMaxTimelineEntries, " entries"));
  }
  std::vector<TimelineEntry> timeline;
  for (size_t i = 0; i < json.size(); ++i) {
    absl::StatusOr<TimelineEntry> entry = ReadEntry(json[i], links);
    if (!entry.ok()) return At(absl::StrCat("entry ", i), entry.status());
    timeline.push_back(*std::move(entry));
  }
  std::stable_sort(
      timeline.begin(), timeline.end(),
      [](const TimelineEntry& a, const TimelineEntry& b) { return a.at_ns < b.at_ns; });
  return timeline;
}

absl::StatusOr<std::vector<TimelineEntry>> ReadTimeline(const std::string& path,
                                                        const std::vector<LinkConfig>& links) {
  VD_ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kMaxTimelineBytes));
  absl::StatusOr<std::vector<TimelineEntry>> timeline = ParseTimeline(text, links);
  if (!timeline.ok()) return At(path, timeline.status());
  return timeline;
}

}  // namespace viaduct::support
