// TLS on one connected socket, never waiting: every call does what can be done now and says what it
// waits for.
#pragma once

#include <openssl/bio.h>
#include <openssl/ssl.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "plugins/common/peer_certificate.h"
#include "plugins/common/tls_context.h"

namespace viaduct {

enum class TlsProgress : uint8_t {
  kDone,
  kWantsRead,   // Call again when the socket is readable.
  kWantsWrite,  // Call again when it is writable.
  kEnded,       // The peer sends nothing more.
  kFailed,      // Broken, see TlsChannel::error.
};

// Thread-compatible. The socket is not blocking, and stays open as long as the channel is used.
class TlsChannel {
 public:
  // What a handshake under way costs, for whoever counts memory.
  static constexpr size_t kHandshakeBytes = 48u << 10;

  // Null: no memory.
  static std::unique_ptr<TlsChannel> Accept(const TlsContext& context, int fd);
  // `server_name` is told to the server, unless it is an address; that the certificate is for it is
  // the context's affair.
  static std::unique_ptr<TlsChannel> Connect(const TlsContext& context, int fd,
                                             const std::string& server_name);

  // From now on whatever has come is taken from the socket at once, not each record's header and
  // body one by one. For who reads until kWantsRead: the socket may be empty while there is more.
  void ReadAhead();
  TlsProgress Handshake();
  // At most one record, so nothing is held back when `size` is a record's 16 KiB.
  TlsProgress Read(void* to, size_t size, size_t* n);
  // What is not taken is to be offered again, with the same octets in front.
  TlsProgress Write(const void* from, size_t size, size_t* n);
  // Says that nothing more will be sent, if the network takes it at once.
  void EndOutput();

  // After the handshake. Null: the peer was not asked for a certificate, or has shown none.
  std::shared_ptr<const PeerCertificate> peer() const;
  // Why it failed.
  const std::string& error() const { return error_; }

 private:
  struct Free {
    void operator()(SSL* ssl) const { SSL_free(ssl); }
    void operator()(BIO_METHOD* method) const { BIO_meth_free(method); }
  };
  TlsChannel() = default;
  static std::unique_ptr<TlsChannel> Make(const TlsContext& context, int fd);
  TlsProgress ProgressOf(int result);

  std::unique_ptr<BIO_METHOD, Free> method_;  // Of the socket; outlives ssl_.
  std::unique_ptr<SSL, Free> ssl_;
  std::string error_;
};

}  // namespace viaduct
