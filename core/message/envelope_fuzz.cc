// libFuzzer entry: any bytes. Besides not crashing, what is accepted must be JSON for an
// independent parser, must validate, and must read back the same after writing.
#include <cstdint>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "core/message/envelope.h"
#include "core/message/envelope_batch.h"
#include "core/message/json_scanner.h"

namespace {

void Require(bool condition) {
  if (!condition) std::abort();
}

void CheckRoundTrip(const viaduct::Envelope& envelope, const viaduct::ParseOptions& options) {
  Require(viaduct::ValidateEnvelope(envelope, options).ok());
  const std::string text = viaduct::WriteEnvelope(envelope);
  Require(!nlohmann::json::parse(text, nullptr, false).is_discarded());
  const absl::StatusOr<viaduct::Envelope> again = viaduct::ParseEnvelope(text, options);
  Require(again.ok());
  Require(viaduct::WriteEnvelope(*again) == text);
  Require(viaduct::PayloadOf(text) == again->payload_json);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const viaduct::ParseOptions options;
  Require(viaduct::PayloadOf(text).size() <= size);
  viaduct::JsonSlice value;
  const bool scanned = viaduct::JsonScanner(text, {}).ScanDocument(&value).ok();
  if (scanned) Require(!nlohmann::json::parse(text, nullptr, false).is_discarded());
  const absl::StatusOr<viaduct::Envelope> one = viaduct::ParseEnvelope(text, options);
  if (one.ok()) CheckRoundTrip(*one, options);
  const absl::StatusOr<viaduct::ParsedEnvelopes> many = viaduct::ParseEnvelopes(text, options);
  if (!many.ok()) return 0;
  Require(scanned);
  for (const viaduct::ParsedEnvelope& item : many->items) {
    if (item.envelope.ok()) CheckRoundTrip(*item.envelope, options);
  }
  return 0;
}
