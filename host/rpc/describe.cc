#include "host/rpc/describe.h"

#include <string>

#include "host/rpc/convert.h"

namespace viaduct::rpc {
namespace {

namespace pb = control::v1;

pb::InstanceState StateOf(InstanceState state) {
  switch (state) {
    case InstanceState::kCreated:
      return pb::INSTANCE_STATE_CREATED;
    case InstanceState::kConfigured:
      return pb::INSTANCE_STATE_CONFIGURED;
    case InstanceState::kStarting:
      return pb::INSTANCE_STATE_STARTING;
    case InstanceState::kStarted:
      return pb::INSTANCE_STATE_STARTED;
    case InstanceState::kDraining:
      return pb::INSTANCE_STATE_DRAINING;
    case InstanceState::kStopping:
      return pb::INSTANCE_STATE_STOPPING;
    case InstanceState::kStopped:
      return pb::INSTANCE_STATE_STOPPED;
    case InstanceState::kFailed:
      return pb::INSTANCE_STATE_FAILED;
  }
  return pb::INSTANCE_STATE_UNSPECIFIED;
}

// A started instance is as healthy as its plugin says; one that failed is not, whatever it said.
pb::Health HealthOf(const InstanceInfo& info) {
  if (info.state == InstanceState::kFailed) return pb::HEALTH_FAILED;
  switch (info.health) {
    case InstanceHealth::kHealthy:
      return pb::HEALTH_OK;
    case InstanceHealth::kDegraded:
      return pb::HEALTH_DEGRADED;
    case InstanceHealth::kUnhealthy:
      return pb::HEALTH_FAILED;
    case InstanceHealth::kUnknown:
      return info.state == InstanceState::kStarted ? pb::HEALTH_OK : pb::HEALTH_UNSPECIFIED;
  }
  return pb::HEALTH_UNSPECIFIED;
}

pb::RevisionState StateOf(RevisionState state) {
  switch (state) {
    case RevisionState::kRunning:
      return pb::REVISION_STATE_RUNNING;
    case RevisionState::kUnconfirmed:
      return pb::REVISION_STATE_UNCONFIRMED;
    case RevisionState::kSuperseded:
      return pb::REVISION_STATE_SUPERSEDED;
    case RevisionState::kRolledBack:
      return pb::REVISION_STATE_ROLLED_BACK;
    case RevisionState::kFailed:
      return pb::REVISION_STATE_FAILED;
  }
  return pb::REVISION_STATE_UNSPECIFIED;
}

pb::AlertKind KindOf(AlertKind kind) {
  switch (kind) {
    case AlertKind::kLinkErrors:
      return pb::ALERT_KIND_LINK_ERRORS;
    case AlertKind::kLinkDown:
      return pb::ALERT_KIND_LINK_DOWN;
    case AlertKind::kBacklogAge:
      return pb::ALERT_KIND_BACKLOG_AGE;
    case AlertKind::kBacklogBytes:
      return pb::ALERT_KIND_BACKLOG_BYTES;
    case AlertKind::kDiskFree:
      return pb::ALERT_KIND_DISK_FREE;
    case AlertKind::kDeadLetters:
      return pb::ALERT_KIND_DEAD_LETTERS;
    case AlertKind::kFailedFiles:
      return pb::ALERT_KIND_FAILED_FILES;
    case AlertKind::kFilesBytes:
      return pb::ALERT_KIND_FILES_BYTES;
    case AlertKind::kDeviceQuota:
      return pb::ALERT_KIND_DEVICE_QUOTA;
  }
  return pb::ALERT_KIND_UNSPECIFIED;
}

}  // namespace

pb::Alert ToProto(const Alert& alert) {
  pb::Alert out;
  out.set_id(alert.id);
  out.set_kind(KindOf(alert.kind));
  out.set_subject(alert.subject);
  out.set_text(alert.text);
  out.set_value(alert.value);
  out.set_threshold(alert.threshold);
  *out.mutable_raised_at() = ToProto(alert.raised_at);
  if (alert.cleared_at.has_value()) *out.mutable_cleared_at() = ToProto(*alert.cleared_at);
  return out;
}

pb::Health ToProto(HealthState state) {
  switch (state) {
    case HealthState::kHealthy:
      return pb::HEALTH_OK;
    case HealthState::kDegraded:
      return pb::HEALTH_DEGRADED;
    case HealthState::kUnhealthy:
      return pb::HEALTH_FAILED;
  }
  return pb::HEALTH_UNSPECIFIED;
}

pb::Component ToProto(const ComponentHealth& component) {
  pb::Component out;
  out.set_name(component.component);
  out.set_health(ToProto(component.state));
  out.set_reason(component.reason);
  *out.mutable_since() = ToProto(component.since);
  return out;
}

pb::Instance ToProto(const InstanceInfo& info) {
  pb::Instance out;
  out.set_name(info.name);
  out.set_plugin(info.plugin);
  out.set_plugin_version(info.plugin_version);
  out.set_state(StateOf(info.state));
  out.set_health(HealthOf(info));
  out.set_reason(info.reason.ok() ? info.health_reason : std::string(info.reason.message()));
  *out.mutable_since() = ToProto(info.since);
  out.set_failures(info.failures);
  if (info.retry_in > absl::ZeroDuration()) *out.mutable_retry_in() = ToProto(info.retry_in);
  out.set_link(info.link);
  for (const auto& id : info.interfaces) out.add_interfaces(id);
  return out;
}

pb::Plugin ToProto(const PluginInfo& info) {
  pb::Plugin out;
  out.set_name(info.name);
  out.set_path(info.path);
  switch (info.state) {
    case PluginState::kAvailable:
      out.set_state(pb::PLUGIN_STATE_AVAILABLE);
      break;
    case PluginState::kLoaded:
      out.set_state(pb::PLUGIN_STATE_LOADED);
      break;
    case PluginState::kFailed:
      out.set_state(pb::PLUGIN_STATE_FAILED);
      break;
  }
  if (!info.failure.ok()) {
    out.mutable_failure()->set_code(static_cast<int>(info.failure.code()));
    out.mutable_failure()->set_text(std::string(info.failure.message()));
  }
  out.set_version(info.version);
  out.set_summary(info.summary);
  out.set_licence(info.licence);
  out.mutable_abi()->set_major(info.abi_major);
  out.mutable_abi()->set_minor(info.abi_minor);
  for (const auto& id : info.interfaces) out.add_interfaces(id);
  out.set_max_lanes(info.max_lanes);
  return out;
}

pb::Finding ToProto(const Finding& finding) {
  pb::Finding out;
  out.set_severity(finding.severity == FindingSeverity::kError ? pb::SEVERITY_ERROR
                                                               : pb::SEVERITY_WARNING);
  out.set_instance(finding.instance);
  out.set_pointer(finding.pointer);
  out.set_code(finding.code);
  out.set_text(finding.text);
  out.set_file(finding.file);
  out.set_line(finding.line);
  out.set_column(finding.column);
  return out;
}

pb::Effect ToProto(const Effect& effect) {
  pb::Effect out;
  out.set_subject(effect.subject);
  switch (effect.kind) {
    case EffectKind::kNone:
      out.set_kind(pb::EFFECT_KIND_NONE);
      break;
    case EffectKind::kApply:
      out.set_kind(pb::EFFECT_KIND_APPLY);
      break;
    case EffectKind::kRestart:
      out.set_kind(pb::EFFECT_KIND_RESTART);
      break;
    case EffectKind::kAdd:
      out.set_kind(pb::EFFECT_KIND_ADD);
      break;
    case EffectKind::kRemove:
      out.set_kind(pb::EFFECT_KIND_REMOVE);
      break;
    case EffectKind::kNodeRestart:
      out.set_kind(pb::EFFECT_KIND_NODE_RESTART);
      break;
  }
  out.set_text(effect.text);
  return out;
}

pb::Revision ToProto(const Revision& revision) {
  pb::Revision out;
  out.set_number(revision.number);
  out.set_state(StateOf(revision.state));
  *out.mutable_applied_at() = ToProto(revision.applied_at);
  out.set_origin(std::string(RevisionOriginName(revision.origin)));
  out.set_author(revision.author);
  out.set_comment(revision.comment);
  if (revision.state == RevisionState::kUnconfirmed) {
    *out.mutable_confirm_by() = ToProto(revision.confirm_by);
  }
  out.set_reason(revision.reason);
  out.set_last_good(revision.last_good);
  return out;
}

pb::LogLevel ToProto(LogLevel level) {
  // The numbers of the core, one higher: zero is UNSPECIFIED.
  return static_cast<pb::LogLevel>(static_cast<int>(level) + 1);
}

bool FromProto(pb::LogLevel level, LogLevel* out) {
  if (level <= pb::LOG_LEVEL_UNSPECIFIED || level > pb::LOG_LEVEL_OFF) return false;
  *out = static_cast<LogLevel>(static_cast<int>(level) - 1);
  return true;
}

pb::LogRecord ToProto(const LogRecord& record) {
  pb::LogRecord out;
  *out.mutable_time() = ToProto(record.time);
  out.set_level(ToProto(record.level));
  out.set_component(record.component);
  out.set_message(record.message);
  for (const auto& [key, value] : record.fields) (*out.mutable_fields())[key] = value;
  out.set_sequence(record.sequence);
  return out;
}

}  // namespace viaduct::rpc
