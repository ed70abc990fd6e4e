#include "host/services/config_service.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "host/rpc/call.h"
#include "host/rpc/convert.h"
#include "host/rpc/describe.h"

namespace viaduct {
namespace {

namespace pb = control::v1;

// Findings of severity ERROR become field violations, so that every client shows them all.
grpc::Status ToStatus(const ConfigControl::Outcome& outcome, const char* method) {
  if (outcome.status.ok()) return grpc::Status::OK;
  rpc::Violations violations;
  for (const auto& finding : outcome.findings) {
    if (finding.severity != FindingSeverity::kError) continue;
    violations.Add(absl::StrCat("yaml", finding.pointer),
                   absl::StrCat("line ", finding.line, ": ", finding.text));
  }
  if (violations.empty()) return rpc::ToGrpc(outcome.status);
  return violations.ToStatus(method);
}

template <typename Findings>
void AddFindings(const std::vector<Finding>& findings, Findings* out) {
  for (const auto& finding : findings) *out->Add() = rpc::ToProto(finding);
}

template <typename Effects>
void AddEffects(const std::vector<Effect>& effects, Effects* out) {
  for (const auto& effect : effects) *out->Add() = rpc::ToProto(effect);
}

}  // namespace

grpc::ServerUnaryReactor* ConfigService::Get(grpc::CallbackServerContext* context,
                                             const pb::ConfigGetRequest* request,
                                             pb::ConfigGetResponse* response) {
  if (auto refused = deps_->gate->Refuse(*context, "viaduct.control.v1.Config/Get")) {
    return rpc::Answer(context, *std::move(refused));
  }
  const auto which = request->which_case();
  if (which == pb::ConfigGetRequest::kVersion &&
      (request->version() <= pb::CONFIG_VERSION_UNSPECIFIED ||
       request->version() > pb::CONFIG_VERSION_LAST_GOOD)) {
    rpc::Violations violations;
    violations.Add("version", absl::StrCat("expected RUNNING or LAST_GOOD, got ",
                                           static_cast<int>(request->version())));
    return rpc::Answer(context, violations.ToStatus("Config.Get"));
  }
  return rpc::RunOn(deps_->executor, context, [this, request, response, which] {
    ConfigControl* config = deps_->config;
    auto document = which == pb::ConfigGetRequest::kRevision
                        ? config->GetRevision(request->revision())
                    : request->version() == pb::CONFIG_VERSION_LAST_GOOD ? config->GetLastGood()
                                                                         : config->GetRunning();
    if (!document.ok()) return rpc::ToGrpc(document.status());
    *response->mutable_revision() = rpc::ToProto(document->revision);
    response->set_yaml(document->redacted_yaml);
    return grpc::Status::OK;
  });
}

grpc::ServerUnaryReactor* ConfigService::GetSchema(grpc::CallbackServerContext* context,
                                                   const pb::ConfigGetSchemaRequest* request,
                                                   pb::ConfigGetSchemaResponse* response) {
  if (auto refused = deps_->gate->Refuse(*context, "viaduct.control.v1.Config/GetSchema")) {
    return rpc::Answer(context, *std::move(refused));
  }
  if (request->plugin().empty()) {
    response->set_json_schema(std::string(NodeSchemaText()));
    return rpc::Answer(context, grpc::Status::OK);
  }
  return rpc::RunOn(deps_->executor, context, [this, request, response] {
    auto info = deps_->plugins->Describe(request->plugin());
    if (!info.ok()) return rpc::ToGrpc(info.status());
    if (!info->failure.ok()) {
      return rpc::ToGrpc(absl::FailedPreconditionError(absl::StrCat(
          "plugin \"", request->plugin(), "\" cannot be used, ", info->failure.message())));
    }
    response->set_json_schema(info->config_schema);
    return grpc::Status::OK;
  });
}

grpc::ServerUnaryReactor* ConfigService::Validate(grpc::CallbackServerContext* context,
                                                  const pb::ConfigValidateRequest* request,
                                                  pb::ConfigValidateResponse* response) {
  if (auto refused = deps_->gate->Refuse(*context, "viaduct.control.v1.Config/Validate")) {
    return rpc::Answer(context, *std::move(refused));
  }
  return rpc::RunOn(deps_->commands, context, [this, request, response] {
    ConfigReport report = deps_->config->Validate(request->yaml());
    response->set_valid(report.ok());
    AddFindings(report.findings, response->mutable_findings());
    return grpc::Status::OK;
  });
}

grpc::ServerUnaryReactor* ConfigService::Plan(grpc::CallbackServerContext* context,
                                              const pb::ConfigPlanRequest* request,
                                              pb::ConfigPlanResponse* response) {
  if (auto refused = deps_->gate->Refuse(*context, "viaduct.control.v1.Config/Plan")) {
    return rpc::Answer(context, *std::move(refused));
  }
  return rpc::RunOn(deps_->commands, context, [this, request, response] {
    ConfigControl::Planned planned = deps_->config->Plan(request->yaml());
    response->set_base_revision(planned.base_revision);
    response->set_valid(planned.report.ok());
    AddFindings(planned.report.findings, response->mutable_findings());
    AddEffects(planned.effects, response->mutable_effects());
    return grpc::Status::OK;
  });
}

grpc::ServerUnaryReactor* ConfigService::Apply(grpc::CallbackServerContext* context,
                                               const pb::ConfigApplyRequest* request,
                                               pb::ConfigApplyResponse* response) {
  if (auto refused = deps_->gate->Refuse(*context, "viaduct.control.v1.Config/Apply")) {
    return rpc::Answer(context, *std::move(refused));
  }
  rpc::Violations violations;
  RevisionStore::Proposal proposal;
  proposal.confirm_within = rpc::ReadDuration(
      request->has_confirm_within(), request->confirm_within(),
      {absl::ZeroDuration(), ConfigControl::kMinConfirm, ConfigControl::kMaxConfirm},
      "confirm_within", &violations);
  if (request->yaml().empty()) violations.Add("yaml", "missing");
  if (!violations.empty()) return rpc::Answer(context, violations.ToStatus("Config.Apply"));
  proposal.yaml = request->yaml();
  proposal.request_id = request->request_id();
  proposal.comment = request->comment();
  proposal.author = deps_->gate->Describe(*context);
  if (request->has_if_revision()) proposal.if_revision = request->if_revision();
  return rpc::RunOn(deps_->changes, context, [this, proposal = std::move(proposal), response] {
    auto outcome = deps_->config->Apply(proposal);
    Audit(*deps_, proposal.author, "Config.Apply", "", outcome.status);
    if (!outcome.status.ok()) return ToStatus(outcome, "Config.Apply");
    *response->mutable_revision() = rpc::ToProto(outcome.applied->revision);
    AddEffects(outcome.applied->effects, response->mutable_effects());
    AddFindings(outcome.applied->warnings, response->mutable_findings());
    return grpc::Status::OK;
  });
}

grpc::ServerUnaryReactor* ConfigService::Confirm(grpc::CallbackServerContext* context,
                                                 const pb::ConfigConfirmRequest* request,
                                                 pb::ConfigConfirmResponse* response) {
  if (auto refused = deps_->gate->Refuse(*context, "viaduct.control.v1.Config/Confirm")) {
    return rpc::Answer(context, *std::move(refused));
  }
  const std::string author = deps_->gate->Describe(*context);
  return rpc::RunOn(deps_->changes, context, [this, author, request, response] {
    auto revision = deps_->config->Confirm(request->revision());
    Audit(*deps_, author, "Config.Confirm", absl::StrCat(request->revision()), revision.status());
    if (!revision.ok()) return rpc::ToGrpc(revision.status());
    *response->mutable_revision() = rpc::ToProto(*revision);
    return grpc::Status::OK;
  });
}

grpc::ServerUnaryReactor* ConfigService::Cancel(grpc::CallbackServerContext* context,
                                                const pb::ConfigCancelRequest* request,
                                                pb::ConfigCancelResponse* response) {
  if (auto refused = deps_->gate->Refuse(*context, "viaduct.control.v1.Config/Cancel")) {
    return rpc::Answer(context, *std::move(refused));
  }
  const std::string author = deps_->gate->Describe(*context);
  return rpc::RunOn(deps_->changes, context, [this, author, request, response] {
    auto revision = deps_->config->Cancel(request->revision(), author);
    Audit(*deps_, author, "Config.Cancel", absl::StrCat(request->revision()), revision.status());
    if (!revision.ok()) return rpc::ToGrpc(revision.status());
    *response->mutable_revision() = rpc::ToProto(*revision);
    return grpc::Status::OK;
  });
}

grpc::ServerUnaryReactor* ConfigService::Rollback(grpc::CallbackServerContext* context,
                                                  const pb::ConfigRollbackRequest* request,
                                                  pb::ConfigRollbackResponse* response) {
  if (auto refused = deps_->gate->Refuse(*context, "viaduct.control.v1.Config/Rollback")) {
    return rpc::Answer(context, *std::move(refused));
  }
  RevisionStore::Proposal proposal;
  proposal.request_id = request->request_id();
  proposal.author = deps_->gate->Describe(*context);
  if (request->has_if_revision()) proposal.if_revision = request->if_revision();
  return rpc::RunOn(deps_->changes, context,
                    [this, request, proposal = std::move(proposal), response] {
                      auto outcome = deps_->config->Rollback(request->to_revision(), proposal);
                      Audit(*deps_, proposal.author, "Config.Rollback",
                            absl::StrCat(request->to_revision()), outcome.status);
                      if (!outcome.status.ok()) return ToStatus(outcome, "Config.Rollback");
                      *response->mutable_revision() = rpc::ToProto(outcome.applied->revision);
                      AddEffects(outcome.applied->effects, response->mutable_effects());
                      return grpc::Status::OK;
                    });
}

grpc::ServerUnaryReactor* ConfigService::ListRevisions(
    grpc::CallbackServerContext* context, const pb::ConfigListRevisionsRequest* request,
    pb::ConfigListRevisionsResponse* response) {
  if (auto refused = deps_->gate->Refuse(*context, "viaduct.control.v1.Config/ListRevisions")) {
    return rpc::Answer(context, *std::move(refused));
  }
  if (request->limit() > kMaxRevisions) {
    rpc::Violations violations;
    violations.Add("limit", absl::StrCat("at most ", kMaxRevisions, ", got ", request->limit()));
    return rpc::Answer(context, violations.ToStatus("Config.ListRevisions"));
  }
  const uint32_t limit = request->limit() == 0 ? kDefaultRevisions : request->limit();
  return rpc::RunOn(deps_->executor, context, [this, limit, response] {
    for (const auto& revision : deps_->config->ListRevisions(limit)) {
      *response->add_revisions() = rpc::ToProto(revision);
    }
    return grpc::Status::OK;
  });
}

grpc::ServerWriteReactor<pb::ConfigWatchResponse>* ConfigService::Watch(
    grpc::CallbackServerContext* context, const pb::ConfigWatchRequest* request) {
  constexpr std::string_view kMethod = "viaduct.control.v1.Config/Watch";
  if (auto refused = deps_->gate->Refuse(*context, kMethod)) {
    return rpc::RejectWatch<pb::ConfigWatchResponse>(*std::move(refused));
  }
  const StateHub::ReadPastFn read_past =
      [this, from = request->from_revision()]() -> absl::StatusOr<std::vector<pb::Revision>> {
    std::vector<Revision> kept = deps_->config->ListRevisions(RevisionStore::kMaxRevisions);
    std::reverse(kept.begin(), kept.end());
    if (from != 0 && !kept.empty() && from < kept.front().number) {
      return absl::OutOfRangeError(absl::StrCat(
          "config: revision ", from, " is no longer kept, the oldest is ", kept.front().number));
    }
    std::vector<pb::Revision> past;
    for (const auto& revision : kept) {
      const bool wanted = from != 0 ? revision.number >= from : &revision == &kept.back();
      if (wanted) past.push_back(rpc::ToProto(revision));
    }
    return past;
  };
  return rpc::WhileAllowed(deps_->hub->WatchConfig(read_past),
                           deps_->gate->Standing(*context, kMethod));
}

}  // namespace viaduct
