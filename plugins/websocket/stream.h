// A connected byte stream on Boost.Asio, plain or TLS.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/system/error_code.hpp>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "plugins/common/peer_certificate.h"
#include "plugins/common/tls_context.h"

namespace viaduct::websocket {

// Lives on the thread of its io_context. One read and one write at a time; whoever starts one keeps
// the stream alive until it ends.
class Stream {
 public:
  using Error = boost::system::error_code;
  using DoneFn = std::function<void(const Error&)>;
  using ReadFn = std::function<void(const Error&, uint8_t* data, size_t size)>;

  virtual ~Stream() = default;
  // TLS: agrees on the keys; `begun` is called when that begins to cost memory
  // (TlsChannel::kHandshakeBytes), and may be null. Plain: done at once.
  virtual void Handshake(std::function<void()> begun, DoneFn done) = 0;
  // What comes next; the octets are the reader's until it returns.
  virtual void Read(ReadFn done) = 0;
  // Writes at once what the network takes without waiting, which may be nothing; returns how much.
  virtual size_t WriteSome(std::string_view data) = 0;
  // All of it; `data` stays where it is until done.
  virtual void Write(const std::string& data, DoneFn done) = 0;
  // Nothing more will be sent.
  virtual void ShutdownSend() = 0;
  // Ends everything; what is under way is done with an error.
  virtual void Close() = 0;
  // `error`, that something was done with, in words.
  virtual std::string Why(const Error& error) const { return error.message(); }
  // After the handshake: the peer's, where it was asked for one and has shown it.
  virtual std::shared_ptr<const PeerCertificate> certificate() const { return nullptr; }
};

// A buffer that all streams of one thread share: an idle one has none. Not smaller than kMinBuffer,
// a record of TLS.
constexpr size_t kMinBuffer = 16u << 10;
using SharedBuffer = std::vector<uint8_t>;

// `buffer` outlives the stream.
std::unique_ptr<Stream> MakePlainStream(boost::asio::ip::tcp::socket socket, SharedBuffer* buffer);
// A server's where `server_name` is "", or else a client's to a server of that name, whose
// certificate it must be by what `context` says.
std::unique_ptr<Stream> MakeTlsStream(boost::asio::ip::tcp::socket socket, TlsContext context,
                                      const std::string& server_name, SharedBuffer* buffer);

// "192.0.2.7:51234" and "192.0.2.7"; "unknown" where the peer is gone already.
struct PeerNames {
  std::string name;
  std::string address;
  std::string counted_as;  // CountedAddress of it.
};
PeerNames PeerOf(const boost::asio::ip::tcp::socket& socket);

}  // namespace viaduct::websocket
