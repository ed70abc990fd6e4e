#include "plugins/rest/http_connection.h"

#include <sys/socket.h>

#include <cerrno>

namespace viaduct::rest {
namespace {

bool IsForLater(int error) { return error == EAGAIN || error == EWOULDBLOCK; }

Io IoOf(TlsProgress progress) {
  switch (progress) {
    case TlsProgress::kDone:
      return Io::kDone;
    case TlsProgress::kWantsRead:
    case TlsProgress::kWantsWrite:
      return Io::kLater;
    case TlsProgress::kEnded:
      return Io::kEnded;
    case TlsProgress::kFailed:
      break;
  }
  return Io::kBroken;
}

}  // namespace

Io HttpServer::Connection::Handshake() {
  // Who connects and says nothing costs a socket and no more.
  if (tls == nullptr && !readable) return Io::kLater;
  if (tls == nullptr) {
    tls = TlsChannel::Accept(tls_context, fd);
    if (tls == nullptr) return Io::kBroken;
    tls->ReadAhead();
  }
  const Io io = IoOf(tls->Handshake());
  if (io != Io::kDone) return io == Io::kLater ? io : Io::kBroken;
  handshaking = false;
  certificate = tls->peer();
  readable = true;  // A request may have come on its heels, and its edge is told already.
  return Io::kDone;
}

Io HttpServer::Connection::Receive(char* to, size_t size, size_t* n) {
  if (tls != nullptr) {
    const TlsProgress progress = tls->Read(to, size, n);
    reads_when_writable = progress == TlsProgress::kWantsWrite;
    // One record at a time: there may be another.
    readable = progress == TlsProgress::kDone;
    return IoOf(progress);
  }
  const ssize_t received = recv(fd, to, size, 0);
  if (received < 0) {
    readable = errno == EINTR;
    return errno == EINTR || IsForLater(errno) ? Io::kLater : Io::kBroken;
  }
  *n = static_cast<size_t>(received);
  if (received == 0) return Io::kEnded;
  // A short read has emptied the socket: the next octet makes a new edge. Only the end of the
  // stream, once reported, is not reported again.
  readable = *n == size || peer_closed;
  return Io::kDone;
}

Io HttpServer::Connection::SendSome(size_t* n) {
  const char* const from = out.data() + out_sent;
  const size_t size = out.size() - out_sent;
  if (tls != nullptr) return IoOf(tls->Write(from, size, n));
  while (true) {
    const ssize_t sent = send(fd, from, size, MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0) return IsForLater(errno) ? Io::kLater : Io::kBroken;
    *n = static_cast<size_t>(sent);
    return Io::kDone;
  }
}

void HttpServer::Connection::EndOutput() {
  if (tls != nullptr) tls->EndOutput();
  shutdown(fd, SHUT_WR);
}

}  // namespace viaduct::rest
