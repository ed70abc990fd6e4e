#include "host/node/config_control.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/status_macros.h"
#include "core/base/string_view.h"
#include "core/config/members.h"
#include "host/node/objections.h"

namespace viaduct {
namespace {

constexpr char kComponent[] = "config";

std::vector<Finding> WarningsOf(const ConfigReport& report) {
  std::vector<Finding> warnings;
  for (const auto& finding : report.findings) {
    if (finding.severity == FindingSeverity::kWarning) warnings.push_back(finding);
  }
  return warnings;
}

}  // namespace

void ConfigControl::Begin(NodeConfig running) {
  absl::MutexLock lock(&mutex_);
  data_dir_ = running.node.data_dir;
  auth_mode_ = members::Text(members::SectionOf(running, "auth"), "mode");
  started_with_ = running;
  running_ = std::move(running);
}

NodeConfig ConfigControl::running() const {
  absl::MutexLock lock(&mutex_);
  return running_;
}

ConfigReport ConfigControl::Validate(std::string_view yaml, std::string_view file) {
  deps_.plugins->Scan();
  return deps_.validator->Validate(yaml, file, [this](const NodeConfig& config) {
    std::vector<Objection> objections = ObjectToMove(config, data_dir_);
    if (objections.empty()) objections = ObjectToOpenListeners(config, auth_mode_);
    if (objections.empty()) objections = ObjectToStore(config);
    if (objections.empty()) objections = ObjectToKeys(config, /*reads=*/true);
    if (objections.empty()) objections = ObjectToFeeds(config, *deps_.plugins);
    if (objections.empty()) objections = AskThrough(deps_.instances)(config);
    return objections;
  });
}

ConfigControl::Planned ConfigControl::Plan(std::string_view yaml, std::string_view file) {
  Planned planned;
  planned.report = Validate(yaml, file);
  auto head = deps_.revisions->head();
  if (head.has_value()) planned.base_revision = head->number;
  if (planned.report.ok()) planned.effects = PlanChange(running(), *planned.report.config);
  return planned;
}

ConfigControl::Outcome ConfigControl::Apply(const RevisionStore::Proposal& proposal,
                                            std::string_view file) {
  Outcome outcome;
  {
    absl::MutexLock lock(&changing_);
    auto earlier = deps_.revisions->FindRequest(proposal.request_id, proposal.yaml);
    outcome.status = earlier.status();
    if (!earlier.ok()) return outcome;
    if (earlier->has_value()) {
      outcome.applied = Applied{**earlier, {}, {}};
      return outcome;
    }
    outcome = ApplyLocked(proposal, file);
  }
  if (!outcome.applied.has_value()) return outcome;
  const Revision& now = outcome.applied->revision;
  Tell(now.based_on, Change::kNoted);
  Tell(now.number, Change::kApplied);
  return outcome;
}

absl::Status ConfigControl::CheckTurn(const RevisionStore::Proposal& proposal) const {
  auto head = deps_.revisions->head();
  if (!head.has_value()) return absl::OkStatus();
  if (proposal.if_revision.has_value() && head->number != *proposal.if_revision) {
    return absl::AbortedError(absl::StrCat("config: revision ", head->number, " is running, not ",
                                           *proposal.if_revision));
  }
  if (head->state != RevisionState::kUnconfirmed) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat("config: revision ", head->number,
                   " waits for its confirmation, confirm or cancel it first"));
}

ConfigControl::Outcome ConfigControl::ApplyLocked(const RevisionStore::Proposal& proposal,
                                                  std::string_view file) {
  Outcome outcome;
  outcome.status = CheckTurn(proposal);
  if (!outcome.status.ok()) return outcome;
  Planned planned = Plan(proposal.yaml, file);
  outcome.findings = planned.report.findings;
  outcome.status = planned.report.status();
  if (!outcome.status.ok()) return outcome;
  const NodeConfig before = running();
  outcome.status = TakeOver(*planned.report.config, planned.effects, ApplyMode::kAllOrNothing);
  if (!outcome.status.ok()) return outcome;
  auto committed = deps_.revisions->Commit(proposal);
  if (!committed.ok()) {
    // It cannot be kept, so it must not run either.
    outcome.status = committed.status();
    absl::Status undone =
        TakeOver(before, PlanChange(*planned.report.config, before), ApplyMode::kBoot);
    if (!undone.ok()) deps_.log->Error(kComponent, "cannot go back to what ran before", {});
    return outcome;
  }
  Adopt(std::move(*planned.report.config));
  const uint64_t number = committed->revision.number;
  if (proposal.confirm_within > absl::ZeroDuration()) {
    good_.TakeBack();
    rollback_.Set(proposal.confirm_within, [this, number] { return OnConfirmTimeout(number); });
  } else {
    ArmGood(number);
  }
  outcome.applied = Applied{committed->revision, planned.effects, WarningsOf(planned.report)};
  return outcome;
}

