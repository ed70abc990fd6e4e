// Who may do what in the application: core/security's table, asked with what only the application
// knows, which is whose data it is about.
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "core/base/string_view.h"
#include "core/lpr/application_impl.h"
#include "core/lpr/own_page.h"
#include "core/message/json_scanner.h"
#include "core/security/permissions.h"
#include "core/store/image_folder.h"

namespace viaduct {
namespace {

using security::Permission;
using security::Principal;

constexpr size_t kMaxShownResultBytes = 128;  // Of what the caller was told, in the audit.

// Nothing that has no row is reached; if something is, it is nobody's.
absl::Status NoSuchRow() { return absl::PermissionDeniedError("not allowed: no such permission"); }

absl::Status Check(const Principal* principal, const Permission* permission,
                   std::string_view subject_device, absl::Time now) {
  if (permission == nullptr) return NoSuchRow();
  return security::CheckAllowed(principal, *permission, subject_device, now);
}

bool IsDevice(const Principal* principal) {
  return principal != nullptr && principal->role == security::Role::kDevice;
}

constexpr std::string_view kRemovesPlate = "DELETE /api/blacklist/{license_plate}";
// Of people; what devices hand over is no change of theirs.
constexpr std::string_view kCreatesEvent = "POST /api/lpr/events";
constexpr std::string_view kRegisters = "POST /api/cameras/register";

bool Changes(const Permission& permission) {
  using security::Scope;
  return permission.scope == Scope::kEdit || permission.scope == Scope::kControl ||
         permission.scope == Scope::kManage || permission.action == kCreatesEvent ||
         permission.action == kRegisters;
}

}  // namespace

const Permission* Application::Impl::PermissionOf(const Route& route) {
  return security::FindPermission(
      security::Surface::kHttp,
      absl::StrCat(AbslView(route.pattern.method), " ", AbslView(route.pattern.path)));
}

absl::Status Application::Impl::PermitAction(const CallRequest& call) const {
  if (!options_.guarded) return absl::OkStatus();
  if (call.permission == nullptr) return NoSuchRow();
  return security::CheckAction(call.principal.get(), *call.permission, parts_.clock->Now());
}

absl::Status Application::Impl::Permit(const CallRequest& call,
                                       std::string_view subject_device) const {
  if (!options_.guarded) return absl::OkStatus();
  return Check(call.principal.get(), call.permission, subject_device, parts_.clock->Now());
}

// Whoever looks at a message later takes its camera from the payload, where one stands there.
absl::Status Application::Impl::PermitMessage(const Sender& sender, const Arrival& arrival,
                                              bool opened) const {
  if (!options_.guarded || sender.own_part) return absl::OkStatus();
  const Envelope& envelope = arrival.envelope;
  const Principal* const who = sender.principal.get();
  VD_RETURN_IF_ERROR(Check(who, sender.permission, envelope.edge_device_id, parts_.clock->Now()));
  if (!IsDevice(who) && !opened) return absl::OkStatus();
  PayloadHeader header;
  if (arrival.detection.has_value()) {
    header.camera_id = arrival.detection->header.camera_id;
  } else if (!ReadHeader(envelope.payload_json, payload_options(), &header).ok()) {
    return absl::OkStatus();  // The sink says what is wrong with it.
  }
  if (header.camera_id.empty() || header.camera_id == envelope.edge_device_id) {
    return absl::OkStatus();
  }
  const absl::Status its_own = Check(who, sender.permission, header.camera_id, parts_.clock->Now());
  if (!its_own.ok() || !opened) return its_own;
  // Who let it pass on the way could not see whose it says it is.
  return absl::PermissionDeniedError(
      "payload: encrypted, and its camera_id is not the edge_device_id of its envelope");
}

absl::Status Application::Impl::PermitList(const CallRequest& call, std::string* device) const {
  if (options_.guarded && IsDevice(call.principal.get()) && device->empty()) {
    *device = call.principal->id;
  }
  return Permit(call, *device);
}

// Images are in folders of their camera (ImageFolder).
absl::Status Application::Impl::PermitImage(const CallRequest& call, std::string_view path) const {
  if (SeesMasked(call)) {
    return absl::PermissionDeniedError("image: not allowed, plates are masked for this role");
  }
  if (!options_.guarded) return absl::OkStatus();
  const std::string folder(path.substr(0, path.find('/')));
  const Principal* const who = call.principal.get();
  if (IsDevice(who) && SafePathName(who->id) == folder) return Permit(call, who->id);
  // The folder of an id that had to be changed for the disk is not the name of a device.
  return Permit(call, SafePathName(folder) == folder ? folder : "");
}

absl::Status Application::Impl::PermitCommand(const CallRequest& call,
                                              std::string_view command) const {
  if (!options_.guarded) return absl::OkStatus();
  const Permission* const row = security::FindPermission(security::Surface::kCommand, command);
  if (row == nullptr) return absl::OkStatus();  // There is no such command, and it is told so.
  return security::CheckAllowed(call.principal.get(), *row, "", parts_.clock->Now());
}

absl::Status Application::Impl::PermitPlate(const CallRequest& call, std::string_view plate) const {
  if (plate.empty() || !SeesMasked(call)) return absl::OkStatus();
  return absl::PermissionDeniedError("plate: not allowed, plates are masked for this role");
}

ReplyFn Application::Impl::Masked(const CallRequest& call, ReplyFn reply) const {
  if (!SeesMasked(call)) return reply;
  return [reply = std::move(reply)](CallReply answer) {
    answer.body = PlateMask::MaskJson(answer.body);
    reply(std::move(answer));
  };
}

ReplyFn Application::Impl::ForScript(const CallRequest& call, ReplyFn reply) {
  if (!IsOfScript(call)) return reply;
  return [reply = std::move(reply)](CallReply answer) {
    for (auto& [name, value] : answer.attributes) {
      if (name == "www-authenticate") value = "Bearer";
    }
    reply(std::move(answer));
  };
}

ReplyFn Application::Impl::Audited(const CallRequest& call, std::string_view subject,
                                   ReplyFn reply) {
  if (!parts_.audit || call.permission == nullptr || !Changes(*call.permission)) return reply;
  security::AuditRecord record;
  record.who = call.principal != nullptr ? call.principal->Describe() : "nobody";
  record.what = std::string(call.permission->action);
  // A plate is nobody's business who only reads the audit.
  record.subject =
      call.permission->action == kRemovesPlate ? MaskPlate(subject) : std::string(subject);
  record.from = absl::StrCat(call.peer.instance, " ", call.peer.address);
  std::string listener = call.principal != nullptr ? "" : call.peer.instance;
  return [this, record = std::move(record), listener = std::move(listener),
          reply = std::move(reply)](CallReply answer) mutable {
    record.result = "ok";
    if (answer.status >= 400) {
      record.result =
          absl::StrCat(answer.status, " ", AbslView(CutText(answer.body, kMaxShownResultBytes)));
    }
    std::vector<security::AuditRecord> records;
    if (answer.status != 401 && answer.status != 403) {
      records.push_back(std::move(record));
    } else {
      records = refusals_.Note(record, listener, parts_.clock->MonotonicNanos());
    }
    if (records.empty()) return reply(std::move(answer));
    for (size_t i = 1; i < records.size(); ++i) parts_.audit(std::move(records[i]), [] {});
    parts_.audit(std::move(records[0]), [reply, answer = std::move(answer)] { reply(answer); });
  };
}

}  // namespace viaduct
