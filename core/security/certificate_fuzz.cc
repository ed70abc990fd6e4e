// libFuzzer entry: any bytes as a file in PEM and, wrapped, as the DER in one. What is read has no
// control character in any name.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "core/security/pki.h"

namespace {

void Check(const std::string& text) {
  for (const char c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) std::abort();
  }
}

void Read(std::string_view pem) {
  const auto facts = viaduct::security::ParseCertificate(pem);
  if (!facts.ok()) return;
  Check(facts->subject);
  Check(facts->issuer);
  for (const std::string& name : facts->names) Check(name);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view octets(reinterpret_cast<const char*>(data), size);
  Read(std::string_view(octets.data(), octets.size()));
  const std::string encoded = absl::Base64Escape(octets);
  std::string pem = "-----BEGIN CERTIFICATE-----\n";
  constexpr size_t kLine = 64;
  for (size_t i = 0; i < encoded.size(); i += kLine) {
    absl::StrAppend(&pem, encoded.substr(i, kLine), "\n");
  }
  Read(pem + "-----END CERTIFICATE-----\n");
  return 0;
}
