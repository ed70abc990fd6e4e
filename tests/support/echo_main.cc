// The websocket listener without a node: sends everything back, so that the conformance suites of
// Engine.IO, Socket.IO and RFC 6455 can be run against the plugin's own server code.
#include <signal.h>

#include <CLI/CLI.hpp>
#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>
#include <utility>

#include "plugins/websocket/server.h"
#include "plugins/websocket/socketio.h"

namespace {

using namespace viaduct;             // NOLINT(google-build-using-namespace)
using namespace viaduct::websocket;  // NOLINT(google-build-using-namespace)

class Echo final : public ServerHandler {
 public:
  void set_server(Server* server) { server_ = server; }

  void OnHttp(uint64_t ticket, HttpRequest) override {
    server_->AnswerHttp(ticket, Problem(404, "nothing but echoes here"));
  }
  void OnHttpGone(uint64_t) override {}
  void OnConnect(Session& session, std::string_view nsp, std::string_view auth) override {
    if (session.socketio() != nullptr) session.socketio()->Emit(nsp, "auth", auth, {});
  }
  void OnEvent(Session& session, const SessionEvent& event) override {
    SocketIo& peer = *session.socketio();
    if (event.name == "message") {
      peer.Emit(event.nsp, "message-back", event.arguments, event.attachments);
    } else if (event.name == "message-with-ack" && event.wants_ack) {
      peer.Ack(event.nsp, event.ack_id, event.arguments, event.attachments);
    }
    session.EventDone(event.bytes);
  }
  void OnMessage(Session& session, bool binary, std::string_view payload) override {
    session.SendMessage(binary, payload);
    session.EventDone(payload.size());
  }
  void OnAck(Session&, uint64_t, std::string_view) override {}
  void OnClose(Session&) override {}

 private:
  Server* server_ = nullptr;
};

struct Arguments {
  std::string mode = "socketio";
  ServerOptions server;
  int64_t ping_interval_ms = 25'000;
  int64_t ping_timeout_ms = 20'000;
  int64_t connect_timeout_ms = 45'000;
  int64_t request_timeout_ms = 30'000;
  int64_t stall_timeout_ms = 30'000;
};

void AddOptions(CLI::App* app, Arguments* arguments) {
  app->add_option("--mode", arguments->mode, "what is spoken")
      ->check(CLI::IsMember({"engine", "socketio", "raw"}))
      ->capture_default_str();
  app->add_option("--host", arguments->server.host, "address to listen on")->capture_default_str();
  app->add_option("--port", arguments->server.port, "0: any free one")->capture_default_str();
  app->add_option("--ping-interval", arguments->ping_interval_ms, "ms")->capture_default_str();
  app->add_option("--ping-timeout", arguments->ping_timeout_ms, "ms")->capture_default_str();
  app->add_option("--connect-timeout", arguments->connect_timeout_ms, "ms")->capture_default_str();
  app->add_option("--request-timeout", arguments->request_timeout_ms, "ms")->capture_default_str();
  app->add_option("--stall-timeout", arguments->stall_timeout_ms, "ms")->capture_default_str();
  app->add_option("--max-pending-events", arguments->server.max_pending_events, "of a session")
      ->capture_default_str();
  app->add_option("--max-buffered", arguments->server.max_buffered_bytes, "octets, of all")
      ->capture_default_str();
  app->add_option("--max-payload", arguments->server.max_payload_bytes, "octets")
      ->capture_default_str();
  app->add_option("--certificate", arguments->server.tls.certificate, "PEM file, for TLS");
  app->add_option("--key", arguments->server.tls.key, "PEM file");
  app->add_flag("--deflate", arguments->server.deflate, "accept permessage-deflate");
}

ServerOptions OptionsOf(Arguments arguments) {
  ServerOptions& server = arguments.server;
  server.ping_interval = absl::Milliseconds(arguments.ping_interval_ms);
  server.ping_timeout = absl::Milliseconds(arguments.ping_timeout_ms);
  server.connect_timeout = absl::Milliseconds(arguments.connect_timeout_ms);
  server.request_timeout = absl::Milliseconds(arguments.request_timeout_ms);
  server.stall_timeout = absl::Milliseconds(arguments.stall_timeout_ms);
  server.engine_paths = {"/engine.io/", "/socket.io/", "/ws/"};
  server.socketio = arguments.mode == "socketio";
  server.namespaces = {"/", "/custom"};
  server.raw = arguments.mode == "raw";
  return server;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Sends back what Engine.IO, Socket.IO and WebSocket peers say");
  Arguments arguments;
  AddOptions(&app, &arguments);
  CLI11_PARSE(app, argc, argv);
  // Before the server's thread, which is not to get them.
  sigset_t ends;
  sigemptyset(&ends);
  sigaddset(&ends, SIGINT);
  sigaddset(&ends, SIGTERM);
  sigprocmask(SIG_BLOCK, &ends, nullptr);
  Echo echo;
  Server server(OptionsOf(arguments), &echo);
  echo.set_server(&server);
  const absl::Status status = server.Start();
  if (!status.ok()) {
    std::fprintf(stderr, "echo: %s\n", std::string(status.message()).c_str());
    return 1;
  }
  std::printf("listening on port %d\n", server.port());
  std::fflush(stdout);
  int signal = 0;
  sigwait(&ends, &signal);
  server.Stop();
  return 0;
}
