// Rotates the key given in the folder given, to be killed at a crash point on the way.
#include "core/base/clock.h"
#include "core/security/api_key_store.h"

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  viaduct::SystemClock clock;
  auto store = viaduct::security::ApiKeyStore::Open(argv[1], &clock);
  if (!store.ok()) return 3;
  return (*store)->Rotate(argv[2], absl::Hours(24)).ok() ? 0 : 4;
}
