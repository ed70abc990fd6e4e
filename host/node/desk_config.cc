// The configuration, by the same door as the service Config.
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/string_view.h"
#include "core/config/plan.h"
#include "core/lpr/json_writer.h"
#include "core/lpr/replies.h"
#include "host/node/desk.h"

namespace viaduct {
namespace {

constexpr absl::Duration kRetryAfter = absl::Seconds(2);
constexpr int kWrongDocument = 422;
constexpr int kWrongTurn = 409;  // It is right, and may not be done now.

std::string_view EffectName(EffectKind kind) {
  switch (kind) {
    case EffectKind::kNone:
      return "none";
    case EffectKind::kApply:
      return "applied";
    case EffectKind::kRestart:
      return "instance_restart";
    case EffectKind::kAdd:
      return "added";
    case EffectKind::kRemove:
      return "removed";
    case EffectKind::kNodeRestart:
      return "node_restart";
  }
  return "none";
}

void WriteRevision(const Revision& revision, JsonWriter* json) {
  json->BeginObject().Field("revision", static_cast<int64_t>(revision.number));
  json->Field("applied_at", revision.applied_at).Field("by", std::string_view(revision.author));
  json->Field("state", RevisionStateName(revision.state));
  json->Field("origin", RevisionOriginName(revision.origin));
  json->Field("comment", std::string_view(revision.comment)).Key("confirm_by");
  revision.state == RevisionState::kUnconfirmed ? json->Time(revision.confirm_by) : json->Null();
  json->EndObject();
}

// Every mistake, or warning, with its place.
void WriteFindings(std::string_view key, const std::vector<Finding>& findings,
                   FindingSeverity severity, JsonWriter* json) {
  json->Key(key).BeginArray();
  for (const Finding& finding : findings) {
    if (finding.severity != severity) continue;
    json->BeginObject().Field("path", std::string_view(finding.pointer));
    json->Field("line", int64_t{finding.line}).Field("column", int64_t{finding.column});
    json->Field("code", std::string_view(finding.code));
    json->Field("message", std::string_view(finding.text)).EndObject();
  }
  json->EndArray();
}

CallReply Refused(int status, std::string_view message, const std::vector<Finding>& findings) {
  JsonWriter json;
  json.BeginObject().Field("success", false).Field("message", message);
  WriteFindings("errors", findings, FindingSeverity::kError, &json);
  json.EndObject();
  return JsonReply(status, json.Take());
}

void WriteChanges(const std::vector<Effect>& effects, JsonWriter* json) {
  json->Key("changes").BeginArray();
  std::vector<std::string> lines;
  for (const Effect& effect : effects) {
    if (effect.kind == EffectKind::kNone) continue;
    json->BeginObject().Field("path", std::string_view(effect.subject));
    json->Field("what", std::string_view(effect.text));
    json->Field("effect", EffectName(effect.kind)).EndObject();
    lines.push_back(absl::StrCat(effect.subject, ": ", AbslView(EffectName(effect.kind)),
                                 effect.text.empty() ? "" : ", ", effect.text));
  }
  json->EndArray();
  json->Field("plan",
              std::string_view(lines.empty() ? "nothing changes" : absl::StrJoin(lines, "\n")));
}

// In the words of HTTP: what may not be done now is no fault of the server's.
CallReply ChangeReply(const absl::Status& status) {
  const bool turn = absl::IsFailedPrecondition(status) || absl::IsAborted(status);
  if (turn) return ErrorReply(kWrongTurn, StdView(status.message()));
  return StatusReply(status, kRetryAfter);
}

}  // namespace

void Desk::ShowConfig(ReplyFn reply) {
  RunOn(deps_.reads, std::move(reply), [this] {
    const absl::StatusOr<ConfigControl::Document> document = deps_.config->GetRunning();
    if (!document.ok()) return StatusReply(document.status(), kRetryAfter);
    JsonWriter json;
    json.BeginObject().Field("success", true);
    json.Field("revision", static_cast<int64_t>(document->revision.number));
    json.Field("yaml", std::string_view(document->redacted_yaml)).Key("revisions").BeginArray();
    for (const Revision& revision : deps_.config->ListRevisions(kMaxRevisions)) {
      WriteRevision(revision, &json);
    }
    json.EndArray().EndObject();
    return JsonReply(200, json.Take());
  });
}

void Desk::PlanConfig(std::string yaml, ReplyFn reply) {
  RunOn(deps_.commands, std::move(reply), [this, yaml = std::move(yaml)] {
    const ConfigControl::Planned planned = deps_.config->Plan(yaml);
    if (!planned.report.ok()) {
      return Refused(kWrongDocument, "the configuration has mistakes", planned.report.findings);
    }
    JsonWriter json;
    json.BeginObject().Field("success", true);
    json.Field("base_revision", static_cast<int64_t>(planned.base_revision));
    WriteChanges(planned.effects, &json);
    WriteFindings("warnings", planned.report.findings, FindingSeverity::kWarning, &json);
    json.EndObject();
    return JsonReply(200, json.Take());
  });
}

CallReply Desk::Applied(const ConfigControl::Outcome& outcome) const {
  if (!outcome.status.ok()) {
    bool wrong = false;
    for (const Finding& finding : outcome.findings) {
      wrong = wrong || finding.severity == FindingSeverity::kError;
    }
    if (!wrong) return ChangeReply(outcome.status);
    return Refused(kWrongDocument, "the configuration has mistakes", outcome.findings);
  }
  JsonWriter json;
  json.BeginObject().Field("success", true);
  json.Field("revision", static_cast<int64_t>(outcome.applied->revision.number));
  WriteChanges(outcome.applied->effects, &json);
  WriteFindings("warnings", outcome.applied->warnings, FindingSeverity::kWarning, &json);
  json.Key("confirm_by");
  const Revision& revision = outcome.applied->revision;
  revision.state == RevisionState::kUnconfirmed ? json.Time(revision.confirm_by) : json.Null();
  json.EndObject();
  return JsonReply(200, json.Take());
}

void Desk::ApplyConfig(Apply apply, ReplyFn reply) {
  if (apply.confirm_within != absl::ZeroDuration() &&
      (apply.confirm_within < ConfigControl::kMinConfirm ||
       apply.confirm_within > ConfigControl::kMaxConfirm)) {
    return reply(ErrorReply(400, "confirm_within_s: expected 0, or 1 to 86400"));
  }
  RevisionStore::Proposal proposal;
  proposal.yaml = std::move(apply.yaml);
  proposal.confirm_within = apply.confirm_within;
  proposal.author = std::move(apply.author);
  RunOn(deps_.changes, std::move(reply),
        [this, proposal = std::move(proposal)] { return Applied(deps_.config->Apply(proposal)); });
}

void Desk::ConfirmConfig(std::optional<uint64_t> revision, ReplyFn reply) {
  RunOn(deps_.changes, std::move(reply), [this, revision] {
    uint64_t number = revision.value_or(0);
    if (!revision.has_value()) {
      const std::optional<Revision> head = deps_.config->revisions()->head();
      if (head.has_value()) number = head->number;
    }
    const absl::StatusOr<Revision> confirmed = deps_.config->Confirm(number);
    if (!confirmed.ok()) return ChangeReply(confirmed.status());
    JsonWriter json;
    json.BeginObject().Field("success", true);
    json.Field("revision", static_cast<int64_t>(confirmed->number)).EndObject();
    return JsonReply(200, json.Take());
  });
}

void Desk::RollBackConfig(uint64_t revision, std::string author, ReplyFn reply) {
  RevisionStore::Proposal proposal;
  proposal.author = std::move(author);
  RunOn(deps_.changes, std::move(reply), [this, revision, proposal = std::move(proposal)] {
    return Applied(deps_.config->Rollback(revision, proposal));
  });
}

}  // namespace viaduct
