// The body that a server of the older kind wants for a message: its payload, with the members that
// such a server insists on.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace viaduct::rest {

enum class FlatKind { kDetection, kHealth, kRegistration };

// What the envelope around the payload knew.
struct FlatFacts {
  FlatKind kind = FlatKind::kDetection;
  std::string_view message_id;
  std::string_view device_id;
  int64_t timestamp_ns = 0;  // Since 1970 UTC.
};

// Where a server of the older kind takes it.
const char* FlatPath(FlatKind kind);

// True for a payload that only its server can read.
bool IsEncrypted(std::string_view payload);

// True for the payload of a configuration message that registers a camera.
bool IsRegistration(std::string_view payload);

// `payload` must be one valid JSON object. Its members stay as they are, but for `type`, which says
// what the path says, and for camera_id, timestamp and message_id where they are missing, null or
// empty: the camera is then that of its strongest alias or the envelope's. A checkpoint that the
// payload does not name is not known.
std::string FlatBody(std::string_view payload, const FlatFacts& facts);

}  // namespace viaduct::rest
