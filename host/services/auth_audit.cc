// The audit, by viaduct.control.v1.Auth.
#include <optional>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "host/rpc/convert.h"
#include "host/services/auth_convert.h"
#include "host/services/auth_service.h"

namespace viaduct {
namespace {

namespace pb = control::v1;
using security::AuditPosition;

std::string TokenOf(const AuditPosition& position) {
  return absl::StrCat(position.file, ".", position.offset);
}

bool ReadToken(const std::string& token, std::optional<AuditPosition>* position) {
  const size_t dot = token.find('.');
  AuditPosition found;
  if (dot == std::string::npos || !absl::SimpleAtoi(token.substr(0, dot), &found.file) ||
      !absl::SimpleAtoi(token.substr(dot + 1), &found.offset)) {
    return false;
  }
  *position = found;
  return true;
}

}  // namespace

grpc::ServerUnaryReactor* AuthService::ListAudit(grpc::CallbackServerContext* context,
                                                 const pb::AuthListAuditRequest* request,
                                                 pb::AuthListAuditResponse* response) {
  if (auto refused = deps_->gate->Refuse(*context, "viaduct.control.v1.Auth/ListAudit")) {
    return rpc::Answer(context, *std::move(refused));
  }
  if (deps_->audit == nullptr) return rpc::Answer(context, NotConfigured());
  rpc::Violations violations;
  const uint32_t size = PageSize(request->page_size(), &violations);
  std::optional<AuditPosition> from;
  if (!request->page_token().empty() && !ReadToken(request->page_token(), &from)) {
    violations.Add("page_token", "not one of this list");
  }
  security::AuditFilter filter{request->who(), request->what(), request->subject()};
  if (request->has_since() && !rpc::FromProto(request->since(), &filter.since)) {
    violations.Add("since", "not a time");
  }
  if (!violations.empty()) return rpc::Answer(context, violations.ToStatus("Auth.ListAudit"));
  return rpc::RunOn(deps_->auth, context, [this, context, response, size, from, filter] {
    const auto page = security::ReadAudit(deps_->audit->folder(), filter, from, size,
                                          [context] { return !context->IsCancelled(); });
    if (!page.ok()) return rpc::ToGrpc(page.status());
    for (const security::AuditEntry& entry : page->entries) {
      *response->add_entries() = rpc::ToProto(entry);
    }
    if (page->next.has_value()) response->set_next_page_token(TokenOf(*page->next));
    response->set_unreadable(page->unreadable);
    return grpc::Status::OK;
  });
}

grpc::ServerUnaryReactor* AuthService::VerifyAudit(grpc::CallbackServerContext* context,
                                                   const pb::AuthVerifyAuditRequest* request,
                                                   pb::AuthVerifyAuditResponse* response) {
  if (auto refused = deps_->gate->Refuse(*context, "viaduct.control.v1.Auth/VerifyAudit")) {
    return rpc::Answer(context, *std::move(refused));
  }
  if (deps_->audit == nullptr) return rpc::Answer(context, NotConfigured());
  return rpc::RunOn(deps_->auth, context, [this, context, request, response] {
    std::optional<security::AuditHead> noted;
    if (request->has_noted() && request->noted().sequence() > 0) {
      noted = {request->noted().sequence(), request->noted().hash()};
    }
    security::AuditReach reach;
    reach.last = deps_->audit->head().sequence;
    reach.go_on = [context] { return !context->IsCancelled(); };
    const auto report = security::VerifyAudit(deps_->audit->folder(), noted, reach);
    if (!report.ok()) return rpc::ToGrpc(report.status());
    response->set_records(report->records);
    response->set_first(report->first);
    response->mutable_head()->set_sequence(report->head.sequence);
    response->mutable_head()->set_hash(report->head.hash);
    response->set_dropped(deps_->audit->dropped());
    return grpc::Status::OK;
  });
}

}  // namespace viaduct
