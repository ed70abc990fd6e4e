// What a listener is told to be, and what it counts.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "plugins/common/tls_options.h"

namespace viaduct::websocket {

struct ServerOptions {
  ServerOptions() { tls.min_version = TlsVersion::k13; }  // As docs/WIRE.md says.

  std::string host = "127.0.0.1";
  int port = 8765;  // 0: any free one, see Server::port.
  // Sessions of Engine.IO live below these paths; they carry Socket.IO, or with `socketio` false
  // bare messages.
  std::vector<std::string> engine_paths = {"/socket.io/", "/ws/"};
  bool socketio = true;
  std::vector<std::string> namespaces = {"/"};
  bool raw = true;  // Plain WebSocket at "/".
  absl::Duration ping_interval = absl::Seconds(25);
  absl::Duration ping_timeout = absl::Seconds(20);
  absl::Duration connect_timeout = absl::Seconds(30);  // From a session to its first namespace.
  absl::Duration request_timeout = absl::Seconds(30);  // First octet of a request to its last.
  absl::Duration idle_timeout = absl::Minutes(5);      // Between requests of one connection.
  absl::Duration answer_timeout = absl::Seconds(30);   // The node's, to a plain request.
  // How long a peer may take nothing of what is sent to it.
  absl::Duration stall_timeout = absl::Seconds(30);
  size_t max_payload_bytes = 32u << 20;  // One message, packet or body.
  size_t max_header_bytes = 32u << 10;
  int max_connections = 20'000;  // Fewer where the process may not open so many descriptors.
  int max_connections_per_address = 1'000;  // And sessions.
  // Of all peers together: input that is not complete, output that is not read.
  size_t max_buffered_bytes = 512u << 20;
  size_t max_unsent_bytes = 16u << 20;  // Of one session; one message always fits.
  size_t max_pending_events = 256;      // Of one session, that the node has not answered.
  bool deflate = false;                 // Accept permessage-deflate.
  TlsListenerOptions tls;
  absl::Duration tls_handshake_timeout = absl::Seconds(10);
};

// Counters since the start; read at any time.
struct ServerStats {
  std::atomic<uint64_t> requests{0};
  std::atomic<uint64_t> events{0};              // From sessions: events and raw messages.
  std::atomic<uint64_t> sent{0};                // To sessions.
  std::atomic<uint64_t> refused{0};             // Connections, handshakes and requests.
  std::atomic<uint64_t> refused_of_address{0};  // Over max_connections_per_address.
  std::atomic<uint64_t> failed_handshakes{0};   // Of TLS.
  std::atomic<uint64_t> timed_out_handshakes{0};
  std::atomic<uint64_t> violations{0};    // Sessions ended because of what the peer sent.
  std::atomic<uint64_t> slow_readers{0};  // Sessions ended because the peer did not read.
  std::atomic<uint64_t> crowded_out{0};   // Peers ended because all together held too much.
  std::atomic<uint64_t> timed_out{0};     // Peers that fell silent.
  std::atomic<uint64_t> stray_acks{0};    // Acknowledgements that nobody had asked for.
  std::atomic<uint64_t> bytes_in{0};
  std::atomic<uint64_t> bytes_out{0};
  std::atomic<int64_t> connections{0};
  std::atomic<int64_t> sessions{0};
};

}  // namespace viaduct::websocket
