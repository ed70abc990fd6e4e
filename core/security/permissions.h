// The one table of what is allowed to whom: every endpoint, event, room, topic, command and RPC,
// and what each role may do with it. What the table does not name is allowed to nobody; a test
// finds everything that exists in code, descriptors and documents and is not named here.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "core/security/principal.h"

namespace viaduct::security {

enum class Surface : uint8_t {
  kHttp,     // "POST /api/detection": method and pattern of the route.
  kEvent,    // "lpr_data": what a session sends; "(plain message)" for a plain WebSocket's.
  kRoom,     // "dashboard": what a session is told.
  kTopic,    // "publish lpr/data/edge/{device_id}", "subscribe ...": seen from the peer.
  kCommand,  // "get_status": what a server tells a node to do.
  kRpc,      // "viaduct.control.v1.Node/Drain"
};
inline constexpr int kSurfaceCount = 6;

// The least role of a person or tool.
enum class Least : uint8_t { kAnybody, kViewer, kOperator, kAdmin };

enum class ForDevice : uint8_t {
  kNever,
  kItsOwn,  // Where the subject is a device that it speaks for.
  kAny,     // Without a look at the subject.
};

struct Permission {
  Surface surface;
  std::string_view action;
  Least least;
  ForDevice device;
  Scope scope;
};

struct PermissionTable {
  const Permission* rows;
  size_t size;
  const Permission* begin() const { return rows; }
  const Permission* end() const { return rows + size; }
};

std::string_view SurfaceName(Surface surface);  // "http", "event", ...
PermissionTable Permissions();                  // By surface.
// Null: there is no such action.
const Permission* FindPermission(Surface surface, std::string_view action);

// Whether `principal` (null: nobody) may do it now. `subject_device` is the device that it is
// about: whose data is written or read, whom a command goes to; "" where it is about none or about
// all, which is never a device's own. UNAUTHENTICATED: nobody knows who it is, or its proof has
// expired. PERMISSION_DENIED names action and reason.
absl::Status CheckAllowed(const Principal* principal, Surface surface, std::string_view action,
                          std::string_view subject_device, absl::Time now);
// For whoever has looked the row up once.
absl::Status CheckAllowed(const Principal* principal, const Permission& permission,
                          std::string_view subject_device, absl::Time now);

// Where it is not known yet whom it is about: what a device may do with its own is allowed, and
// must be asked again with the subject.
absl::Status CheckAction(const Principal* principal, const Permission& permission, absl::Time now);

// The same without the reason.
inline bool Allowed(const Principal* principal, Surface surface, std::string_view action,
                    std::string_view subject_device, absl::Time now) {
  return CheckAllowed(principal, surface, action, subject_device, now).ok();
}

// "yes", "no" or "own" for a role in a row: what the printed table says.
std::string_view AllowedWord(const Permission& permission, Role role);

// The whole table: columns for people, one document of JSON for programs.
std::string PermissionMatrixText();
std::string PermissionMatrixJson();

}  // namespace viaduct::security
