// What pages show of the node itself, and have it do.
#include <cmath>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "core/lpr/application_impl.h"
#include "core/lpr/json_fields.h"
#include "core/lpr/node_desk.h"
#include "core/lpr/own_page.h"

namespace viaduct {
namespace {

constexpr int kDefaultTransfers = 50;
constexpr size_t kMaxNoteBytes = 1'000;
constexpr size_t kMaxYamlBytes = 1u << 20;            // Of a revision.
constexpr double kMaxConfirmSeconds = 24 * 3600;      // The node itself has bounds as well.
constexpr double kMaxWholeNumber = 9007199254740992;  // 2^53

std::string AuthorOf(const CallRequest& call) {
  return call.principal != nullptr ? call.principal->Describe() : "nobody";
}

// A revision by its number; nothing where it is not given.
absl::StatusOr<std::optional<uint64_t>> RevisionIn(const JsonFields& fields) {
  VD_ASSIGN_OR_RETURN(const std::optional<double> number, fields.Number("revision"));
  if (!number.has_value()) return std::optional<uint64_t>();
  if (*number < 0 || *number > kMaxWholeNumber || *number != std::floor(*number)) {
    return absl::InvalidArgumentError(absl::StrCat("revision: not a number of one, ", *number));
  }
  return std::optional<uint64_t>(static_cast<uint64_t>(*number));
}

absl::StatusOr<std::string> YamlIn(const JsonFields& fields) {
  VD_ASSIGN_OR_RETURN(std::optional<std::string> yaml, fields.Text({"yaml"}, kMaxYamlBytes));
  if (yaml.has_value() && !yaml->empty()) return *std::move(yaml);
  return absl::InvalidArgumentError("Missing required field: yaml");
}

}  // namespace

void Application::Impl::GetLinks(RoutedRequest /*request*/, ReplyFn reply) {
  parts_.desk->ShowLinks(std::move(reply));
}

void Application::Impl::ListTransfers(RoutedRequest request, ReplyFn reply) {
  const absl::StatusOr<QueryParams> params = QueryParams::Parse(request.call.query);
  if (!params.ok()) return reply(Failed(params.status()));
  const absl::StatusOr<int> limit = params->Int("limit", kDefaultTransfers, 1, kMaxPageRows);
  if (!limit.ok()) return reply(Failed(limit.status()));
  parts_.desk->ShowTransfers(*limit, params->Text({"cursor"}), std::move(reply));
}

void Application::Impl::ListAlerts(RoutedRequest /*request*/, ReplyFn reply) {
  parts_.desk->ShowAlerts(std::move(reply));
}

void Application::Impl::AcknowledgeAlert(RoutedRequest request, ReplyFn reply) {
  std::string note;
  const auto read = [&]() -> absl::Status {
    if (request.call.body.empty()) return absl::OkStatus();
    VD_ASSIGN_OR_RETURN(const JsonFields fields,
                        JsonFields::Parse(request.call.body, options_.max_body_bytes));
    VD_ASSIGN_OR_RETURN(std::optional<std::string> text, fields.Text({"note"}, kMaxNoteBytes));
    note = std::move(text).value_or("");
    return absl::OkStatus();
  };
  const absl::Status status = read();
  if (!status.ok()) return reply(Failed(status));
  const security::Principal* const who = request.call.principal.get();
  parts_.desk->Acknowledge(std::move(request.parameter), who != nullptr ? who->id : "",
                           std::move(note), std::move(reply));
}

void Application::Impl::GetConfig(RoutedRequest /*request*/, ReplyFn reply) {
  parts_.desk->ShowConfig(std::move(reply));
}

void Application::Impl::PlanConfig(RoutedRequest request, ReplyFn reply) {
  const absl::StatusOr<JsonFields> fields =
      JsonFields::Parse(request.call.body, options_.max_body_bytes);
  if (!fields.ok()) return reply(MalformedReply(fields.status()));
  absl::StatusOr<std::string> yaml = YamlIn(*fields);
  if (!yaml.ok()) return reply(Failed(yaml.status()));
  parts_.desk->PlanConfig(*std::move(yaml), std::move(reply));
}

// Whoever asks nobody who they are cannot tell a page of its own from one of anybody, which a
// browser on this machine shows: that may not reach as far as the configuration.
bool Application::Impl::MayChangeConfig(const CallRequest& call, ReplyFn* reply) const {
  if (options_.guarded && OriginOf(call) != PageOrigin::kForeign) return true;
  (*reply)(ErrorReply(403, options_.guarded
                               ? "origin: a page of another site"
                               : "config: not by HTTP where nobody is asked who they are, use "
                                 "viaductctl"));
  return false;
}

void Application::Impl::ApplyConfig(RoutedRequest request, ReplyFn reply) {
  if (!MayChangeConfig(request.call, &reply)) return;
  NodeDesk::Apply apply;
  const auto read = [&]() -> absl::Status {
    VD_ASSIGN_OR_RETURN(const JsonFields fields,
                        JsonFields::Parse(request.call.body, options_.max_body_bytes));
    VD_ASSIGN_OR_RETURN(apply.yaml, YamlIn(fields));
    VD_ASSIGN_OR_RETURN(const std::optional<double> confirm, fields.Number("confirm_within_s"));
    if (confirm.has_value() && (*confirm < 0 || *confirm > kMaxConfirmSeconds)) {
      return absl::InvalidArgumentError(
          absl::StrCat("confirm_within_s: expected 0 to ", kMaxConfirmSeconds, ", got ", *confirm));
    }
    apply.confirm_within = absl::Seconds(confirm.value_or(0));
    return absl::OkStatus();
  };
  const absl::Status status = read();
  if (!status.ok()) return reply(Failed(status));
  apply.author = AuthorOf(request.call);
  parts_.desk->ApplyConfig(std::move(apply), std::move(reply));
}

void Application::Impl::ConfirmConfig(RoutedRequest request, ReplyFn reply) {
  if (!MayChangeConfig(request.call, &reply)) return;
  std::optional<uint64_t> revision;
  if (!request.call.body.empty()) {
    const absl::StatusOr<JsonFields> fields =
        JsonFields::Parse(request.call.body, options_.max_body_bytes);
    if (!fields.ok()) return reply(MalformedReply(fields.status()));
    const absl::StatusOr<std::optional<uint64_t>> given = RevisionIn(*fields);
    if (!given.ok()) return reply(Failed(given.status()));
    revision = *given;
  }
  parts_.desk->ConfirmConfig(revision, std::move(reply));
}

void Application::Impl::RollBackConfig(RoutedRequest request, ReplyFn reply) {
  if (!MayChangeConfig(request.call, &reply)) return;
  const absl::StatusOr<JsonFields> fields =
      JsonFields::Parse(request.call.body, options_.max_body_bytes);
  if (!fields.ok()) return reply(MalformedReply(fields.status()));
  const absl::StatusOr<std::optional<uint64_t>> revision = RevisionIn(*fields);
  if (!revision.ok()) return reply(Failed(revision.status()));
  parts_.desk->RollBackConfig(revision->value_or(0), AuthorOf(request.call), std::move(reply));
}

}  // namespace viaduct
