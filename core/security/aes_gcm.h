// AES-256-GCM (NIST SP 800-38D) by OpenSSL, in the form that is sent: nonce, tag, ciphertext.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace viaduct::security {

inline constexpr size_t kGcmKeyBytes = 32;
inline constexpr size_t kGcmNonceBytes = 12;
inline constexpr size_t kGcmTagBytes = 16;  // Never shorter: a short tag can be guessed.
inline constexpr size_t kGcmFrameBytes = kGcmNonceBytes + kGcmTagBytes;

// `nonce` must never come twice with one key: then both texts can be read, and others be made.
// PayloadCipher sees to that. INVALID_ARGUMENT: a key or nonce of another size.
absl::StatusOr<std::string> SealAesGcm(std::string_view key, std::string_view nonce,
                                       std::string_view bound, std::string_view plain);

// `bound` is what was given when it was sealed. DATA_LOSS: changed, cut, or of another key; nothing
// of what was decrypted is given out then.
absl::StatusOr<std::string> OpenAesGcm(std::string_view key, std::string_view sealed,
                                       std::string_view bound);

}  // namespace viaduct::security
