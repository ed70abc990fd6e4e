#include "host/services/deps.h"

#include "absl/strings/str_cat.h"
#include "core/base/string_view.h"

namespace viaduct {

void Audit(const ServiceDeps& deps, const std::string& author, std::string_view method,
           std::string_view subject, const absl::Status& status) {
  const std::string result = absl::StatusCodeToString(status.code());
  deps.log_hub->Audit("changing call", {{"method", method},
                                        {"subject", subject},
                                        {"author", author},
                                        {"result", result},
                                        {"reason", StdView(status.message())}});
  if (deps.audit != nullptr) {
    security::AuditRecord record;
    record.who = author;
    record.what = std::string(method);
    record.subject = std::string(subject);
    record.from = "control plane";
    record.result = status.ok() ? "ok" : status.ToString();
    deps.audit->Append(std::move(record));
  }
  deps.hub->PublishEvent(control::v1::EVENT_KIND_AUDIT, subject,
                         absl::StrCat(AbslView(method), " by ", author, ": ", result));
}

}  // namespace viaduct