absl::Status ConfigControl::LookAgain() {
  absl::MutexLock lock(&changing_);
  auto head = deps_.revisions->head();
  if (!head.has_value()) return absl::NotFoundError("config: there is no revision");
  VD_ASSIGN_OR_RETURN(std::string yaml, deps_.revisions->ReadYaml(head->number));
  Planned planned = Plan(yaml);
  VD_RETURN_IF_ERROR(planned.report.status());
  VD_RETURN_IF_ERROR(TakeOver(*planned.report.config, planned.effects, ApplyMode::kAllOrNothing));
  Adopt(std::move(*planned.report.config));
  return absl::OkStatus();
}

absl::Status ConfigControl::TakeOver(const NodeConfig& next, const std::vector<Effect>& effects,
                                     ApplyMode mode) {
  const bool touches_instances = std::any_of(effects.begin(), effects.end(), [](const Effect& e) {
    return e.kind != EffectKind::kNone && e.subject.compare(0, 9, "instance/") == 0;
  });
  if (!touches_instances) return absl::OkStatus();
  ApplyResult result = deps_.instances->Apply(SpecsOf(next), mode);
  if (result.status.ok()) return absl::OkStatus();
  std::vector<std::string> reasons;
  for (const auto& [name, status] : result.failures) {
    reasons.push_back(absl::StrCat("instance \"", name, "\": ", status.message()));
  }
  const char* outcome = mode == ApplyMode::kBoot ? "config: " : "config: nothing was changed, ";
  return absl::Status(result.status.code(),
                      absl::StrCat(outcome, reasons.empty() ? std::string(result.status.message())
                                                            : absl::StrJoin(reasons, "; ")));
}

void ConfigControl::Adopt(NodeConfig next) {
  if (deps_.log_hub != nullptr) deps_.log_hub->Configure(next.log.level, next.log.levels);
  std::vector<std::string> waiting;
  {
    absl::MutexLock lock(&mutex_);
    for (const auto& effect : PlanChange(started_with_, next)) {
      if (effect.kind == EffectKind::kNodeRestart) waiting.push_back(effect.subject);
    }
    running_ = std::move(next);
  }
  if (waiting.empty()) {
    deps_.health->Set(kComponent, HealthState::kHealthy);
  } else {
    deps_.health->Set(
        kComponent, HealthState::kDegraded,
        absl::StrCat("a restart of the node takes over: ", absl::StrJoin(waiting, ", ")));
  }
}

absl::StatusOr<uint64_t> ConfigControl::RollbackTarget() const {
  auto head = deps_.revisions->head();
  for (const auto& revision : deps_.revisions->List(RevisionStore::kMaxRevisions)) {
    if (!head.has_value() || revision.number >= head->number) continue;
    const bool sound = revision.good && revision.state == RevisionState::kSuperseded;
    if (sound && revision.sha256 != head->sha256) return revision.number;
  }
  return absl::FailedPreconditionError(
      "config: no older revision was good and says something else");
}

ConfigControl::Outcome ConfigControl::Rollback(uint64_t to, RevisionStore::Proposal proposal) {
  Outcome outcome;
  if (to == 0) {
    // The same request would find another target once it has been carried out.
    auto earlier = deps_.revisions->FindRequest(proposal.request_id);
    if (earlier.has_value() && earlier->origin == RevisionOrigin::kRollback) {
      outcome.applied = Applied{*std::move(earlier), {}, {}};
      return outcome;
    }
    auto target = RollbackTarget();
    outcome.status = target.status();
    if (!target.ok()) return outcome;
    to = *target;
  }
  auto yaml = deps_.revisions->ReadYaml(to);
  outcome.status = yaml.status();
  if (!yaml.ok()) return outcome;
  proposal.yaml = *std::move(yaml);
  proposal.origin = RevisionOrigin::kRollback;
  if (proposal.comment.empty()) proposal.comment = absl::StrCat("back to revision ", to);
  return Apply(proposal);
}

