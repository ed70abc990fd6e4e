#include "host/services/deps.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "core/base/string_view.h"

namespace viaduct {
namespace {

constexpr char kComponent[] = "audit";

// "viaduct.control.v1.Node/Drain" for "Node.Drain", as the table of permissions calls it; what is
// no method of a service stays as it is.
std::string FullName(std::string_view method) {
  const size_t dot = method.find('.');
  if (dot == std::string_view::npos) return std::string(method);
  return absl::StrCat("viaduct.control.v1.", AbslView(method.substr(0, dot)), "/",
                      AbslView(method.substr(dot + 1)));
}

security::AuditRecord RecordOf(const std::string& author, std::string_view method,
                               std::string_view subject, std::string result) {
  security::AuditRecord record;
  record.who = author;
  record.what = FullName(method);
  record.subject = std::string(subject);
  record.from = "control plane";
  record.result = std::move(result);
  return record;
}

}  // namespace

void Audit(const ServiceDeps& deps, const std::string& author, std::string_view method,
           std::string_view subject, const absl::Status& status) {
  absl::Notification kept;
  AuditThen(deps, author, method, subject, status, [&kept] { kept.Notify(); });
  kept.WaitForNotification();
}

void AuditThen(const ServiceDeps& deps, const std::string& author, std::string_view method,
               std::string_view subject, const absl::Status& status, std::function<void()> then) {
  const std::string result = absl::StatusCodeToString(status.code());
  deps.log_hub->Audit("changing call", {{"method", method},
                                        {"subject", subject},
                                        {"author", author},
                                        {"result", result},
                                        {"reason", StdView(status.message())}});
  deps.hub->PublishEvent(control::v1::EVENT_KIND_AUDIT, subject,
                         absl::StrCat(AbslView(method), " by ", author, ": ", result));
  if (deps.audit == nullptr) return then();
  deps.audit->AppendThen(RecordOf(author, method, subject, status.ok() ? "ok" : status.ToString()),
                         [log = deps.log_hub, then = std::move(then)](const absl::Status& kept) {
                           if (!kept.ok()) {
                             log->Error(kComponent, "a changing call could not be written down",
                                        {{"reason", StdView(kept.message())}});
                           }
                           then();
                         });
}

absl::Status AuditBegin(const ServiceDeps& deps, const std::string& author, std::string_view method,
                        std::string_view subject) {
  if (deps.audit == nullptr) return absl::OkStatus();
  return deps.audit->AppendDurably(RecordOf(author, method, subject, "begins"));
}

}  // namespace viaduct
