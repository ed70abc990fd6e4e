// Who may do what in the application: core/security's table, asked with what only the application
// knows, which is whose data it is about.
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "core/base/string_view.h"
#include "core/lpr/application_impl.h"
#include "core/security/permissions.h"
#include "core/store/image_folder.h"

namespace viaduct {
namespace {

using security::Permission;
using security::Principal;

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

bool Changes(const Permission& permission) {
  using security::Scope;
  return permission.scope == Scope::kEdit || permission.scope == Scope::kControl ||
         permission.scope == Scope::kManage;
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
absl::Status Application::Impl::PermitMessage(const Sender& sender, const Arrival& arrival) const {
  if (!options_.guarded || sender.own_part) return absl::OkStatus();
  const Envelope& envelope = arrival.envelope;
  const Principal* const who = sender.principal.get();
  VD_RETURN_IF_ERROR(Check(who, sender.permission, envelope.edge_device_id, parts_.clock->Now()));
  if (!IsDevice(who)) return absl::OkStatus();
  PayloadHeader header;
  if (arrival.detection.has_value()) {
    header.camera_id = arrival.detection->header.camera_id;
  } else if (!ReadHeader(envelope.payload_json, payload_options(), &header).ok()) {
    return absl::OkStatus();  // The sink says what is wrong with it.
  }
  if (header.camera_id.empty() || header.camera_id == envelope.edge_device_id) {
    return absl::OkStatus();
  }
  return Check(who, sender.permission, header.camera_id, parts_.clock->Now());
}

absl::Status Application::Impl::PermitList(const CallRequest& call, std::string* device) const {
  if (options_.guarded && IsDevice(call.principal.get()) && device->empty()) {
    *device = call.principal->id;
  }
  return Permit(call, *device);
}

// Images are in folders of their camera (ImageFolder).
absl::Status Application::Impl::PermitImage(const CallRequest& call, std::string_view path) const {
  const std::string folder(path.substr(0, path.find('/')));
  const Principal* const who = call.principal.get();
  if (IsDevice(who) && SafePathName(who->id) == folder) return Permit(call, who->id);
  // The folder of an id that had to be changed for the disk is not the name of a device.
  return Permit(call, SafePathName(folder) == folder ? folder : "");
}

ReplyFn Application::Impl::Audited(const CallRequest& call, std::string_view subject,
                                   ReplyFn reply) const {
  if (!parts_.audit || call.permission == nullptr || !Changes(*call.permission)) return reply;
  security::AuditRecord record;
  record.who = call.principal != nullptr ? call.principal->Describe() : "nobody";
  record.what = std::string(call.permission->action);
  record.subject = std::string(subject);
  record.from = absl::StrCat(call.peer.instance, " ", call.peer.address);
  return [this, record = std::move(record), reply = std::move(reply)](CallReply answer) mutable {
    record.result = answer.status < 400 ? "ok" : absl::StrCat(answer.status, " ", answer.body);
    parts_.audit(std::move(record));
    reply(std::move(answer));
  };
}

}  // namespace viaduct
