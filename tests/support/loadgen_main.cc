// loadgen: one native load generator for every system under test. Prints one JSON line of results.
//   loadgen http --port 8000 --connections 16 --seconds 5
//   loadgen grpc --target unix:/tmp/edge/control.sock --rate 1000 --window 256
//   loadgen http --port 8000 --form array --batch 64 --log run.ledger --prefix R1A
//   loadgen socketio --port 8765 --sessions 8 --window 100
// The full list: loadgen --help-all; what the figures mean: docs/TESTING.md.
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <map>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "tests/support/grpc_load.h"
#include "tests/support/http_load.h"
#include "tests/support/load.h"
#include "tests/support/message_source.h"
#include "tests/support/socketio_load.h"

namespace viaduct::support {
namespace {

struct Common {
  LoadOptions load;
  MessageSpec spec;
  std::string image_path;
  int cpu = -1;
};

void AddCommon(CLI::App& app, Common& c) {
  app.add_option("--rate", c.load.rate, "Messages a second; 0: as fast as it goes");
  app.add_option("--seconds", c.load.seconds, "How long new messages are made");
  app.add_option("--messages", c.load.max_messages, "At most so many; 0: no bound");
  app.add_option("--drain-seconds", c.load.drain_seconds, "Wait for outstanding answers");
  app.add_option("--timeout-ms", c.load.timeout_ms, "Give a silent connection up after this");
  app.add_option("--reconnect-delay-ms", c.load.reconnect_delay_ms);
  app.add_flag("--retry", c.load.retry, "Send again under the same id until accepted");
  app.add_option("--log", c.load.log_path, "Ledger log to write");
  app.add_option("--prefix", c.spec.prefix, "First letters of the ids; one a run");
  app.add_option("--camera", c.spec.camera_id);
  app.add_option("--checkpoint", c.spec.checkpoint_id);
  app.add_option("--priority", c.spec.priority, "Of envelopes; without it they do not say any")
      ->check(CLI::IsMember({"high", "normal", "low"}));
  app.add_option("--start-unix-ms", c.spec.start_unix_ms, "Capture time of the first message");
  app.add_option("--image", c.image_path, "JPEG sent with every message");
  app.add_option("--cpu", c.cpu, "Pin to this CPU");
}

void AddHttp(CLI::App& app, HttpOptions& http) {
  const std::map<std::string, HttpForm> forms = {
      {"flat", HttpForm::kFlat}, {"envelope", HttpForm::kEnvelope}, {"array", HttpForm::kArray}};
  app.add_option("--address", http.address);
  app.add_option("--port", http.port)->required();
  app.add_option("--path", http.path, "Instead of the path of the form");
  app.add_option("--form", http.form, "flat, envelope or array")
      ->transform(CLI::CheckedTransformer(forms));
  app.add_option("--connections", http.connections)->check(CLI::Range(1, 10000));
  app.add_option("--batch", http.batch, "Messages of one array")->check(CLI::Range(1, 4096));
  app.add_option("--idle", http.idle_connections, "Further connections that are only held")
      ->check(CLI::Range(0, 100000));
  app.add_option("--ca", http.ca_file, "TLS; PEM file with the authorities of the server");
  app.add_option_function<std::string>(
      "--bearer",
      [&http](const std::string& token) {
        http.headers += "Authorization: Bearer " + token + "\r\n";
      },
      "Token of each request");
}

void AddGrpc(CLI::App& app, GrpcOptions& grpc) {
  app.add_option("--target", grpc.target, "unix:<socket> of the node")->required();
  app.add_option("--watch", grpc.watch, "unix:<socket> of the node whose commits end the latency");
  app.add_option("--watch-drain-seconds", grpc.watch_drain_seconds, "Wait for those commits");
  app.add_flag("--stream,!--unary", grpc.stream, "SendMetadataStream or SendMetadata");
  app.add_option("--window", grpc.window, "Unacknowledged messages")->check(CLI::Range(1, 1000000));
  app.add_option("--frame", grpc.frame, "Messages of one frame")->check(CLI::Range(1, 4096));
  app.add_option("--threads", grpc.threads, "Unary callers")->check(CLI::Range(1, 256));
}

void AddSocketIo(CLI::App& app, SocketIoOptions& socketio) {
  app.add_option("--address", socketio.address);
  app.add_option("--port", socketio.port)->required();
  app.add_option("--path", socketio.path);
  app.add_option("--event", socketio.event, "Sent with a detection as its argument");
  app.add_option("--answer", socketio.answer, "The event that answers it");
  app.add_option("--sessions", socketio.sessions)->check(CLI::Range(1, 10000));
  app.add_option("--window", socketio.window, "Unanswered events of a session")
      ->check(CLI::Range(1, 100000));
  app.add_option("--idle", socketio.idle_sessions, "Further sessions that only stay open")
      ->check(CLI::Range(0, 100000));
}

absl::Status Prepare(Common& c) {
  if (c.spec.prefix.empty()) {
    c.spec.prefix = absl::StrCat("G", absl::Hex(getpid()), absl::Hex(NowNanos() / 1000000), "N");
    for (char& letter : c.spec.prefix) {
      if (letter >= 'a') letter = static_cast<char>(letter - 'a' + 'A');
    }
  }
  if (!c.image_path.empty()) {
    std::ifstream in(c.image_path, std::ios::binary);
    c.spec.image.assign(std::istreambuf_iterator<char>(in), {});
    if (c.spec.image.empty()) {
      return absl::NotFoundError(absl::StrCat("loadgen: no image, ", c.image_path));
    }
  }
  if (c.cpu >= 0) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(static_cast<unsigned>(c.cpu), &set);
    if (sched_setaffinity(0, sizeof set, &set) != 0) {
      return absl::InvalidArgumentError(absl::StrCat("loadgen: no such CPU, ", c.cpu));
    }
  }
  rlimit files{};
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  StopOnSignals();
  prctl(PR_SET_TIMERSLACK, 1);  // Paced sends wake on time.
  return absl::OkStatus();
}

int Report(const absl::StatusOr<LoadResults>& results) {
  if (!results.ok()) {
    std::fprintf(stderr, "%s\n", std::string(results.status().message()).c_str());
    return 1;
  }
  std::printf("%s\n", results->ToJson().c_str());
  return 0;
}

}  // namespace

