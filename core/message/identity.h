// Names under which one camera is known, and the key of a message whose sender gave it none.
#pragma once

#include <array>
#include <string>
#include <string_view>

#include "absl/time/time.h"
#include "core/message/envelope.h"

namespace viaduct {

// All the same camera. Where several are present the first of this list wins.
inline constexpr std::array<std::string_view, 5> kIdentityAliases = {
    "edge_device_id", "camera_id", "aicamera_id", "device_id", "client_id"};

// As a message id it is none: senders fill the field with it.
inline constexpr std::string_view kNilUuid = "00000000-0000-0000-0000-000000000000";

// Rank of a member name among the aliases, 0 the strongest; -1 when it is none.
int IdentityRank(std::string_view member_name);

// OK for 1..max_bytes bytes of UTF-8 without control characters. The error has no subject.
absl::Status CheckIdentifier(std::string_view id, size_t max_bytes);

// What makes two sendings of a device without message ids the same message.
struct MessageKeyParts {
  std::string_view camera_id;
  std::string_view checkpoint_id;  // "" when the device names none.
  absl::Time captured;
  DataType data_type = DataType::kDetection;
  std::string_view content;  // As received.
};

// "d-" and 40 hexadecimal digits; equal parts give equal keys on every node and version.
std::string DeriveMessageId(const MessageKeyParts& parts);

}  // namespace viaduct
