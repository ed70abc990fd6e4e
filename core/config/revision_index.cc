#include "core/config/revision_index.h"

#include <array>
#include <nlohmann/json.hpp>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "core/config/schema.h"

namespace viaduct {
namespace {

using nlohmann::json;

constexpr int kFormat = 1;
constexpr std::array<RevisionState, 5> kStates = {
    RevisionState::kRunning, RevisionState::kUnconfirmed, RevisionState::kSuperseded,
    RevisionState::kRolledBack, RevisionState::kFailed};
constexpr std::array<RevisionOrigin, 3> kOrigins = {RevisionOrigin::kFile, RevisionOrigin::kApply,
                                                    RevisionOrigin::kRollback};

std::string Text(const json& from, const char* key) {
  const auto found = from.find(key);
  return found != from.end() && found->is_string() ? found->get<std::string>() : "";
}

uint64_t Number(const json& from, const char* key) {
  const auto found = from.find(key);
  return found != from.end() && found->is_number_unsigned() ? found->get<uint64_t>() : 0;
}

int64_t Nanos(const json& from, const char* key) {
  const auto found = from.find(key);
  return found != from.end() && found->is_number_integer() ? found->get<int64_t>() : 0;
}

json WriteRevision(const Revision& revision) {
  json out = {{"number", revision.number},
              {"state", std::string(RevisionStateName(revision.state))},
              {"origin", std::string(RevisionOriginName(revision.origin))},
              {"applied_at_ns", absl::ToUnixNanos(revision.applied_at)},
              {"author", revision.author},
              {"comment", revision.comment},
              {"request_id", revision.request_id},
              {"reason", revision.reason},
              {"based_on", revision.based_on},
              {"good", revision.good},
              {"sha256", revision.sha256}};
  if (revision.confirm_by != absl::InfiniteFuture()) {
    out["confirm_by_ns"] = absl::ToUnixNanos(revision.confirm_by);
  }
  return out;
}

bool ReadRevision(const json& from, Revision* out) {
  if (!from.is_object()) return false;
  out->number = Number(from, "number");
  out->applied_at = absl::FromUnixNanos(Nanos(from, "applied_at_ns"));
  out->author = Text(from, "author");
  out->comment = Text(from, "comment");
  out->request_id = Text(from, "request_id");
  out->reason = Text(from, "reason");
  out->based_on = Number(from, "based_on");
  out->good = from.value("good", json()) == json(true);
  out->sha256 = Text(from, "sha256");
  if (from.contains("confirm_by_ns")) {
    out->confirm_by = absl::FromUnixNanos(Nanos(from, "confirm_by_ns"));
  }
  bool known_state = false;
  for (const RevisionState state : kStates) {
    if (Text(from, "state") != RevisionStateName(state)) continue;
    out->state = state;
    known_state = true;
  }
  for (const RevisionOrigin origin : kOrigins) {
    if (Text(from, "origin") == RevisionOriginName(origin)) out->origin = origin;
  }
  return known_state && out->number != 0;
}

}  // namespace

std::string_view RevisionStateName(RevisionState state) {
  switch (state) {
    case RevisionState::kRunning:
      return "running";
    case RevisionState::kUnconfirmed:
      return "unconfirmed";
    case RevisionState::kSuperseded:
      return "superseded";
    case RevisionState::kRolledBack:
      return "rolled_back";
    case RevisionState::kFailed:
      break;
  }
  return "failed";
}

std::string_view RevisionOriginName(RevisionOrigin origin) {
  switch (origin) {
    case RevisionOrigin::kFile:
      return "file";
    case RevisionOrigin::kApply:
      return "apply";
    case RevisionOrigin::kRollback:
      break;
  }
  return "rollback";
}

const Revision* RevisionIndex::Find(uint64_t number) const {
  const auto found = revisions.find(number);
  return found == revisions.end() ? nullptr : &found->second;
}

std::string WriteIndex(const RevisionIndex& index) {
  json list = json::array();
  for (const auto& [number, revision] : index.revisions) list.push_back(WriteRevision(revision));
  const json out = {{"format", kFormat},
                    {"next", index.next},
                    {"head", index.head},
                    {"last_good", index.last_good},
                    {"file_sha256", index.file_sha256},
                    {"starting", index.starting},
                    {"attempts", index.attempts},
                    {"revisions", std::move(list)}};
  return out.dump(1, ' ', false, json::error_handler_t::replace) + "\n";
}

absl::StatusOr<RevisionIndex> ReadIndex(std::string_view text) {
  const absl::Status bad = absl::DataLossError("config: the index of revisions is damaged");
  if (!JsonDepthWithin(text, 8)) return bad;
  const json from = json::parse(text.begin(), text.end(), nullptr, /*allow_exceptions=*/false);
  if (!from.is_object() || Nanos(from, "format") != kFormat) return bad;
  const auto list = from.find("revisions");
  if (list == from.end() || !list->is_array()) return bad;
  RevisionIndex index;
  for (const json& item : *list) {
    Revision revision;
    if (!ReadRevision(item, &revision)) return bad;
    index.revisions[revision.number] = std::move(revision);
  }
  index.head = Number(from, "head");
  index.last_good = Number(from, "last_good");
  index.file_sha256 = Text(from, "file_sha256");
  index.starting = Number(from, "starting");
  index.attempts = static_cast<int>(std::min<uint64_t>(Number(from, "attempts"), 1000));
  index.next = Number(from, "next");
  const uint64_t highest = index.revisions.empty() ? 0 : index.revisions.rbegin()->first;
  if (index.next <= highest) return bad;
  if (index.head != 0 && index.Find(index.head) == nullptr) return bad;
  if (index.last_good != 0 && index.Find(index.last_good) == nullptr) return bad;
  return index;
}

}  // namespace viaduct
