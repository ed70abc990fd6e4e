// One connection of an HttpServer: its socket, plain or TLS, and what waits on it. Internal to it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "plugins/common/peer_certificate.h"
#include "plugins/common/request_scanner.h"
#include "plugins/common/tls_channel.h"
#include "plugins/rest/http_server.h"

namespace viaduct::rest {

enum class Io : uint8_t {
  kDone,
  kLater,   // epoll will tell.
  kEnded,   // The peer sends nothing more.
  kBroken,  // The connection is of no use any more.
};

// Lives on the server's thread.
struct HttpServer::Connection {
  Connection(int descriptor, std::string name, const ScanLimits& limits)
      : fd(descriptor), peer(std::move(name)), scanner(limits) {}

  // TLS: agrees on the keys, which begins with the first octet of the peer.
  Io Handshake();
  Io Receive(char* to, size_t size, size_t* n);
  // What `out` still has.
  Io SendSome(size_t* n);
  // Nothing more will be sent.
  void EndOutput();

  const int fd;
  const std::string peer;
  std::string counted_as;  // Its address, in the counts of addresses; "": in none.
  TlsContext tls_context;  // Null: plain.
  std::unique_ptr<TlsChannel> tls;
  std::shared_ptr<const PeerCertificate> certificate;
  bool handshaking = false;
  bool reads_when_writable = false;  // TLS has something to say before it reads on.
  RequestScanner scanner;
  std::string in;
  std::string out;
  size_t out_sent = 0;
  size_t accounted = 0;          // Buffer octets counted in buffered_bytes_.
  int64_t request_began_ns = 0;  // First octet of the request that is coming in; 0: none is.
  // While `out` waits for the peer: since when it is watched, and how much was sent then.
  int64_t watched_since_ns = 0;  // 0: nothing waits.
  size_t watched_from = 0;
  int64_t deadline_ns = 0;
  // The request that waits for its answer.
  uint64_t ticket = 0;  // 0: none.
  bool keep_alive = true;
  bool is_head = false;
  size_t asked_bytes = 0;  // What it holds elsewhere.
  size_t range_bytes = 0;  // Not 0: its octets stay in `in`, to word a partial answer.
  // What epoll has said, edge by edge.
  bool readable = false;
  bool peer_closed = false;
  bool end_of_input = false;  // And read to the end.
  bool close_after_flush = false;
  bool lingering = false;
  bool marked = false;
};

}  // namespace viaduct::rest
