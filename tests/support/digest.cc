#include "tests/support/digest.h"

#include <openssl/evp.h>

#include <nlohmann/json.hpp>

#include "absl/strings/escaping.h"
#include "absl/strings/string_view.h"

namespace viaduct::support {
namespace {

constexpr size_t kDigestDigits = 32;

void ReplaceImage(nlohmann::json& value) {
  if (!value.is_string()) return;
  std::string bytes;
  if (!DecodeImageText(value.get_ref<const std::string&>(), &bytes)) return;
  value = "sha256:" + Sha256Hex(bytes);
}

}  // namespace

std::string Sha256Hex(std::string_view bytes) {
  unsigned char out[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  EVP_Digest(bytes.data(), bytes.size(), out, &size, EVP_sha256(), nullptr);
  constexpr char kDigits[] = "0123456789abcdef";
  std::string hex;
  hex.reserve(size_t{size} * 2);
  for (unsigned int i = 0; i < size; ++i) {
    hex.push_back(kDigits[out[i] >> 4]);
    hex.push_back(kDigits[out[i] & 15]);
  }
  return hex;
}

bool DecodeImageText(std::string_view text, std::string* bytes) {
  constexpr std::string_view kMark = ";base64,";
  if (text.substr(0, 5) == "data:") {
    const size_t at = text.find(kMark);
    if (at == std::string_view::npos) return false;
    text.remove_prefix(at + kMark.size());
  }
  if (text.empty()) return false;
  return absl::Base64Unescape(absl::string_view(text.data(), text.size()), bytes);
}

std::string DigestView(const nlohmann::json& payload) {
  nlohmann::json view = payload;
  if (view.is_object()) {
    if (const auto it = view.find("annotated_image"); it != view.end()) ReplaceImage(*it);
    const auto plates = view.find("cropped_plates");
    if (plates != view.end() && plates->is_array()) {
      for (nlohmann::json& plate : *plates) ReplaceImage(plate);
    }
  }
  return view.dump();
}

std::string ViewDigest(std::string_view view) { return Sha256Hex(view).substr(0, kDigestDigits); }

std::string PayloadDigest(const nlohmann::json& payload) { return ViewDigest(DigestView(payload)); }

}  // namespace viaduct::support
