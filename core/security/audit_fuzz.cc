// libFuzzer entry: any bytes as one line of the audit log, and as the fields of a record, whose
// line must then be taken, be of bounded length, and be JSON without a line break in it.
#include <cstdint>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string>

#include "core/security/audit_chain.h"

namespace {

void Require(bool condition) {
  if (!condition) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  namespace audit = viaduct::security::audit;
  const std::string text(reinterpret_cast<const char*>(data), size);
  static_cast<void>(audit::ReadLine(text));
  viaduct::security::AuditHead head = audit::Beginning();
  std::string line = audit::WriteLine({text, text, text, text, text}, absl::UnixEpoch(), &head);
  Require(line.size() <= audit::kMaxLineBytes && line.find('\n') == line.size() - 1);
  line.pop_back();
  const auto read = audit::ReadLine(line);
  Require(read.ok() && read->sequence == 1 && read->hash == head.hash);
  Require(!nlohmann::json::parse(line, nullptr, false).is_discarded());
  if (size > 0) {
    line[data[0] % line.size()] ^= 1;
    Require(!audit::ReadLine(line).ok());
  }
  return 0;
}