int Main(int argc, char** argv) {
  CLI::App app("loadgen: makes detections, sends them, measures, writes the ledger's log");
  app.set_help_all_flag("--help-all", "with what each way of sending takes");
  app.require_subcommand(1);
  Common common;
  HttpOptions http;
  CLI::App* http_app = app.add_subcommand("http", "POST over keep-alive connections");
  AddCommon(*http_app, common);
  AddHttp(*http_app, http);
  GrpcOptions grpc;
  CLI::App* grpc_app = app.add_subcommand("grpc", "gateway.v1 over the node's socket");
  AddCommon(*grpc_app, common);
  AddGrpc(*grpc_app, grpc);
  SocketIoOptions socketio;
  CLI::App* socketio_app = app.add_subcommand("socketio", "Socket.IO sessions over WebSocket");
  AddCommon(*socketio_app, common);
  AddSocketIo(*socketio_app, socketio);
  CLI11_PARSE(app, argc, argv);

  const absl::Status ready = Prepare(common);
  if (!ready.ok()) return Report(ready);
  MessageSource source(common.spec);
  if (*grpc_app) {
    if (grpc.frame > grpc.window) grpc.frame = grpc.window;
    return Report(GrpcLoad(grpc, common.load, &source).Run());
  }
  if (*socketio_app) return Report(SocketIoLoad(socketio, common.load, &source).Run());
  return Report(HttpLoad(http, common.load, &source).Run());
}

}  // namespace viaduct::support

int main(int argc, char** argv) { return viaduct::support::Main(argc, argv); }
