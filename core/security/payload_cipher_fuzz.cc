// libFuzzer entry: any bytes as a file of keys, as an encrypted text, and as an envelope that
// claims to be encrypted. Nothing opens that was not sealed; what is sealed opens again.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "core/security/payload_cipher.h"

namespace {

using viaduct::security::KeyRing;
using viaduct::security::PayloadCipher;
using viaduct::security::PayloadCipherOptions;

constexpr char kKeys[] =
    "k1 YWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWE=\n"
    "k2 YmJiYmJiYmJiYmJiYmJiYmJiYmJiYmJiYmJiYmJiYmI=\n";

void Require(bool condition) {
  if (!condition) std::abort();
}

void CheckEnvelope(std::string_view text, PayloadCipher* cipher) {
  auto envelope = viaduct::ParseEnvelope(text, viaduct::ParseOptions());
  if (!envelope.ok()) return;
  viaduct::Envelope plain = *envelope;
  plain.metadata.encryption = false;
  viaduct::Envelope sealed = plain;
  if (cipher->SealEnvelope(&sealed).ok()) {
    auto read = viaduct::ParseEnvelope(viaduct::WriteEnvelope(sealed), viaduct::ParseOptions());
    Require(read.ok() && cipher->OpenEnvelope(&*read).ok());
    Require(read->payload_json == plain.payload_json);
  }
  envelope->metadata.encryption = true;
  Require(!cipher->OpenEnvelope(&*envelope).ok());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  static_cast<void>(KeyRing::Parse(text));
  auto keys = KeyRing::Parse(kKeys);
  Require(keys.ok());
  PayloadCipherOptions options;
  options.accept_unbound = true;
  PayloadCipher cipher(std::move(*keys), options);
  Require(!cipher.Open(text, "k1", "").ok());
  CheckEnvelope(text, &cipher);
  return 0;
}
