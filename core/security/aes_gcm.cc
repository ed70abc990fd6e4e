#include "core/security/aes_gcm.h"

#include <openssl/err.h>
#include <openssl/evp.h>

#include <limits>
#include <memory>

#include "core/security/secret_octets.h"

namespace viaduct::security {
namespace {

struct FreeContext {
  void operator()(EVP_CIPHER_CTX* context) const { EVP_CIPHER_CTX_free(context); }
};
using Context = std::unique_ptr<EVP_CIPHER_CTX, FreeContext>;

const unsigned char* In(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}
unsigned char* Out(std::string* text, size_t offset) {
  return reinterpret_cast<unsigned char*>(text->data()) + offset;
}

// OpenSSL takes sizes as int.
bool IsTooLong(std::string_view text) {
  return text.size() > static_cast<size_t>(std::numeric_limits<int>::max() / 2);
}

bool AddBound(EVP_CIPHER_CTX* context, std::string_view bound) {
  int size = 0;
  return bound.empty() ||
         EVP_CipherUpdate(context, nullptr, &size, In(bound), static_cast<int>(bound.size())) == 1;
}

bool Transform(EVP_CIPHER_CTX* context, std::string_view text, unsigned char* out) {
  int size = 0;
  return text.empty() ||
         EVP_CipherUpdate(context, out, &size, In(text), static_cast<int>(text.size())) == 1;
}

// Looked up once: OpenSSL would do so at every use, for most of the time that a short text takes.
const EVP_CIPHER* Aes256Gcm() {
  static const EVP_CIPHER* const cipher = EVP_CIPHER_fetch(nullptr, "AES-256-GCM", nullptr);
  return cipher;
}

Context Begin(std::string_view key, std::string_view nonce, bool seal) {
  Context context(EVP_CIPHER_CTX_new());
  const EVP_CIPHER* const cipher = Aes256Gcm();
  if (context == nullptr || cipher == nullptr ||
      EVP_CipherInit_ex(context.get(), cipher, nullptr, In(key), In(nonce), seal ? 1 : 0) != 1) {
    return nullptr;
  }
  return context;
}

}  // namespace

absl::StatusOr<std::string> SealAesGcm(std::string_view key, std::string_view nonce,
                                       std::string_view bound, std::string_view plain) {
  if (key.size() != kGcmKeyBytes || nonce.size() != kGcmNonceBytes || IsTooLong(plain) ||
      IsTooLong(bound)) {
    return absl::InvalidArgumentError("encryption: key, nonce or text of a wrong size");
  }
  std::string out(kGcmFrameBytes + plain.size(), '\0');
  nonce.copy(out.data(), kGcmNonceBytes);
  const Context context = Begin(key, nonce, /*seal=*/true);
  int size = 0;
  const bool good = context != nullptr && AddBound(context.get(), bound) &&
                    Transform(context.get(), plain, Out(&out, kGcmFrameBytes)) &&
                    EVP_CipherFinal_ex(context.get(), Out(&out, out.size()), &size) == 1 &&
                    EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_GCM_GET_TAG, kGcmTagBytes,
                                        Out(&out, kGcmNonceBytes)) == 1;
  ERR_clear_error();
  if (!good) return absl::InternalError("encryption: OpenSSL fails");
  return out;
}

absl::StatusOr<std::string> OpenAesGcm(std::string_view key, std::string_view sealed,
                                       std::string_view bound) {
  const absl::Status lost =
      absl::DataLossError("encryption: changed on the way, or of another key");
  if (key.size() != kGcmKeyBytes) {
    return absl::InvalidArgumentError("encryption: key of a wrong size");
  }
  if (sealed.size() < kGcmFrameBytes || IsTooLong(sealed) || IsTooLong(bound)) return lost;
  std::string tag(sealed.substr(kGcmNonceBytes, kGcmTagBytes));
  const std::string_view text = sealed.substr(kGcmFrameBytes);
  std::string out(text.size(), '\0');
  const Context context = Begin(key, sealed.substr(0, kGcmNonceBytes), /*seal=*/false);
  int size = 0;
  const bool good =
      context != nullptr && AddBound(context.get(), bound) &&
      Transform(context.get(), text, Out(&out, 0)) &&
      EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_GCM_SET_TAG, kGcmTagBytes, tag.data()) == 1 &&
      EVP_CipherFinal_ex(context.get(), Out(&out, out.size()), &size) == 1;
  ERR_clear_error();
  if (good) return out;
  Wipe(&out);
  return lost;
}

}  // namespace viaduct::security
