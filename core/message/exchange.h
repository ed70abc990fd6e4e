// Requests with replies between a listener (any plugin) and the application, free of any protocol.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace viaduct {

namespace security {
struct Permission;
struct Principal;
}  // namespace security

using Attributes = std::vector<std::pair<std::string, std::string>>;  // Names in lower case.

// Where a request came from. Credentials are what the plugin found; the host decides what they
// prove.
struct Peer {
  std::string instance;    // Name of the listener instance, "" for gRPC on the node.
  std::string address;     // "127.0.0.1:51123", "unix:", "mqtt:<client id>"
  Attributes credentials;  // {"api_key", ...}, {"bearer", ...}, {"user", ...}
};

struct CallRequest {
  std::string protocol;   // "http", "socketio", "mqtt": how the reply will be worded, nothing else.
  std::string method;     // "GET", "POST"; "" where the protocol has none.
  std::string path;       // "/api/detection", as it came; or an event name or a topic.
  std::string query;      // Raw, without '?', still percent-encoded.
  Attributes attributes;  // Headers or their like.
  std::string body;
  Peer peer;
  // Who it is, when somebody has looked at the credentials; null: nobody known.
  std::shared_ptr<const security::Principal> principal;
  // The row of what it asks for, when its route is known.
  const security::Permission* permission = nullptr;
};

struct CallReply {
  int status = 200;       // HTTP status numbers are the application's vocabulary in every protocol.
  Attributes attributes;  // "content-type", "retry-after", "allow", ...
  std::string body;
};

using ReplyFn = std::function<void(CallReply)>;

// Thread-safe. `Handle` does not wait for I/O: a listener calls it on its only thread. `reply` is
// called exactly once, on any thread, possibly before Handle returns.
class CallHandler {
 public:
  virtual ~CallHandler() = default;
  virtual void Handle(CallRequest request, ReplyFn reply) = 0;
  // That listener has stopped or failed: whatever sessions it had are gone.
  virtual void OnListenerGone(std::string_view instance) { static_cast<void>(instance); }
};

}  // namespace viaduct
