#include "core/security/permissions.h"

#include <algorithm>
#include <array>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "core/base/status_macros.h"
#include "core/base/string_view.h"
#include "core/message/json_scanner.h"

namespace viaduct::security {
namespace {

constexpr std::array<std::string_view, kSurfaceCount> kSurfaces = {"http",  "event",   "room",
                                                                   "topic", "command", "rpc"};
constexpr std::array<Role, 4> kRoles = {Role::kViewer, Role::kOperator, Role::kAdmin,
                                        Role::kDevice};

absl::Status Denied(std::string_view action, const Principal& principal, std::string_view why) {
  return absl::PermissionDeniedError(absl::StrCat(ShownText(action), ": not allowed, role ",
                                                  AbslView(RoleName(principal.role)), ", ",
                                                  AbslView(why)));
}

// Both are in one order.
static_assert(static_cast<int>(Role::kViewer) == static_cast<int>(Least::kViewer));
static_assert(static_cast<int>(Role::kOperator) == static_cast<int>(Least::kOperator));
static_assert(static_cast<int>(Role::kAdmin) == static_cast<int>(Least::kAdmin));

bool RankSuffices(Role role, Least least) {
  return static_cast<int>(role) >= static_cast<int>(least);
}

}  // namespace

std::string_view SurfaceName(Surface surface) { return kSurfaces[static_cast<size_t>(surface)]; }

const Permission* FindPermission(Surface surface, std::string_view action) {
  using Index = absl::flat_hash_map<std::pair<Surface, std::string_view>, const Permission*>;
  static const Index* const index = [] {
    auto* const made = new Index();
    for (const Permission& row : Permissions())
      made->emplace(std::pair(row.surface, row.action), &row);
    return made;
  }();
  const auto found = index->find(std::pair(surface, action));
  return found == index->end() ? nullptr : found->second;
}

absl::Status CheckAction(const Principal* principal, const Permission& permission, absl::Time now) {
  if (permission.least == Least::kAnybody) return absl::OkStatus();
  if (principal == nullptr) return absl::UnauthenticatedError("credentials: missing");
  if (principal->expires <= now) return absl::UnauthenticatedError("credentials: expired");
  const auto denied = [&](std::string_view why) {
    return Denied(permission.action, *principal, why);
  };
  if (!principal->scopes.Has(permission.scope)) {
    return denied(
        absl::StrCat("its credential lacks the scope ", AbslView(ScopeName(permission.scope))));
  }
  if (principal->role != Role::kDevice) {
    if (RankSuffices(principal->role, permission.least)) return absl::OkStatus();
    return denied("a higher one may");
  }
  if (permission.device == ForDevice::kNever) return denied("no device may");
  return absl::OkStatus();
}

absl::Status CheckAllowed(const Principal* principal, const Permission& permission,
                          std::string_view subject_device, absl::Time now) {
  VD_RETURN_IF_ERROR(CheckAction(principal, permission, now));
  const bool its_own = principal != nullptr && principal->role == Role::kDevice &&
                       permission.device == ForDevice::kItsOwn &&
                       permission.least != Least::kAnybody;
  if (!its_own || principal->SpeaksFor(subject_device)) return absl::OkStatus();
  return Denied(permission.action, *principal,
                absl::StrCat("it does not speak for ", ShownText(subject_device)));
}

absl::Status CheckAllowed(const Principal* principal, Surface surface, std::string_view action,
                          std::string_view subject_device, absl::Time now) {
  const Permission* row = FindPermission(surface, action);
  if (row != nullptr) return CheckAllowed(principal, *row, subject_device, now);
  if (principal == nullptr) return absl::UnauthenticatedError("credentials: missing");
  return Denied(action, *principal, "there is no such action");
}

std::string_view AllowedWord(const Permission& permission, Role role) {
  if (permission.least == Least::kAnybody) return "yes";
  if (role != Role::kDevice) return RankSuffices(role, permission.least) ? "yes" : "no";
  constexpr std::array<std::string_view, 3> kWords = {"no", "own", "yes"};
  return kWords[static_cast<size_t>(permission.device)];
}

std::string PermissionMatrixText() {
  int width = 0;
  for (const Permission& row : Permissions()) {
    width = std::max(width, static_cast<int>(row.action.size()));
  }
  std::string out =
      absl::StrFormat("%-8s %-*s %-8s %-8s %-8s %-8s %-8s %s\n", "SURFACE", width, "ACTION",
                      "NOBODY", "VIEWER", "OPERATOR", "ADMIN", "DEVICE", "SCOPE");
  for (const Permission& row : Permissions()) {
    absl::StrAppendFormat(&out, "%-8s %-*s %-8s", AbslView(SurfaceName(row.surface)), width,
                          AbslView(row.action), row.least == Least::kAnybody ? "yes" : "no");
    for (const Role role : kRoles) {
      absl::StrAppendFormat(&out, " %-8s", AbslView(AllowedWord(row, role)));
    }
    absl::StrAppend(&out, " ", AbslView(ScopeName(row.scope)), "\n");
  }
  return out;
}

std::string PermissionMatrixJson() {
  std::string out = "{\"permissions\":[";
  bool first = true;
  for (const Permission& row : Permissions()) {
    absl::StrAppend(&out, first ? "" : ",", "\n{\"surface\":\"", AbslView(SurfaceName(row.surface)),
                    "\",\"action\":");
    first = false;
    AppendJsonString(row.action, &out);
    absl::StrAppend(&out, ",\"nobody\":\"", row.least == Least::kAnybody ? "yes" : "no", "\"");
    for (const Role role : kRoles) {
      absl::StrAppend(&out, ",\"", AbslView(RoleName(role)), "\":\"",
                      AbslView(AllowedWord(row, role)), "\"");
    }
    absl::StrAppend(&out, ",\"scope\":\"", AbslView(ScopeName(row.scope)), "\"}");
  }
  return out + "\n]}\n";
}

}  // namespace viaduct::security
