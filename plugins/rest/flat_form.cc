#include "plugins/rest/flat_form.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace viaduct::rest {
namespace {

// All the same camera, the strongest first.
constexpr std::array<std::string_view, 5> kAliases = {"edge_device_id", "camera_id", "aicamera_id",
                                                      "device_id", "client_id"};

struct Member {
  std::string_view name;   // Without quotes, escapes as they are.
  std::string_view value;  // JSON text.
};

bool IsSpace(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

// Takes the members of an object apart that is known to be valid: nothing is checked, only bounds
// are kept.
class MemberWalk {
 public:
  explicit MemberWalk(std::string_view object) : text_(object) {
    SkipSpace();
    ++at_;  // The brace.
  }

  bool Next(Member* member) {
    SkipSpace();
    if (at_ < text_.size() && text_[at_] == ',') ++at_;
    SkipSpace();
    if (at_ >= text_.size() || text_[at_] != '"') return false;
    const size_t name = at_ + 1;
    SkipString();
    member->name = text_.substr(name, std::max(at_, name + 1) - name - 1);
    SkipSpace();
    ++at_;  // The colon.
    SkipSpace();
    const size_t value = std::min(at_, text_.size());
    SkipValue();
    member->value = text_.substr(value, at_ - value);
    return true;
  }

 private:
  void SkipSpace() {
    while (at_ < text_.size() && IsSpace(text_[at_])) ++at_;
  }
  void SkipString() {
    for (++at_; at_ < text_.size() && text_[at_] != '"'; ++at_) {
      if (text_[at_] == '\\') ++at_;
    }
    at_ = std::min(at_ + 1, text_.size());
  }
  void SkipValue() {
    int depth = 0;
    while (at_ < text_.size()) {
      const char c = text_[at_];
      if (depth == 0 && (c == ',' || c == '}' || IsSpace(c))) return;
      if (c == '"') {
        SkipString();
      } else {
        ++at_;
        if (c == '{' || c == '[') ++depth;
        if (c == '}' || c == ']') --depth;
      }
    }
  }

  const std::string_view text_;
  size_t at_ = 0;
};

std::vector<Member> MembersOf(std::string_view payload) {
  std::vector<Member> members;
  members.reserve(16);
  MemberWalk walk(payload);
  for (Member member; walk.Next(&member);) members.push_back(member);
  return members;
}

bool SaysNothing(std::string_view value) { return value == "null" || value == "\"\""; }

std::string_view Find(const std::vector<Member>& members, std::string_view name) {
  for (const Member& member : members) {
    if (member.name == name && !SaysNothing(member.value)) return member.value;
  }
  return {};
}

const char* TypeOf(FlatKind kind) {
  switch (kind) {
    case FlatKind::kDetection:
      return "detection_result";
    case FlatKind::kHealth:
      return "health_check";
    case FlatKind::kRegistration:
      break;
  }
  return "camera_register";
}

std::string Quoted(std::string_view text) {
  return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::string TimeText(int64_t timestamp_ns) {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", absl::FromUnixNanos(timestamp_ns),
                          absl::UTCTimeZone());
}

std::string CameraOf(const std::vector<Member>& members, std::string_view device_id) {
  for (const std::string_view alias : kAliases) {
    const std::string_view value = Find(members, alias);
    if (!value.empty()) return std::string(value);
  }
  return Quoted(device_id);
}

void Append(std::string_view name, std::string_view value, std::string* out) {
  const auto view = [](std::string_view text) {
    return absl::string_view(text.data(), text.size());
  };
  absl::StrAppend(out, out->size() > 1 ? "," : "", "\"", view(name), "\":", view(value));
}

}  // namespace

const char* FlatPath(FlatKind kind) {
  switch (kind) {
    case FlatKind::kDetection:
      return "/api/detection";
    case FlatKind::kHealth:
      return "/api/health";
    case FlatKind::kRegistration:
      break;
  }
  return "/api/cameras/register";
}

bool IsEncrypted(std::string_view payload) {
  const std::vector<Member> members = MembersOf(payload);
  return members.size() == 1 && members.front().name == "encrypted";
}

bool IsRegistration(std::string_view payload) {
  return Find(MembersOf(payload), "type") == "\"camera_register\"";
}

std::string FlatBody(std::string_view payload, const FlatFacts& facts) {
  const std::vector<Member> members = MembersOf(payload);
  std::string out = "{";
  out.reserve(payload.size() + 192);
  Append("type", Quoted(TypeOf(facts.kind)), &out);
  if (Find(members, "camera_id").empty())
    Append("camera_id", CameraOf(members, facts.device_id), &out);
  if (Find(members, "timestamp").empty())
    Append("timestamp", Quoted(TimeText(facts.timestamp_ns)), &out);
  if (Find(members, "message_id").empty()) Append("message_id", Quoted(facts.message_id), &out);
  for (const Member& member : members) {
    const bool given_above =
        member.name == "type" ||
        (SaysNothing(member.value) &&
         (member.name == "camera_id" || member.name == "timestamp" || member.name == "message_id"));
    if (!given_above) Append(member.name, member.value, &out);
  }
  out += '}';
  return out;
}

}  // namespace viaduct::rest
