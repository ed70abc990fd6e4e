// A connected byte stream on Boost.Asio, plain or TLS.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/system/error_code.hpp>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace viaduct::websocket {

// Lives on the thread of its io_context. One read and one write at a time; whoever starts one keeps
// the stream alive until it ends.
class Stream {
 public:
  using Error = boost::system::error_code;
  using DoneFn = std::function<void(const Error&)>;
  using ReadFn = std::function<void(const Error&, uint8_t* data, size_t size)>;

  virtual ~Stream() = default;
  // TLS: agrees on the keys. Plain: done at once.
  virtual void Handshake(DoneFn done) = 0;
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
};

// A buffer that all plain streams of one thread share: an idle one has none.
using SharedBuffer = std::vector<uint8_t>;

// `buffer` outlives the stream.
std::unique_ptr<Stream> MakePlainStream(boost::asio::ip::tcp::socket socket, SharedBuffer* buffer);
// `context` outlives the stream. `server_name`: on a client, whose certificate it must be.
std::unique_ptr<Stream> MakeTlsStream(boost::asio::ip::tcp::socket socket,
                                      boost::asio::ssl::context& context, bool is_server,
                                      const std::string& server_name);

// "192.0.2.7:51234" and "192.0.2.7"; "unknown" where the peer is gone already.
struct PeerNames {
  std::string name;
  std::string address;
};
PeerNames PeerOf(const boost::asio::ip::tcp::socket& socket);

}  // namespace viaduct::websocket
