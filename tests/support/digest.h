// What "unchanged" means to the ledger: the same JSON values and the same image bytes, in whatever
// order and wherever the server keeps them.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

namespace viaduct::support {

// 64 lower-case hexadecimal digits.
std::string Sha256Hex(std::string_view bytes);

// The payload with every image (annotated_image, cropped_plates[]; base64 or data URL) replaced by
// "sha256:<hex of the decoded bytes>", keys sorted, no blanks. Text that is no base64 stays.
std::string DigestView(const nlohmann::json& payload);

// First 32 digits of the SHA-256 of the view.
std::string ViewDigest(std::string_view view);
std::string PayloadDigest(const nlohmann::json& payload);

// "data:image/jpeg;base64,..." or plain base64 -> bytes; false: neither.
bool DecodeImageText(std::string_view text, std::string* bytes);

}  // namespace viaduct::support
