#include "host/node/node_commands.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "core/base/string_view.h"
#include "core/config/fleet_options.h"
#include "core/config/patch_document.h"
#include "core/config/units.h"
#include "core/lpr/command_attributes.h"
#include "core/lpr/fleet.h"
#include "core/lpr/json_writer.h"
#include "core/message/json_scanner.h"
#include "core/plugin/road_prober.h"
#include "host/node/node_commands_json.h"

namespace viaduct {
namespace {

constexpr size_t kMaxInstanceNameBytes = 64;
constexpr size_t kMaxCommentBytes = 1024;
constexpr size_t kMaxReasonBytes = 1024;
constexpr std::string_view kUpdate = "update_config";
constexpr std::string_view kFileStatus = "file_transfer_status";
constexpr size_t kMaxTransferTextBytes = 512;
constexpr char kBusy[] = "the node is busy, too many commands wait";
constexpr double kMaxRevision = 9e15;  // Beyond it a number of JSON is not exact.

int NumberOf(const absl::Status& status) {
  const bool conflict = absl::IsAborted(status) || absl::IsFailedPrecondition(status);
  return conflict ? 409 : HttpStatusOf(status);
}

CallReply Failed(const absl::Status& status) {
  return ErrorReply(NumberOf(status), StdView(status.message()));
}

std::string MessageIdOf(const CallRequest& request) {
  for (const auto& [name, value] : request.attributes) {
    if (name == kMessageIdAttribute) return value;
  }
  return "";
}

absl::StatusOr<std::optional<uint64_t>> ReadRevision(const JsonFields& fields,
                                                     std::string_view name) {
  VD_ASSIGN_OR_RETURN(const std::optional<double> number, fields.Number(name));
  if (!number.has_value()) return std::optional<uint64_t>();
  if (*number < 1 || *number > kMaxRevision || std::floor(*number) != *number) {
    return absl::InvalidArgumentError(
        absl::StrCat(AbslView(name), ": expected the number of a revision, got ", *number));
  }
  return std::optional<uint64_t>(static_cast<uint64_t>(*number));
}

// Whatever it changes of the instance, it replaces it.
bool CutsOff(const ConfigControl::Planned& planned, const std::string& carrier) {
  const std::string subject = absl::StrCat("instance/", carrier);
  return std::any_of(planned.effects.begin(), planned.effects.end(), [&](const Effect& effect) {
    return effect.subject == subject && effect.kind != EffectKind::kNone;
  });
}

// The whole document, or what is to change in the present one.
absl::Status ReadDocument(const JsonFields& fields, RevisionStore* revisions,
                          RevisionStore::Proposal* proposal) {
  VD_ASSIGN_OR_RETURN(const auto yaml, fields.Text({"yaml"}, NodeCommands::kMaxConfigBytes));
  VD_ASSIGN_OR_RETURN(const auto patch, fields.Object("patch"));
  if (yaml.has_value() == patch.has_value()) {
    return absl::InvalidArgumentError("arguments: expected either yaml or patch");
  }
  if (yaml.has_value()) {
    if (yaml->empty()) return absl::InvalidArgumentError("yaml: expected a document, got none");
    proposal->yaml = *yaml;
    return absl::OkStatus();
  }
  const auto head = revisions->head();
  if (!head.has_value()) return absl::FailedPreconditionError("patch: there is no revision");
  VD_ASSIGN_OR_RETURN(const std::string present, revisions->ReadYaml(head->number));
  VD_ASSIGN_OR_RETURN(proposal->yaml, PatchDocument(present, *patch));
  // Of this text and no later one.
  if (!proposal->if_revision.has_value()) proposal->if_revision = head->number;
  return absl::OkStatus();
}

absl::StatusOr<RevisionStore::Proposal> ReadProposal(const JsonFields& fields,
                                                     RevisionStore* revisions) {
  RevisionStore::Proposal proposal;
  VD_ASSIGN_OR_RETURN(proposal.if_revision, ReadRevision(fields, "if_revision"));
  VD_RETURN_IF_ERROR(ReadDocument(fields, revisions, &proposal));
  VD_ASSIGN_OR_RETURN(const auto request_id, fields.Text({"request_id"}, kMaxCommentBytes));
  VD_ASSIGN_OR_RETURN(const auto comment, fields.Text({"comment"}, kMaxCommentBytes));
  VD_ASSIGN_OR_RETURN(const auto within, fields.Text({"confirm_within"}, kMaxInstanceNameBytes));
  proposal.request_id = request_id.value_or("");
  proposal.comment = comment.value_or("");
  if (!within.has_value()) return proposal;
  const auto duration = ParseDuration(*within);
  if (!duration.ok() || *duration < ConfigControl::kMinConfirm ||
      *duration > ConfigControl::kMaxConfirm) {
    return absl::InvalidArgumentError(
        absl::StrCat("confirm_within: expected 1s to 24h, got ", ShownText(*within)));
  }
  proposal.confirm_within = *duration;
  return proposal;
}

}  // namespace

const NodeCommands::Entry NodeCommands::kEntries[] = {
    {"get_status", &NodeCommands::GetStatus, false},
    {"get_health", &NodeCommands::GetHealth, false},
    {"test_connection", &NodeCommands::TestConnection, false},
    {"restart_instance", &NodeCommands::RestartInstance, true},
    {"update_config", &NodeCommands::UpdateConfig, true},
    {"confirm_config", &NodeCommands::ConfirmConfig, true},
    {kFileStatus, &NodeCommands::FileTransferStatus, false},
};

void NodeCommands::Begin(Deps deps) {
  deps_ = std::move(deps);
  begun_ = true;
}

std::string NodeCommands::Author(const CallRequest& request) const {
  return absl::StrCat("server by ", request.peer.instance, " ", request.peer.address);
}

bool NodeCommands::IsAccepted(std::string_view name) const {
  if (name == kFileStatus) return true;  // Known only where it is waited for.
  const std::vector<std::string> accept = ReadFleetOptions(deps_.config->running()).accept;
  return std::find(accept.begin(), accept.end(), name) != accept.end();
}

bool NodeCommands::IsKnown(const Entry& entry) const {
  return entry.name != kFileStatus || deps_.file_status != nullptr;  // transfers.confirm: server
}

CallReply NodeCommands::Unknown(std::string_view name) const {
  JsonWriter json;
  json.BeginObject().Field("success", false);
  json.Field("message",
             std::string_view(absl::StrCat("command: not known here, ", ShownText(name))));
  json.Key("commands").BeginArray();
  for (const Entry& entry : kEntries) {
    if (IsKnown(entry)) json.String(entry.name);
  }
  json.EndArray().EndObject();
  return JsonReply(501, json.Take());
}

CallReply NodeCommands::NotAccepted(std::string_view name) const {
  return ErrorReply(403, absl::StrCat("command: ", ShownText(name),
                                      " is not accepted here, fleet.accept in the configuration "
                                      "of this node does not name it"));
}

void NodeCommands::Handle(CallRequest request, ReplyFn reply) {
  if (!begun_) return reply(ErrorReply(503, "the node is starting"));
  const auto* const entry =
      std::find_if(std::begin(kEntries), std::end(kEntries),
                   [&](const Entry& each) { return each.name == request.path && IsKnown(each); });
  if (entry == std::end(kEntries)) return reply(Unknown(request.path));
  if (!IsAccepted(entry->name)) {
    return RunOn(deps_.reads, reply, [this, author = Author(request), path = request.path, reply] {
      deps_.audit(author, path, "", absl::PermissionDeniedError("fleet.accept does not name it"));
      reply(NotAccepted(path));
    });
  }
  const auto arguments = JsonFields::Parse(request.body, Fleet::kMaxAnswerBytes);
  if (!arguments.ok()) return reply(Failed(arguments.status()));
  const std::string message_id = MessageIdOf(request);
  if (entry->changes && !message_id.empty()) {
    reply = memory_.Enter(absl::StrCat(AbslView(entry->name), "\n", message_id), std::move(reply));
    if (reply == nullptr) return;  // It has come before.
  }
  (this->*entry->handler)(request, *arguments, std::move(reply));
}

void NodeCommands::RunOn(Executor* executor, const ReplyFn& reply, Task task) {
  if (executor->Submit(std::move(task))) return;
  reply(ErrorReply(503, kBusy));
}

bool NodeCommands::RunLater(Executor* executor, Later later, Work work) {
  later.deferred.at = deps_.clock->Now();
  const auto shared = std::make_shared<const Later>(std::move(later));
  const uint64_t timer =
      deps_.timers->ArmAfter(kAnswerFirst, [this, executor, shared, work = std::move(work)] {
        const bool taken = executor->Submit([this, shared, work] { EndDeferred(*shared, work()); });
        if (!taken) EndDeferred(*shared, absl::UnavailableError(kBusy));
      });
  if (timer == 0) return false;
  absl::MutexLock lock(&mutex_);
  last_deferred_ = shared->deferred;
  return true;
}

void NodeCommands::EndDeferred(const Later& later, const absl::Status& status) {
  DeferredCommand ended = later.deferred;
  ended.status = status.ok() ? 200 : NumberOf(status);
  ended.reason = std::string(CutText(StdView(status.message()), kMaxReasonBytes));
  ended.at = deps_.clock->Now();
  {
    absl::MutexLock lock(&mutex_);
    last_deferred_ = std::move(ended);
  }
  deps_.audit(later.author, later.deferred.command, later.deferred.subject, status);
}

std::optional<DeferredCommand> NodeCommands::last_deferred() const {
  absl::MutexLock lock(&mutex_);
  return last_deferred_;
}

// ---- reading

void NodeCommands::GetStatus(const CallRequest& /*request*/, const JsonFields& /*arguments*/,
                             ReplyFn reply) {
  RunOn(deps_.reads, reply, [this, reply] {
    std::optional<SpoolInfo> spool;
    if (deps_.spool != nullptr) spool = deps_.spool->Info();
    reply(JsonReply(200, StatusJson(deps_.info(), deps_.instances->List(), spool, last_deferred(),
                                    deps_.clock->Now())));
  });
}

void NodeCommands::GetHealth(const CallRequest& /*request*/, const JsonFields& /*arguments*/,
                             ReplyFn reply) {
  reply(JsonReply(200, HealthJson(*deps_.health, deps_.clock->Now())));
}

void NodeCommands::FileTransferStatus(const CallRequest& /*request*/, const JsonFields& arguments,
                                      ReplyFn reply) {
  std::string texts[4];
  const char* const names[4] = {"transfer_id", "status", "sha256", "detail"};
  for (size_t i = 0; i < 4; ++i) {
    const auto text = arguments.Text({names[i]}, kMaxTransferTextBytes);
    if (!text.ok()) return reply(Failed(text.status()));
    texts[i] = text->value_or("");
  }
  if (texts[0].empty() || texts[1].empty()) {
    return reply(Failed(absl::InvalidArgumentError("transfer_id, status: required")));
  }
  deps_.file_status(texts[0], texts[1], texts[2], texts[3]);
  reply(JsonReply(200, R"({"success":true})"));
}

void NodeCommands::TestConnection(const CallRequest& /*request*/, const JsonFields& arguments,
                                  ReplyFn reply) {
  const auto name = arguments.Text({"instance"}, kMaxInstanceNameBytes);
  if (!name.ok()) return reply(Failed(name.status()));
  std::vector<InstanceInfo> tried;
  for (InstanceInfo& info : deps_.instances->List()) {
    const bool wanted = name->has_value() ? info.name == **name : info.link;
    if (wanted) tried.push_back(std::move(info));
  }
  if (name->has_value() && tried.empty()) {
    return reply(Failed(deps_.instances->Get(**name).status()));
  }
  auto all = std::make_shared<ConnectionTests>(tried, [this, reply](const ConnectionTests& tests) {
    reply(JsonReply(200, tests.Json(deps_.clock->Now())));
  });
  for (size_t i = 0; i < tried.size(); ++i) {
    const auto prober = deps_.instances->prober(tried[i].name);
    if (!prober.ok()) {
      all->SetUnmeasured(i);
      continue;
    }
    (*prober)->Probe(kProbeTimeout, kProbeBytes,
                     [all, i](const ProbeResult& result) { all->Set(i, result); });
  }
  all->Done();
}

// ---- changing

void NodeCommands::RestartInstance(const CallRequest& request, const JsonFields& arguments,
                                   ReplyFn reply) {
  const auto name = arguments.Text({"instance"}, kMaxInstanceNameBytes);
  if (!name.ok()) return reply(Failed(name.status()));
  if (!name->has_value()) return reply(ErrorReply(400, "Missing required field: instance"));
  const auto known = deps_.instances->Get(**name);
  if (!known.ok()) return reply(Failed(known.status()));
  const std::string author = Author(request);
  const Work restart = [this, name = **name] { return deps_.instances->Restart(name); };
  if (request.peer.instance == **name) {
    // It carries the answer, which must be gone before.
    Later later = {author, {MessageIdOf(request), "", "restart_instance", **name}};
    const bool armed = RunLater(deps_.commands, std::move(later), restart);
    return reply(armed ? JsonReply(202, AcceptedJson(**name, *known)) : ErrorReply(503, kBusy));
  }
  RunOn(deps_.commands, reply, [this, restart, author, name = **name, reply] {
    const absl::Status status = restart();
    deps_.audit(author, "restart_instance", name, status);
    if (!status.ok()) return reply(Failed(status));
    const auto now = deps_.instances->Get(name);
    reply(now.ok() ? JsonReply(200, InstanceJson(*now)) : Failed(now.status()));
  });
}

void NodeCommands::UpdateConfig(const CallRequest& request, const JsonFields& arguments,
                                ReplyFn reply) {
  absl::StatusOr<RevisionStore::Proposal> proposal =
      ReadProposal(arguments, deps_.config->revisions());
  if (!proposal.ok()) return reply(Failed(proposal.status()));
  proposal->author = Author(request);
  RunOn(deps_.changes, reply,
        [this, carrier = request.peer.instance, message_id = MessageIdOf(request),
         proposal = *std::move(proposal), reply] {
          const ConfigControl::Planned planned = deps_.config->Plan(proposal.yaml);
          if (!CutsOff(planned, carrier)) return ChangeNow(proposal, reply);
          ChangeLater(planned, message_id, proposal, reply);
        });
}

// What Apply would say before it looks at the document.
absl::Status NodeCommands::CheckBase(const RevisionStore::Proposal& proposal, uint64_t base) const {
  if (proposal.if_revision.has_value() && *proposal.if_revision != base) {
    return absl::AbortedError(
        absl::StrCat("config: revision ", base, " is running, not ", *proposal.if_revision));
  }
  const auto head = deps_.config->revisions()->head();
  if (!head.has_value() || head->state != RevisionState::kUnconfirmed) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat("config: revision ", head->number, " waits for its confirmation"));
}

