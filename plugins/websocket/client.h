// The road: one WebSocket to a server, with Socket.IO on it or plain. What is under way when a
// connection is lost, or when there is none to be had, goes back to the host; the next message that
// the host gives, when it thinks fit, makes the connection anew.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "plugins/common/delivery.h"
#include "plugins/common/tls_options.h"

namespace viaduct::websocket {

struct ClientOptions {
  std::string
      server_url;    // ws, wss, http or https; a path is that of Socket.IO or of the WebSocket.
  bool raw = false;  // Plain WebSocket instead of Socket.IO.
  absl::Duration connect_timeout = absl::Seconds(30);  // To the first word of the server.
  absl::Duration answer_timeout = absl::Seconds(30);   // From a message to its confirmation.
  size_t window = 1024;                                // The most messages held at once.
  size_t max_unsent_bytes = 16u << 20;                 // One message always fits.
  // While there is nothing to send: how often a lost connection is made anew, so that the server
  // knows its peer, and how long after the one before.
  int reconnect_attempts = 3;
  absl::Duration reconnect_delay = absl::Seconds(5);
  bool deflate = false;  // Offer permessage-deflate.
  std::string api_key;
  std::string token;
  TlsRoadOptions tls;  // For wss.
  // Registered after every connect, where both are given.
  std::string camera_id;
  std::string checkpoint_id;
};

struct ServerAddress {
  bool secure = false;
  std::string host;
  std::string port;
  std::string path;  // "" where the URL has none.
};
// INVALID_ARGUMENT says what is wrong with the URL.
absl::Status ReadServerUrl(const std::string& url, ServerAddress* address);

// What the answer to one message means: the first argument of an acknowledgement of Socket.IO, or
// the answer on a plain WebSocket. A message is refused only by what says so of itself.
DeliveryResult JudgeAnswer(const std::string& json, const std::string& message_id, bool raw);

// When an introduction is to be said again by the server's answer to it: after the `retry_after` in
// there, or else `otherwise`, within the limits of Client. Empty: the server has taken it.
std::optional<absl::Duration> IntroduceAgain(const std::string& json, absl::Duration otherwise);

// Thread-safe.
class Client {
 public:
  struct Events {  // On the client's thread; must not block.
    std::function<void(absl::Span<const DeliveryResult>)> on_results;
    std::function<void()> on_ready;                    // Connected and greeted.
    std::function<void(const absl::Status&)> on_lost;  // What was under way has ended before.
    // The server wants something of this node: one JSON value. Ends with Client::Answer. May be
    // empty: nothing is taken then.
    std::function<void(uint64_t ticket, const std::string& body)> on_command = nullptr;
  };

  Client(ClientOptions options, Events events);
  ~Client();  // Stops.

  // INVALID_ARGUMENT: the URL cannot be used; FAILED_PRECONDITION: a file of `tls` cannot. Does not
  // wait for the server.
  absl::Status Start();
  size_t credit() const;
  // False: no room.
  bool Take(Delivery delivery);
  void Cancel(absl::Span<const uint64_t> tokens);
  // Waits until nothing is held. False: `timeout` passed.
  bool Drain(absl::Duration timeout);
  // What is held ends as cancelled; no thread is left.
  void Stop();
  static constexpr size_t kMaxCommands = 16;  // Without an answer; more are not taken.
  // The answer to a command: one JSON value. Nothing happens when its connection is gone.
  void Answer(uint64_t ticket, std::string body);
  static constexpr absl::Duration kMinIntroduceAgain = absl::Milliseconds(100);
  static constexpr absl::Duration kMaxIntroduceAgain = absl::Minutes(10);
  // Tells the server who its peer is: one JSON value, which on a plain WebSocket is all of it. What
  // the server refuses is said again on the same connection, when its answer says, or else after
  // `reconnect_delay`. Nothing happens without a connection.
  void Introduce(std::string event, std::string body);
  // Measures one round trip, connecting first where that is needed. False: one is under way.
  bool Probe(absl::Duration timeout, ProbeFn done);

 private:
  class Impl;
  const std::unique_ptr<Impl> impl_;
};

}  // namespace viaduct::websocket
