// One connection of a listener: HTTP/1.1 requests one after the other, until one of them becomes a
// WebSocket.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "plugins/common/http_message.h"
#include "plugins/common/request_scanner.h"
#include "plugins/websocket/budget.h"
#include "plugins/websocket/deadlines.h"
#include "plugins/websocket/frame_codec.h"
#include "plugins/websocket/server_options.h"
#include "plugins/websocket/stream.h"

namespace viaduct {
class HttpEngine;  // plugins/common/http_engine.h
}

namespace viaduct::websocket {

class Connection;
using ConnectionPtr = std::shared_ptr<Connection>;

// Whoever has a connection's WebSocket or waits to answer its request.
class Receiver {
 public:
  virtual void OnMessage(bool binary, std::string payload) = 0;
  // The connection is gone; nothing else comes.
  virtual void OnGone(Connection* connection) = 0;

 protected:
  ~Receiver() = default;
};

// The listener as its connections see it. All on its one thread.
class ConnectionOwner {
 public:
  // A whole request: answered by Connection::Answer, or taken over by AcceptWebSocket (with
  // `is_upgrade`).
  virtual void OnRequest(const ConnectionPtr& connection, HttpRequest request, bool is_upgrade) = 0;
  virtual void OnClosed(Connection* connection) = 0;
  // Everything that happens between the two is one step: what it says to one peer is written at
  // once, at its end, and only then somebody gives way for memory.
  virtual void BeginStep() = 0;
  virtual void EndStep() = 0;
  // Inside a step: Connection::Flush is called at its end. False: there is none.
  virtual bool FlushLater(const ConnectionPtr& connection) = 0;

  virtual const ServerOptions& options() const = 0;
  virtual ServerStats& stats() = 0;
  virtual HttpEngine& http() = 0;
  virtual Deadlines& deadlines() = 0;
  virtual Budget& budget() = 0;

 protected:
  ~ConnectionOwner() = default;
};

// Lives on the owner's thread.
class Connection final : public std::enable_shared_from_this<Connection>,
                         public Timed,
                         public Holder {
 public:
  Connection(ConnectionOwner* owner, std::unique_ptr<Stream> stream, PeerNames peer);

  void Start();
  const PeerNames& peer() const { return peer_; }

  // ---- HTTP
  // Told when the peer goes while its request waits. Null: nobody.
  void SetReceiver(Receiver* receiver) { receiver_ = receiver; }
  // Answers the request that waits.
  void Answer(const HttpReply& reply);
  bool answering() const { return state_ == State::kAnswering; }

  // ---- WebSocket
  // The request that waits becomes a WebSocket of `receiver`. False: it was no proper handshake,
  // which has been answered.
  bool AcceptWebSocket(Receiver* receiver);
  void SendMessage(bool binary, std::string_view payload);
  // Octets of AppendServerFrame, for many connections; `payload` is what they hold.
  void SendFrame(const std::string& frame, bool binary, std::string_view payload);
  void SendPing();
  // Whether the last ping is answered.
  bool ponged() const { return ponged_; }
  // Whether anything has come since the last time, or nothing was read for a while.
  bool TakeHeard() { return std::exchange(heard_, false); }
  bool paused() const { return paused_; }
  // Says goodbye and waits a little for the peer to do so.
  void CloseWebSocket(uint16_t code, std::string_view reason);
  bool is_open() const { return state_ == State::kWebSocket; }

  // While paused nothing is read.
  void Pause();
  void Resume();

  // Its receiver keeps so much on behalf of the same peer.
  void HoldBeside(size_t bytes);
  void GiveWay() override;
  // Writes what is to be sent.
  void Flush();

  // Ends it without a word.
  void Abort();
  void OnDeadline() override;

 private:
  enum class State : uint8_t {
    kHandshake,  // Of TLS.
    kRequest,    // Reads a request, or waits for one.
    kAnswering,  // A request waits for its answer.
    kWebSocket,
    kFlushing,  // Sends what is left, then lingers.
    kLinger,    // Waits for the peer to close.
    kClosed,
  };
  // Of a connection that still speaks HTTP.
  struct Http {
    explicit Http(const ScanLimits& limits) : scanner(limits) {}
    RequestScanner scanner;
    std::string header;  // Of a request that may become a WebSocket.
    bool keep_alive = true;
    bool is_head = false;
  };

  void OnHandshake(const Stream::Error& error);
  void Read();
  void OnRead(const Stream::Error& error, uint8_t* data, size_t size);
  void StepHttp();
  void AwaitRequest();
  // An answer is on its way; the next request waits for it.
  bool Sending() const { return !out_.empty() || !writing_.empty(); }
  void TakeRequest();
  void Refuse(ScanResult why);
  void Refuse(int status, const char* reason);
  void FeedFrames(uint8_t* data, size_t size);
  void FeedFramesOnce(uint8_t* data, size_t size);
  bool OnFrame(ReceivedFrame frame);
  void FailWebSocket(uint16_t code, const std::string& why);
  bool HasRoomFor(size_t bytes);
  void FlushSoon();
  bool FlushNow();
  void OnWritten(const Stream::Error& error);
  void Finish();
  void Linger();
  void Settle();
  void SetDeadline(absl::Duration from_now);
  Receiver* TakeReceiver();

  ConnectionOwner* const owner_;
  const std::unique_ptr<Stream> stream_;
  const PeerNames peer_;
  std::shared_ptr<const PeerCertificate> certificate_;  // Null: it has shown none.
  Receiver* receiver_ = nullptr;
  std::unique_ptr<Http> http_;
  std::unique_ptr<FrameCodec> codec_;
  std::string in_;       // HTTP not yet used, or frames that came while paused.
  std::string out_;      // To be written next.
  std::string writing_;  // Being written.
  size_t beside_ = 0;    // Of HoldBeside.
  uint64_t pings_ = 0;
  SteadyTime request_began_;  // First octet of the request that is coming in.
  State state_ = State::kHandshake;
  bool reading_ = false;
  bool paused_ = false;
  bool feeding_ = false;  // What was read is still being used.
  bool ponged_ = false;
  bool flushes_later_ = false;
  bool heard_ = false;
  bool early_ = false;  // Frames wait in in_ until the handshake is answered.
  bool stepping_ = false;
};

}  // namespace viaduct::websocket
