#include "plugins/websocket/stream.h"

#include <boost/asio/buffer.hpp>
#include <boost/asio/ssl/host_name_verification.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/write.hpp>
#include <utility>

#include "absl/strings/str_cat.h"

namespace viaduct::websocket {
namespace {

namespace asio = boost::asio;
using Tcp = asio::ip::tcp;

constexpr size_t kTlsReadBytes = 16u << 10;

void CloseSocket(Tcp::socket& socket) {
  Stream::Error ignored;
  socket.close(ignored);
}

class PlainStream final : public Stream {
 public:
  PlainStream(Tcp::socket socket, SharedBuffer* buffer)
      : socket_(std::move(socket)), buffer_(buffer) {
    Error ignored;
    socket_.non_blocking(true, ignored);
  }

  void Handshake(DoneFn done) override { done(Error()); }
  void Read(ReadFn done) override {
    socket_.async_wait(Tcp::socket::wait_read, [this, done = std::move(done)](const Error& error) {
      if (error) return done(error, nullptr, 0);
      Error failed;
      const size_t size = socket_.read_some(asio::buffer(*buffer_), failed);
      if (failed == asio::error::would_block || failed == asio::error::try_again) {
        return done(Error(), buffer_->data(), 0);
      }
      done(failed, buffer_->data(), size);
    });
  }
  size_t WriteSome(std::string_view data) override {
    Error later;  // Whatever is wrong shows again in Write.
    return socket_.write_some(asio::buffer(data.data(), data.size()), later);
  }
  void Write(const std::string& data, DoneFn done) override {
    asio::async_write(socket_, asio::buffer(data),
                      [done = std::move(done)](const Error& error, size_t) { done(error); });
  }
  void ShutdownSend() override {
    Error ignored;
    socket_.shutdown(Tcp::socket::shutdown_send, ignored);
  }
  void Close() override { CloseSocket(socket_); }

 private:
  Tcp::socket socket_;
  SharedBuffer* const buffer_;
};

class TlsStream final : public Stream {
 public:
  TlsStream(Tcp::socket socket, asio::ssl::context& context, bool is_server,
            const std::string& server_name)
      : stream_(std::move(socket), context), is_server_(is_server), buffer_(kTlsReadBytes) {
    if (is_server) return;
    stream_.set_verify_callback(asio::ssl::host_name_verification(server_name));
    // Which of several servers behind one address is meant; an address names itself.
    // NOLINTNEXTLINE(cppcoreguidelines-pro-type-const-cast): it is read only.
    char* const name = const_cast<char*>(server_name.c_str());
    SSL_ctrl(stream_.native_handle(), SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name,
             name);
  }

  void Handshake(DoneFn done) override {
    stream_.async_handshake(
        is_server_ ? asio::ssl::stream_base::server : asio::ssl::stream_base::client,
        [done = std::move(done)](const Error& error) { done(error); });
  }
  void Read(ReadFn done) override {
    stream_.async_read_some(asio::buffer(buffer_),
                            [this, done = std::move(done)](const Error& error, size_t size) {
                              done(error, buffer_.data(), size);
                            });
  }
  size_t WriteSome(std::string_view) override { return 0; }
  void Write(const std::string& data, DoneFn done) override {
    asio::async_write(stream_, asio::buffer(data),
                      [done = std::move(done)](const Error& error, size_t) { done(error); });
  }
  void ShutdownSend() override {
    // Both protocols have an end of their own, so nobody needs close_notify to know one.
    Error ignored;
    stream_.next_layer().shutdown(Tcp::socket::shutdown_send, ignored);
  }
  void Close() override { CloseSocket(stream_.next_layer()); }

 private:
  asio::ssl::stream<Tcp::socket> stream_;
  const bool is_server_;
  std::vector<uint8_t> buffer_;
};

}  // namespace

std::unique_ptr<Stream> MakePlainStream(Tcp::socket socket, SharedBuffer* buffer) {
  return std::make_unique<PlainStream>(std::move(socket), buffer);
}

std::unique_ptr<Stream> MakeTlsStream(Tcp::socket socket, asio::ssl::context& context,
                                      bool is_server, const std::string& server_name) {
  return std::make_unique<TlsStream>(std::move(socket), context, is_server, server_name);
}

PeerNames PeerOf(const Tcp::socket& socket) {
  Stream::Error error;
  const Tcp::endpoint peer = socket.remote_endpoint(error);
  if (error) return {"unknown", "unknown"};
  const std::string address = peer.address().to_string(error);
  const char* const open = peer.address().is_v6() ? "[" : "";
  const char* const close = peer.address().is_v6() ? "]" : "";
  return {absl::StrCat(open, address, close, ":", peer.port()), address};
}

}  // namespace viaduct::websocket
