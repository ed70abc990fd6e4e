#include "plugins/common/tls_channel.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/x509.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "plugins/common/tls_files.h"

namespace viaduct {
namespace {

// OpenSSL's own BIO of a socket writes with write(2), which may end the process by SIGPIPE.
int DescriptorOf(BIO* bio) {
  return static_cast<int>(reinterpret_cast<intptr_t>(BIO_get_data(bio)));
}

bool IsForLater(int error) { return error == EAGAIN || error == EWOULDBLOCK || error == EINTR; }

int WriteSocket(BIO* bio, const char* data, int size) {
  BIO_clear_retry_flags(bio);
  const ssize_t n = send(DescriptorOf(bio), data, static_cast<size_t>(size), MSG_NOSIGNAL);
  if (n < 0 && IsForLater(errno)) BIO_set_retry_write(bio);
  return static_cast<int>(n);
}

int ReadSocket(BIO* bio, char* data, int size) {
  BIO_clear_retry_flags(bio);
  const ssize_t n = recv(DescriptorOf(bio), data, static_cast<size_t>(size), 0);
  if (n < 0 && IsForLater(errno)) BIO_set_retry_read(bio);
  return static_cast<int>(n);
}

long ControlSocket(BIO*, int command, long, void*) { return command == BIO_CTRL_FLUSH ? 1 : 0; }

BIO_METHOD* MakeSocketMethod() {
  BIO_METHOD* const method = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "socket");
  if (method == nullptr) return nullptr;
  BIO_meth_set_write(method, &WriteSocket);
  BIO_meth_set_read(method, &ReadSocket);
  BIO_meth_set_ctrl(method, &ControlSocket);
  return method;
}

bool IsAddress(const std::string& host) {
  std::array<unsigned char, sizeof(in6_addr)> ignored{};
  return inet_pton(AF_INET, host.c_str(), ignored.data()) == 1 ||
         inet_pton(AF_INET6, host.c_str(), ignored.data()) == 1;
}

}  // namespace

std::unique_ptr<TlsChannel> TlsChannel::Make(const TlsContext& context, int fd) {
  // make_unique has no way to the constructor.
  std::unique_ptr<TlsChannel> channel(new TlsChannel());
  channel->method_.reset(MakeSocketMethod());
  channel->ssl_.reset(SSL_new(context.get()));
  const bool made = channel->method_ != nullptr && channel->ssl_ != nullptr;
  BIO* const bio = made ? BIO_new(channel->method_.get()) : nullptr;
  if (bio == nullptr) return nullptr;
  // NOLINTNEXTLINE(performance-no-int-to-ptr): a number, kept where OpenSSL has room for one.
  BIO_set_data(bio, reinterpret_cast<void*>(static_cast<intptr_t>(fd)));
  BIO_set_init(bio, 1);
  SSL_set_bio(channel->ssl_.get(), bio, bio);
  return channel;
}

std::unique_ptr<TlsChannel> TlsChannel::Accept(const TlsContext& context, int fd) {
  std::unique_ptr<TlsChannel> channel = Make(context, fd);
  if (channel != nullptr) SSL_set_accept_state(channel->ssl_.get());
  return channel;
}

std::unique_ptr<TlsChannel> TlsChannel::Connect(const TlsContext& context, int fd,
                                                const std::string& server_name) {
  std::unique_ptr<TlsChannel> channel = Make(context, fd);
  if (channel == nullptr) return nullptr;
  SSL_set_connect_state(channel->ssl_.get());
  if (IsAddress(server_name)) return channel;
  // NOLINTNEXTLINE(cppcoreguidelines-pro-type-const-cast): it is read only.
  void* const name = const_cast<char*>(server_name.c_str());
  SSL_ctrl(channel->ssl_.get(), SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name, name);
  return channel;
}

void TlsChannel::ReadAhead() { SSL_set_read_ahead(ssl_.get(), 1); }

TlsProgress TlsChannel::ProgressOf(int result) {
  const int system_error = errno;
  const int kind = SSL_get_error(ssl_.get(), result);
  if (kind == SSL_ERROR_WANT_READ) return TlsProgress::kWantsRead;
  if (kind == SSL_ERROR_WANT_WRITE) return TlsProgress::kWantsWrite;
  if (kind == SSL_ERROR_ZERO_RETURN) return TlsProgress::kEnded;
  const bool cut = kind == SSL_ERROR_SYSCALL ? system_error == 0
                                             : ERR_GET_REASON(ERR_peek_last_error()) ==
                                                   SSL_R_UNEXPECTED_EOF_WHILE_READING;
  const long verified = SSL_get_verify_result(ssl_.get());
  error_ = TakeTlsError();
  if (kind == SSL_ERROR_SYSCALL) error_ = std::strerror(system_error);
  if (verified != X509_V_OK) {
    error_ = absl::StrCat("certificate verify failed, ", X509_verify_cert_error_string(verified));
  }
  if (cut) error_ = "the connection ended";
  // What is spoken above has an end of its own, so nobody needs close_notify to know one.
  return cut && SSL_is_init_finished(ssl_.get()) == 1 ? TlsProgress::kEnded : TlsProgress::kFailed;
}

TlsProgress TlsChannel::Handshake() {
  ERR_clear_error();
  errno = 0;
  const int result = SSL_do_handshake(ssl_.get());
  if (result != 1) return ProgressOf(result);
  if (SSL_is_server(ssl_.get()) == 1) {
    // Without tickets the client's last word has no answer: its first request may wait for the
    // acknowledgement (Nagle), and that for an answer to travel with (40 ms).
    const int on = 1;
    setsockopt(DescriptorOf(SSL_get_rbio(ssl_.get())), IPPROTO_TCP, TCP_QUICKACK, &on, sizeof(on));
  }
  return TlsProgress::kDone;
}

TlsProgress TlsChannel::Read(void* to, size_t size, size_t* n) {
  *n = 0;
  ERR_clear_error();
  errno = 0;
  const int result = SSL_read_ex(ssl_.get(), to, size, n);
  return result == 1 ? TlsProgress::kDone : ProgressOf(result);
}

TlsProgress TlsChannel::Write(const void* from, size_t size, size_t* n) {
  *n = 0;
  ERR_clear_error();
  errno = 0;
  const int result = SSL_write_ex(ssl_.get(), from, size, n);
  return result == 1 ? TlsProgress::kDone : ProgressOf(result);
}

void TlsChannel::EndOutput() {
  if (SSL_is_init_finished(ssl_.get()) != 1 || !error_.empty()) return;
  SSL_shutdown(ssl_.get());
  ERR_clear_error();
}

std::shared_ptr<const PeerCertificate> TlsChannel::peer() const {
  X509* const certificate = SSL_get0_peer_certificate(ssl_.get());
  const bool checked = (SSL_get_verify_mode(ssl_.get()) & SSL_VERIFY_PEER) != 0 &&
                       SSL_get_verify_result(ssl_.get()) == X509_V_OK;
  if (certificate == nullptr || !checked) return nullptr;
  return std::make_shared<const PeerCertificate>(FactsOf(certificate));
}

}  // namespace viaduct
