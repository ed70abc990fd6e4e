// The key of exactly-once effect, and the id that a detection or health report gets from it.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "absl/time/time.h"

namespace viaduct {

// 16 octets. Equal for every sending of one message, over whatever protocol and on every node, so
// the id that an edge node answers is the id under which the server stores.
//   - a message id that is a UUID: its octets (a version 7 keeps indexes growing at their end);
//   - a derived id ("d-..."): capture time in ms (48 bits), then the digest, for the same reason;
//   - any other text, and the nil UUID, which many send: a digest of camera, capture time in ms and
//     text, so that neither two cameras that both count 1, 2, 3 nor one that begins at 1 again lose
//     messages. A message that is sent again has its capture time still.
using MessageKey = std::array<uint8_t, 16>;

MessageKey MakeMessageKey(std::string_view message_id, std::string_view camera_id,
                          absl::Time captured);

// 8-4-4-4-12 lower-case hexadecimal digits: the detection_id or health_id that peers see.
std::string FormatKey(const MessageKey& key);

// The reverse; false when `text` has not that form.
bool ParseKey(std::string_view text, MessageKey* key);

}  // namespace viaduct
