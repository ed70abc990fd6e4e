#include "host/node/config_control.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/status_macros.h"
#include "core/base/string_view.h"

namespace viaduct {
namespace {

constexpr char kComponent[] = "config";
constexpr char kFileName[] = "config.yaml";  // In findings; the text came over the wire.

std::vector<Finding> WarningsOf(const ConfigReport& report) {
  std::vector<Finding> warnings;
  for (const auto& finding : report.findings) {
    if (finding.severity == FindingSeverity::kWarning) warnings.push_back(finding);
  }
  return warnings;
}

}  // namespace

std::vector<InstanceSpec> SpecsOf(const NodeConfig& config) {
  std::vector<InstanceSpec> specs;
  specs.reserve(config.instances.size());
  for (const auto& instance : config.instances) {
    InstanceSpec spec;
    spec.name = instance.name;
    spec.plugin = instance.plugin;
    spec.config = instance.config;
    spec.unavailable_reason = instance.unavailable_reason;
    spec.start = instance.start == InstanceStart::kAuto ? StartPolicy::kAuto : StartPolicy::kManual;
    spec.on_start_failure = instance.on_start_failure == StartFailure::kRetry
                                ? StartFailurePolicy::kRetry
                                : StartFailurePolicy::kFail;
    specs.push_back(std::move(spec));
  }
  return specs;
}

void ConfigControl::Begin(NodeConfig running) {
  absl::MutexLock lock(&mutex_);
  running_ = std::move(running);
}

NodeConfig ConfigControl::running() const {
  absl::MutexLock lock(&mutex_);
  return running_;
}

ConfigReport ConfigControl::Validate(std::string_view yaml) {
  deps_.plugins->Scan();
  return deps_.validator->Validate(yaml, kFileName);
}

ConfigControl::Planned ConfigControl::Plan(std::string_view yaml) {
  Planned planned;
  planned.report = Validate(yaml);
  auto head = deps_.revisions->head();
  if (head.has_value()) planned.base_revision = head->number;
  if (planned.report.ok()) planned.effects = PlanChange(running(), *planned.report.config);
  return planned;
}

ConfigControl::Outcome ConfigControl::Apply(const RevisionStore::Proposal& proposal) {
  Outcome outcome;
  absl::ReleasableMutexLock lock(&changing_);
  auto earlier = deps_.revisions->FindRequest(proposal.request_id, proposal.yaml);
  outcome.status = earlier.status();
  if (!earlier.ok()) return outcome;
  if (earlier->has_value()) {
    outcome.applied = Applied{**earlier, {}, {}};
    return outcome;
  }
  auto head = deps_.revisions->head();
  if (proposal.if_revision.has_value() && head.has_value() &&
      head->number != *proposal.if_revision) {
    outcome.status = absl::AbortedError(absl::StrCat("config: revision ", head->number,
                                                     " is running, not ", *proposal.if_revision));
    return outcome;
  }
  Planned planned = Plan(proposal.yaml);
  outcome.findings = planned.report.findings;
  outcome.status = planned.report.status();
  if (!outcome.status.ok()) return outcome;
  NodeConfig before = running();
  outcome.status = TakeOver(*planned.report.config, planned.effects);
  if (!outcome.status.ok()) return outcome;
  auto committed = deps_.revisions->Commit(proposal);
  if (!committed.ok()) {
    // It cannot be kept, so it must not run either.
    absl::Status undone = TakeOver(before, PlanChange(*planned.report.config, before));
    outcome.status = committed.status();
    if (!undone.ok()) deps_.log->Error(kComponent, "cannot go back to what ran before", {});
    return outcome;
  }
  Adopt(std::move(*planned.report.config), planned.effects);
  DisarmRollback();
  if (proposal.confirm_within > absl::ZeroDuration()) {
    ArmRollback(committed->revision, proposal.confirm_within);
  } else {
    ArmGood(committed->revision.number);
  }
  outcome.applied = Applied{committed->revision, planned.effects, WarningsOf(planned.report)};
  lock.Release();
  Tell(committed->revision.number);
  return outcome;
}

absl::Status ConfigControl::TakeOver(const NodeConfig& next, const std::vector<Effect>& effects) {
  const bool touches_instances = std::any_of(effects.begin(), effects.end(), [](const Effect& e) {
    return e.kind != EffectKind::kNone && e.subject.compare(0, 9, "instance/") == 0;
  });
  if (!touches_instances) return absl::OkStatus();
  ApplyResult result = deps_.instances->Apply(SpecsOf(next), ApplyMode::kAllOrNothing);
  if (result.status.ok()) return absl::OkStatus();
  std::vector<std::string> reasons;
  for (const auto& [name, status] : result.failures) {
    reasons.push_back(absl::StrCat("instance \"", name, "\": ", status.message()));
  }
  return absl::Status(result.status.code(),
                      absl::StrCat("config: nothing was changed, ",
                                   reasons.empty() ? std::string(result.status.message())
                                                   : absl::StrJoin(reasons, "; ")));
}

void ConfigControl::Adopt(NodeConfig next, const std::vector<Effect>& effects) {
  if (deps_.log_hub != nullptr) deps_.log_hub->Configure(next.log.level, next.log.levels);
  std::string waiting;
  {
    absl::MutexLock lock(&mutex_);
    for (const auto& effect : effects) {
      if (effect.kind != EffectKind::kNodeRestart) continue;
      if (std::find(restart_needed_for_.begin(), restart_needed_for_.end(), effect.subject) ==
          restart_needed_for_.end()) {
        restart_needed_for_.push_back(effect.subject);
      }
    }
    running_ = std::move(next);
    waiting = absl::StrJoin(restart_needed_for_, ", ");
  }
  if (waiting.empty()) {
    deps_.health->Set(kComponent, HealthState::kHealthy);
  } else {
    deps_.health->Set(kComponent, HealthState::kDegraded,
                      absl::StrCat("a restart of the node takes over: ", waiting));
  }
}

uint64_t ConfigControl::RollbackTarget() const {
  auto head = deps_.revisions->head();
  for (const auto& revision : deps_.revisions->List(RevisionStore::kMaxRevisions)) {
    if (head.has_value() && revision.number >= head->number) continue;
    if (revision.state == RevisionState::kSuperseded) return revision.number;
  }
  return 0;
}

ConfigControl::Outcome ConfigControl::Rollback(uint64_t to, RevisionStore::Proposal proposal) {
  Outcome outcome;
  if (to == 0) to = RollbackTarget();
  if (to == 0) {
    outcome.status = absl::FailedPreconditionError("config: there is no older revision to go to");
    return outcome;
  }
  auto yaml = deps_.revisions->ReadYaml(to);
  if (!yaml.ok()) {
    outcome.status = yaml.status();
    return outcome;
  }
  proposal.yaml = *std::move(yaml);
  proposal.origin = RevisionOrigin::kRollback;
  if (proposal.comment.empty()) proposal.comment = absl::StrCat("back to revision ", to);
  return Apply(proposal);
}

absl::StatusOr<Revision> ConfigControl::Confirm(uint64_t number) {
  {
    absl::MutexLock lock(&changing_);
    VD_RETURN_IF_ERROR(deps_.revisions->Confirm(number));
    DisarmRollback();
    VD_RETURN_IF_ERROR(deps_.revisions->MarkGood());  // Who confirms it has seen it work.
  }
  Tell(number);
  return deps_.revisions->Get(number);
}

absl::StatusOr<Revision> ConfigControl::Cancel(uint64_t number, std::string_view author) {
  Revision now;
  {
    absl::MutexLock lock(&changing_);
    auto head = deps_.revisions->head();
    if (!head.has_value() || head->number != number || head->state != RevisionState::kUnconfirmed) {
      return absl::FailedPreconditionError(
          absl::StrCat("config: revision ", number, " is not waiting for a confirmation"));
    }
    DisarmRollback();
    VD_ASSIGN_OR_RETURN(now,
                        ReturnTo(head->based_on, RevisionState::kRolledBack, "cancelled", author));
  }
  Tell(number);
  Tell(now.number);
  return now;
}

absl::StatusOr<Revision> ConfigControl::ReturnTo(uint64_t number, RevisionState why,
                                                 std::string_view reason, std::string_view author) {
  VD_ASSIGN_OR_RETURN(std::string yaml, deps_.revisions->ReadYaml(number));
  Planned planned = Plan(yaml);
  VD_RETURN_IF_ERROR(planned.report.status());
  VD_RETURN_IF_ERROR(TakeOver(*planned.report.config, planned.effects));
  VD_ASSIGN_OR_RETURN(Revision now, deps_.revisions->FallBack(number, why, reason, author));
  Adopt(std::move(*planned.report.config), planned.effects);
  ArmGood(now.number);
  return now;
}

void ConfigControl::ArmRollback(const Revision& revision, absl::Duration within) {
  const uint64_t number = revision.number;
  rollback_timer_ = deps_.timers->ArmAfter(within, [this, number] {
    // The timer thread must not wait for instances.
    if (!deps_.executor->Submit([this, number] { OnConfirmTimeout(number); })) {
      deps_.log->Error(kComponent, "cannot roll back now, too many calls are waiting",
                       {{"revision", absl::StrCat(number)}});
    }
  });
}

void ConfigControl::ScheduleGood() {
  absl::MutexLock lock(&changing_);
  auto head = deps_.revisions->head();
  if (head.has_value() && head->state == RevisionState::kRunning) ArmGood(head->number);
}

void ConfigControl::ArmGood(uint64_t number) {
  if (good_timer_ != 0) deps_.timers->Cancel(good_timer_);
  good_timer_ = deps_.timers->ArmAfter(deps_.good_after, [this, number] {
    deps_.executor->Submit([this, number] { OnGood(number); });
  });
}

void ConfigControl::OnGood(uint64_t number) {
  absl::MutexLock lock(&changing_);
  auto head = deps_.revisions->head();
  if (!head.has_value() || head->number != number || head->state != RevisionState::kRunning) return;
  absl::Status good = deps_.revisions->MarkGood();
  if (good.ok()) return;
  deps_.log->Warning(kComponent, "cannot note the revision as good",
                     {{"revision", absl::StrCat(number)}, {"reason", StdView(good.message())}});
}

void ConfigControl::DisarmRollback() {
  if (rollback_timer_ != 0) deps_.timers->Cancel(rollback_timer_);
  rollback_timer_ = 0;
}

void ConfigControl::OnConfirmTimeout(uint64_t number) {
  absl::StatusOr<Revision> now = absl::CancelledError("");
  {
    absl::MutexLock lock(&changing_);
    auto head = deps_.revisions->head();
    if (!head.has_value() || head->number != number || head->state != RevisionState::kUnconfirmed) {
      return;
    }
    now = ReturnTo(head->based_on, RevisionState::kRolledBack, "not confirmed in time", "node");
  }
  if (!now.ok()) {
    deps_.log->Error(
        kComponent, "cannot roll back an unconfirmed revision",
        {{"revision", absl::StrCat(number)}, {"reason", StdView(now.status().message())}});
    return;
  }
  deps_.log->Warning(kComponent, "rolled back, it was not confirmed in time",
                     {{"revision", absl::StrCat(number)}, {"now", absl::StrCat(now->number)}});
  Tell(number);
  Tell(now->number);
}

absl::StatusOr<ConfigControl::Document> ConfigControl::Show(const Revision& revision) {
  VD_ASSIGN_OR_RETURN(std::string yaml, deps_.revisions->ReadYaml(revision.number));
  ConfigReport report = deps_.validator->Validate(yaml, kFileName);
  if (report.redacted_yaml.empty() && !yaml.empty()) {
    return absl::DataLossError(
        absl::StrCat("config: revision ", revision.number,
                     " is not YAML, it cannot be shown without its secrets"));
  }
  return Document{revision, std::move(report.redacted_yaml)};
}

absl::StatusOr<ConfigControl::Document> ConfigControl::GetRunning() {
  auto head = deps_.revisions->head();
  if (!head.has_value()) return absl::NotFoundError("config: there is no revision");
  return Show(*head);
}

absl::StatusOr<ConfigControl::Document> ConfigControl::GetLastGood() {
  auto good = deps_.revisions->last_good();
  if (!good.has_value()) return absl::NotFoundError("config: no revision has worked yet");
  return Show(*good);
}

absl::StatusOr<ConfigControl::Document> ConfigControl::GetRevision(uint64_t number) {
  VD_ASSIGN_OR_RETURN(Revision revision, deps_.revisions->Get(number));
  return Show(revision);
}

void ConfigControl::Tell(uint64_t number) {
  auto revision = deps_.revisions->Get(number);
  if (revision.ok() && changed_) changed_(*revision);
}

}  // namespace viaduct
