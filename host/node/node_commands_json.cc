#include "host/node/node_commands_json.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/string_view.h"
#include "core/lpr/json_writer.h"

namespace viaduct {
namespace {

namespace pb = control::v1;

void WriteInstance(const InstanceInfo& info, JsonWriter* json) {
  json->BeginObject().Field("name", std::string_view(info.name));
  json->Field("plugin", std::string_view(info.plugin));
  json->Field("state", InstanceStateName(info.state));
  json->Field("health", InstanceHealthName(info.health));
  const bool failed = !info.reason.ok();
  json->Field("reason",
              failed ? StdView(info.reason.message()) : std::string_view(info.health_reason));
  json->Field("since", info.since).EndObject();
}

void WriteNode(const pb::NodeInfo& node, JsonWriter* json) {
  json->BeginObject().Field("id", std::string_view(node.id()));
  json->Field("version", std::string_view(node.build().version()));
  json->Field("hostname", std::string_view(node.host().hostname()));
  json->Field("os", std::string_view(node.host().os()));
  json->Field("architecture", std::string_view(node.host().architecture()));
  json->Field("uptime_seconds", int64_t{node.uptime().seconds()});
  json->Field("resident_bytes", static_cast<int64_t>(node.resident_bytes()));
  json->Field("config_revision", static_cast<int64_t>(node.config_revision())).EndObject();
}

void WriteSpool(const std::optional<SpoolInfo>& spool, JsonWriter* json) {
  if (!spool.has_value()) {
    json->Null();
    return;
  }
  json->BeginObject().Field("messages", static_cast<int64_t>(spool->messages));
  json->Field("bytes", static_cast<int64_t>(spool->bytes));
  json->Field("rejected", static_cast<int64_t>(spool->rejected));
  json->Key("oldest_age_seconds").Real(absl::ToDoubleSeconds(spool->oldest_age)).EndObject();
}

void WriteDeferred(const std::optional<DeferredCommand>& deferred, JsonWriter* json) {
  if (!deferred.has_value()) {
    json->Null();
    return;
  }
  json->BeginObject().Field("message_id", std::string_view(deferred->message_id));
  json->Field("request_id", std::string_view(deferred->request_id));
  json->Field("command", std::string_view(deferred->command));
  json->Field("instance", std::string_view(deferred->subject));
  json->Field("status", int64_t{deferred->status});
  json->Field("reason", std::string_view(deferred->reason));
  json->Field("at", deferred->at).EndObject();
}

std::string_view EffectName(EffectKind kind) {
  switch (kind) {
    case EffectKind::kApply:
      return "apply";
    case EffectKind::kRestart:
      return "restart";
    case EffectKind::kAdd:
      return "add";
    case EffectKind::kRemove:
      return "remove";
    case EffectKind::kNodeRestart:
      return "node_restart";
    default:
      return "none";
  }
}

void WriteEffects(const std::vector<Effect>& effects, JsonWriter* json) {
  json->Key("effects").BeginArray();
  for (const Effect& effect : effects) {
    if (effect.kind == EffectKind::kNone) continue;
    json->BeginObject().Field("subject", std::string_view(effect.subject));
    json->Field("kind", EffectName(effect.kind));
    json->Field("text", std::string_view(effect.text)).EndObject();
  }
  json->EndArray();
}

void WriteFindings(const std::vector<Finding>& findings, JsonWriter* json) {
  json->Key("findings").BeginArray();
  for (const Finding& finding : findings) {
    const bool error = finding.severity == FindingSeverity::kError;
    json->BeginObject().Field("severity", error ? "error" : "warning");
    json->Field("instance", std::string_view(finding.instance));
    json->Field("pointer", std::string_view(finding.pointer));
    json->Field("code", std::string_view(finding.code));
    json->Field("text", std::string_view(finding.text));
    json->Field("line", int64_t{finding.line}).EndObject();
  }
  json->EndArray();
}

void WriteRevision(const Revision& revision, JsonWriter* json) {
  json->Key("revision").BeginObject();
  json->Field("number", static_cast<int64_t>(revision.number));
  json->Field("state", RevisionStateName(revision.state)).EndObject();
}

}  // namespace

std::string StatusJson(const pb::NodeInfo& node, const std::vector<InstanceInfo>& instances,
                       const std::optional<SpoolInfo>& spool,
                       const std::optional<DeferredCommand>& last_deferred, absl::Time now) {
  JsonWriter json;
  json.BeginObject().Field("success", true).Key("node");
  WriteNode(node, &json);
  json.Key("instances").BeginArray();
  for (const InstanceInfo& info : instances) WriteInstance(info, &json);
  json.EndArray().Key("spool");
  WriteSpool(spool, &json);
  json.Key("last_deferred");
  WriteDeferred(last_deferred, &json);
  json.Field("timestamp", now).EndObject();
  return json.Take();
}

std::string HealthJson(const HealthTree& health, absl::Time now) {
  JsonWriter json;
  json.BeginObject().Field("status", HealthStateName(health.Aggregate().state));
  json.Key("components").BeginArray();
  for (const ComponentHealth& component : health.List()) {
    json.BeginObject().Field("name", std::string_view(component.component));
    json.Field("status", HealthStateName(component.state));
    json.Field("message", std::string_view(component.reason)).EndObject();
  }
  json.EndArray().Field("timestamp", now).EndObject();
  return json.Take();
}

std::string InstanceJson(const InstanceInfo& info) {
  JsonWriter json;
  json.BeginObject().Field("success", true).Key("instance");
  WriteInstance(info, &json);
  json.EndObject();
  return json.Take();
}

std::string AcceptedJson(const std::string& instance, const InstanceInfo& before) {
  JsonWriter json;
  json.BeginObject().Field("success", true).Field("accepted", true);
  json.Field("message", std::string_view(absl::StrCat(
                            "\"", instance, "\" carries this answer and restarts after it")));
  json.Key("instance");
  WriteInstance(before, &json);
  json.EndObject();
  return json.Take();
}

std::string AppliedJson(const ConfigControl::Applied& applied) {
  JsonWriter json;
  json.BeginObject().Field("success", true);
  WriteRevision(applied.revision, &json);
  WriteEffects(applied.effects, &json);
  WriteFindings(applied.warnings, &json);
  json.EndObject();
  return json.Take();
}

std::string PlannedJson(const ConfigControl::Planned& planned, absl::Duration confirm_within) {
  JsonWriter json;
  json.BeginObject().Field("success", true).Field("accepted", true);
  json.Field("message",
             "it changes the road that carries this answer, is applied after it, and is taken back "
             "unless it is confirmed in time");
  json.Field("confirm_within", std::string_view(absl::FormatDuration(confirm_within)));
  json.Field("base_revision", static_cast<int64_t>(planned.base_revision));
  WriteEffects(planned.effects, &json);
  WriteFindings(planned.report.findings, &json);
  json.EndObject();
  return json.Take();
}

std::string RevisionJson(const Revision& revision) {
  JsonWriter json;
  json.BeginObject().Field("success", true);
  WriteRevision(revision, &json);
  json.EndObject();
  return json.Take();
}

std::string FindingsJson(const absl::Status& status, const std::vector<Finding>& findings) {
  JsonWriter json;
  json.BeginObject().Field("success", false).Field("message", StdView(status.message()));
  WriteFindings(findings, &json);
  json.EndObject();
  return json.Take();
}

ConnectionTests::ConnectionTests(const std::vector<InstanceInfo>& instances, DoneFn done)
    : done_(std::move(done)), left_(instances.size() + 1) {
  absl::MutexLock lock(&mutex_);
  for (const InstanceInfo& info : instances) {
    tests_.emplace_back();
    tests_.back().instance = info;
  }
}

void ConnectionTests::Set(size_t index, const ProbeResult& result) {
  {
    absl::MutexLock lock(&mutex_);
    Test& test = tests_[index];
    test.measured = true;
    test.ok = result.status.ok();
    test.latency = result.round_trip;
    test.error = std::string(result.status.message());
  }
  End();
}

void ConnectionTests::SetUnmeasured(size_t index) {
  {
    absl::MutexLock lock(&mutex_);
    Test& test = tests_[index];
    test.ok = test.instance.state == InstanceState::kStarted &&
              test.instance.health == InstanceHealth::kHealthy;
    if (!test.ok) test.error = test.instance.health_reason;
  }
  End();
}

void ConnectionTests::End() {
  {
    absl::MutexLock lock(&mutex_);
    if (--left_ > 0) return;
  }
  done_(*this);
}

std::string ConnectionTests::Json(absl::Time now) const {
  absl::MutexLock lock(&mutex_);
  JsonWriter json;
  json.BeginObject().Field("success", true).Key("connections").BeginArray();
  for (const Test& test : tests_) {
    json.BeginObject().Field("instance", std::string_view(test.instance.name));
    json.Field("plugin", std::string_view(test.instance.plugin)).Field("ok", test.ok);
    json.Field("measured", test.measured).Key("latency_ms");
    test.measured&& test.ok ? json.Real(absl::ToDoubleMilliseconds(test.latency)) : json.Null();
    json.Key("error");
    test.error.empty() ? json.Null() : json.String(test.error);
    json.EndObject();
  }
  json.EndArray().Field("timestamp", now).EndObject();
  return json.Take();
}

}  // namespace viaduct
