#include "plugins/websocket/stream.h"

#include <boost/asio/buffer.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/write.hpp>
#include <utility>

#include "absl/strings/str_cat.h"
#include "plugins/common/address_counts.h"
#include "plugins/common/tls_channel.h"

namespace viaduct::websocket {
namespace {

namespace asio = boost::asio;
using Tcp = asio::ip::tcp;

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

  void Handshake(std::function<void()>, DoneFn done) override { done(Error()); }
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
  TlsStream(Tcp::socket socket, TlsContext context, std::string server_name, SharedBuffer* buffer)
      : socket_(std::move(socket)),
        context_(std::move(context)),
        server_name_(std::move(server_name)),
        buffer_(buffer) {
    Error ignored;
    socket_.non_blocking(true, ignored);
  }

  void Handshake(std::function<void()> begun, DoneFn done) override {
    if (!server_name_.empty()) return StepHandshake(std::move(done));
    // Who connects and says nothing costs a socket and no more.
    Await(Tcp::socket::wait_read, std::move(done), [this, begun = std::move(begun)](DoneFn next) {
      if (begun != nullptr) begun();
      if (socket_.is_open()) StepHandshake(std::move(next));
    });
  }
  void Read(ReadFn done) override { ReadAfter(Tcp::socket::wait_read, std::move(done)); }
  size_t WriteSome(std::string_view data) override {
    size_t sent = 0;
    size_t n = 0;
    // Whatever is wrong shows again in Write.
    while (sent < data.size() &&
           channel_->Write(data.data() + sent, data.size() - sent, &n) == TlsProgress::kDone) {
      sent += n;
    }
    return sent;
  }
  void Write(const std::string& data, DoneFn done) override { WriteFrom(data, 0, std::move(done)); }
  void ShutdownSend() override {
    if (channel_ != nullptr) channel_->EndOutput();
    Error ignored;
    socket_.shutdown(Tcp::socket::shutdown_send, ignored);
  }
  void Close() override { CloseSocket(socket_); }
  std::string Why(const Error& error) const override {
    const bool says_more = channel_ != nullptr && !channel_->error().empty();
    return says_more ? channel_->error() : error.message();
  }
  std::shared_ptr<const PeerCertificate> certificate() const override { return channel_->peer(); }

 private:
  static Error Broken() { return asio::error::connection_aborted; }

  template <typename Next>
  void Await(Tcp::socket::wait_type what, DoneFn done, Next next) {
    socket_.async_wait(what, [done = std::move(done), next](const Error& error) {
      error ? done(error) : next(done);
    });
  }

  void ReadAfter(Tcp::socket::wait_type what, ReadFn done) {
    socket_.async_wait(what, [this, done = std::move(done)](const Error& error) {
      if (error) return done(error, nullptr, 0);
      if (!agreed_) return Discard(done);
      size_t size = 0;
      const TlsProgress progress = channel_->Read(buffer_->data(), buffer_->size(), &size);
      if (progress == TlsProgress::kEnded) return done(asio::error::eof, nullptr, 0);
      if (progress == TlsProgress::kFailed) return done(Broken(), nullptr, 0);
      // What can be read stays there meanwhile: to wait for it would be no waiting.
      if (progress == TlsProgress::kWantsWrite) return ReadAfter(WaitOf(progress), done);
      done(Error(), buffer_->data(), size);
    });
  }

  void StepHandshake(DoneFn done) {
    if (channel_ == nullptr) {
      channel_ = server_name_.empty()
                     ? TlsChannel::Accept(context_, socket_.native_handle())
                     : TlsChannel::Connect(context_, socket_.native_handle(), server_name_);
    }
    if (channel_ == nullptr) return done(asio::error::no_memory);
    const TlsProgress progress = channel_->Handshake();
    if (progress == TlsProgress::kDone) {
      agreed_ = true;
      return done(Error());
    }
    if (progress == TlsProgress::kEnded || progress == TlsProgress::kFailed) return done(Broken());
    Await(WaitOf(progress), std::move(done),
          [this](DoneFn next) { StepHandshake(std::move(next)); });
  }

  // `data` stays where it is until done.
  void WriteFrom(const std::string& data, size_t sent, DoneFn done) {
    size_t n = 0;
    TlsProgress progress = TlsProgress::kDone;
    while (sent < data.size() && progress == TlsProgress::kDone) {
      progress = channel_->Write(data.data() + sent, data.size() - sent, &n);
      sent += n;
    }
    if (progress == TlsProgress::kEnded || progress == TlsProgress::kFailed) {
      return Later(std::move(done), Broken());
    }
    if (sent == data.size()) return Later(std::move(done), Error());
    Await(WaitOf(progress), std::move(done),
          [this, &data, sent](DoneFn next) { WriteFrom(data, sent, std::move(next)); });
  }

  // After a handshake that failed: what still comes, so that the peer can read why.
  void Discard(const ReadFn& done) {
    Error failed;
    socket_.read_some(asio::buffer(*buffer_), failed);
    const bool later = failed == asio::error::would_block || failed == asio::error::try_again;
    done(later ? Error() : failed, buffer_->data(), 0);
  }

  // Not on the stack of whoever writes.
  void Later(DoneFn done, const Error& error) {
    asio::post(socket_.get_executor(), [done = std::move(done), error] { done(error); });
  }

  static Tcp::socket::wait_type WaitOf(TlsProgress progress) {
    return progress == TlsProgress::kWantsRead ? Tcp::socket::wait_read : Tcp::socket::wait_write;
  }

  Tcp::socket socket_;
  const TlsContext context_;
  const std::string server_name_;  // "": this is the server.
  SharedBuffer* const buffer_;
  std::unique_ptr<TlsChannel> channel_;  // From the first octet of the handshake.
  bool agreed_ = false;
};

}  // namespace

std::unique_ptr<Stream> MakePlainStream(Tcp::socket socket, SharedBuffer* buffer) {
  return std::make_unique<PlainStream>(std::move(socket), buffer);
}

std::unique_ptr<Stream> MakeTlsStream(Tcp::socket socket, TlsContext context,
                                      const std::string& server_name, SharedBuffer* buffer) {
  return std::make_unique<TlsStream>(std::move(socket), std::move(context), server_name, buffer);
}

PeerNames PeerOf(const Tcp::socket& socket) {
  Stream::Error error;
  const Tcp::endpoint peer = socket.remote_endpoint(error);
  if (error) return {"unknown", "unknown", "unknown"};
  const std::string address = peer.address().to_string(error);
  const char* const open = peer.address().is_v6() ? "[" : "";
  const char* const close = peer.address().is_v6() ? "]" : "";
  return {absl::StrCat(open, address, close, ":", peer.port()), address, CountedAddress(address)};
}

}  // namespace viaduct::websocket