void NodeCommands::ChangeNow(const RevisionStore::Proposal& proposal, const ReplyFn& reply) {
  const ConfigControl::Outcome outcome = deps_.config->Apply(proposal);
  deps_.audit(proposal.author, kUpdate, "", outcome.status);
  if (outcome.status.ok()) return reply(JsonReply(200, AppliedJson(*outcome.applied)));
  if (outcome.findings.empty()) return reply(Failed(outcome.status));
  reply(JsonReply(422, FindingsJson(outcome.status, outcome.findings)));
}

// It changes the road that carries the answer, which must be gone before.
void NodeCommands::ChangeLater(const ConfigControl::Planned& planned, const std::string& message_id,
                               RevisionStore::Proposal proposal, const ReplyFn& reply) {
  const absl::Status base = CheckBase(proposal, planned.base_revision);
  if (!base.ok()) {
    deps_.audit(proposal.author, kUpdate, "", base);
    return reply(Failed(base));
  }
  if (!proposal.if_revision.has_value()) proposal.if_revision = planned.base_revision;
  if (proposal.confirm_within == absl::ZeroDuration()) proposal.confirm_within = kConfirmAfterCut;
  CallReply accepted = JsonReply(202, PlannedJson(planned, proposal.confirm_within));
  Later later = {proposal.author, {message_id, proposal.request_id, std::string(kUpdate)}};
  const bool armed = RunLater(
      deps_.changes, std::move(later),
      [this, proposal = std::move(proposal)] { return deps_.config->Apply(proposal).status; });
  reply(armed ? std::move(accepted) : ErrorReply(503, kBusy));
}

void NodeCommands::ConfirmConfig(const CallRequest& request, const JsonFields& arguments,
                                 ReplyFn reply) {
  const auto number = ReadRevision(arguments, "revision");
  if (!number.ok()) return reply(Failed(number.status()));
  if (!number->has_value()) return reply(ErrorReply(400, "Missing required field: revision"));
  RunOn(deps_.changes, reply, [this, author = Author(request), number = **number, reply] {
    const auto revision = deps_.config->Confirm(number);
    deps_.audit(author, "confirm_config", absl::StrCat(number), revision.status());
    reply(revision.ok() ? JsonReply(200, RevisionJson(*revision)) : Failed(revision.status()));
  });
}

}  // namespace viaduct