absl::StatusOr<Revision> ConfigControl::Confirm(uint64_t number) {
  std::optional<Revision> good_before;
  {
    absl::MutexLock lock(&changing_);
    VD_RETURN_IF_ERROR(deps_.revisions->Confirm(number));
    rollback_.TakeBack();
    good_before = deps_.revisions->last_good();
    // Who confirms it has seen it work.
    if (!deps_.revisions->MarkGood().ok()) ArmGood(number);
  }
  if (good_before.has_value()) Tell(good_before->number, Change::kNoted);
  Tell(number, Change::kNoted);
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
    VD_ASSIGN_OR_RETURN(now, ReturnTo(head->based_on, "cancelled", author));
    rollback_.TakeBack();
  }
  Tell(number, Change::kNoted);
  Tell(now.number, Change::kRolledBack);
  return now;
}

// A node that goes back must come back: an instance that cannot be made any more is shown as failed
// rather than keeping everything else from returning.
absl::StatusOr<Revision> ConfigControl::ReturnTo(uint64_t number, std::string_view reason,
                                                 std::string_view author) {
  VD_ASSIGN_OR_RETURN(std::string yaml, deps_.revisions->ReadYaml(number));
  ConfigReport report = deps_.validator->Validate(yaml, kFileName);
  VD_RETURN_IF_ERROR(report.status());
  absl::Status taken =
      TakeOver(*report.config, PlanChange(running(), *report.config), ApplyMode::kBoot);
  if (!taken.ok()) {
    deps_.log->Error(kComponent, "an instance cannot be made as it was",
                     {{"reason", StdView(taken.message())}});
  }
  VD_ASSIGN_OR_RETURN(
      Revision now, deps_.revisions->FallBack(number, RevisionState::kRolledBack, reason, author));
  Adopt(std::move(*report.config));
  ArmGood(now.number);
  return now;
}

void ConfigControl::ScheduleGood() {
  auto head = deps_.revisions->head();
  if (head.has_value() && head->state == RevisionState::kRunning) ArmGood(head->number);
}

void ConfigControl::ArmGood(uint64_t number) {
  good_.Set(deps_.good_after, [this, number] { return OnGood(number); });
}

bool ConfigControl::OnGood(uint64_t number) {
  std::optional<Revision> good_before;
  absl::Status good;
  {
    absl::MutexLock lock(&changing_);
    auto head = deps_.revisions->head();
    if (!head.has_value() || head->number != number || head->state != RevisionState::kRunning) {
      return true;
    }
    good_before = deps_.revisions->last_good();
    good = deps_.revisions->MarkGood();
  }
  if (!good.ok()) {
    deps_.log->Warning(kComponent, "cannot note the revision as good",
                       {{"revision", absl::StrCat(number)}, {"reason", StdView(good.message())}});
    return false;
  }
  if (good_before.has_value() && good_before->number != number) {
    Tell(good_before->number, Change::kNoted);
  }
  Tell(number, Change::kNoted);
  return true;
}

bool ConfigControl::OnConfirmTimeout(uint64_t number) {
  absl::StatusOr<Revision> now = absl::CancelledError("");
  {
    absl::MutexLock lock(&changing_);
    auto head = deps_.revisions->head();
    if (!head.has_value() || head->number != number || head->state != RevisionState::kUnconfirmed) {
      return true;
    }
    now = ReturnTo(head->based_on, "not confirmed in time", "node");
  }
  if (!now.ok()) {
    deps_.log->Error(
        kComponent, "cannot roll back an unconfirmed revision, tries again",
        {{"revision", absl::StrCat(number)}, {"reason", StdView(now.status().message())}});
    return false;
  }
  deps_.log->Warning(kComponent, "rolled back, it was not confirmed in time",
                     {{"revision", absl::StrCat(number)}, {"now", absl::StrCat(now->number)}});
  Tell(number, Change::kNoted);
  Tell(now->number, Change::kRolledBack);
  return true;
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

void ConfigControl::Tell(uint64_t number, Change change) {
  auto revision = deps_.revisions->Get(number);
  if (revision.ok() && changed_) changed_(*revision, change);
}

}  // namespace viaduct
