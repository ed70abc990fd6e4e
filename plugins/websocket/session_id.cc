#include "plugins/websocket/session_id.h"

#include <openssl/rand.h>

#include "absl/strings/escaping.h"

namespace viaduct::websocket {

std::string NewSessionId() {
  constexpr int kOctets = 15;
  std::string octets(kOctets, '\0');
  // Fails only before the system has any randomness; then no session may begin.
  if (RAND_bytes(reinterpret_cast<unsigned char*>(octets.data()), kOctets) != 1) return "";
  return absl::WebSafeBase64Escape(octets);
}

}  // namespace viaduct::websocket
