#include "core/lpr/device_status.h"

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "core/lpr/json_fields.h"
#include "core/message/identity.h"

namespace viaduct {
namespace {

constexpr size_t kMaxWordBytes = 64;

std::string FactIn(const JsonFields& fields, std::string_view name) {
  const auto text = fields.Text({name}, kMaxFactBytes);
  return text.ok() ? text->value_or("") : "";
}

}  // namespace

absl::StatusOr<DeviceStatus> ReadDeviceStatus(const std::string& body, size_t max_bytes) {
  DeviceStatus out;
  out.word = body;
  const size_t begin = body.find_first_not_of(" \t\r\n");
  if (begin != std::string::npos && body[begin] == '{') {
    VD_ASSIGN_OR_RETURN(const JsonFields fields, JsonFields::Parse(body, max_bytes));
    VD_ASSIGN_OR_RETURN(const auto word, fields.Text({"status"}, kMaxWordBytes));
    if (!word.has_value()) return absl::InvalidArgumentError("Missing required field: status");
    out.word = *word;
    out.facts = {FactIn(fields, "hostname"), FactIn(fields, "version")};
  }
  const absl::Status checked = CheckIdentifier(out.word, kMaxWordBytes);
  if (checked.ok()) return out;
  return absl::InvalidArgumentError(absl::StrCat("status: ", checked.message()));
}

}  // namespace viaduct
