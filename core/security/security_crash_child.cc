// Changes something durable in the folder given, to be killed at a crash point on the way:
//
//   security_crash_child rotate FOLDER KEY_ID
//   security_crash_child audit FOLDER MAX_FILE_BYTES
#include <cstdlib>
#include <string>

#include "core/base/clock.h"
#include "core/security/api_key_store.h"
#include "core/security/audit_log.h"

namespace {

namespace security = viaduct::security;

int Rotate(const std::string& folder, const std::string& key_id, const viaduct::Clock* clock) {
  auto store = security::ApiKeyStore::Open(folder, clock);
  if (!store.ok()) return 3;
  return (*store)->Rotate(key_id, absl::Hours(24)).ok() ? 0 : 4;
}

int Audit(const std::string& folder, const char* max_bytes, const viaduct::Clock* clock) {
  constexpr int kRecords = 100;
  security::AuditFileOptions options;
  options.max_file_bytes = std::strtoull(max_bytes, nullptr, 10);
  auto log = security::AuditLog::Open(folder, options, clock);
  if (!log.ok()) return 3;
  for (int i = 0; i < kRecords; ++i) {
    if (!(*log)->AppendDurably({"anna", "change", "CAM001", "192.0.2.7:1", "ok"}).ok()) return 4;
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  const viaduct::SystemClock clock;
  const std::string what = argv[1];
  if (what == "rotate") return Rotate(argv[2], argv[3], &clock);
  return what == "audit" ? Audit(argv[2], argv[3], &clock) : 2;
}
