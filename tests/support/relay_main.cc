// relay: stands between two programs and breaks what passes. Prints "port <n>", then obeys the
// commands of relay.h on its standard input.
//   relay --target-port 8000
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <string>

#include "tests/support/relay.h"

int main(int argc, char** argv) {
  viaduct::support::RelayOptions options;
  CLI::App app("relay: a TCP relay that can be told to break");
  app.add_option("--port", options.listen_port, "0: any free one");
  app.add_option("--target-address", options.target_address);
  app.add_option("--target-port", options.target_port)->required();
  CLI11_PARSE(app, argc, argv);

  viaduct::support::Relay relay(options);
  const absl::Status status = relay.Listen();
  if (!status.ok()) {
    std::fprintf(stderr, "%s\n", std::string(status.message()).c_str());
    return 1;
  }
  std::printf("port %u\n", relay.port());
  std::fflush(stdout);
  relay.Run(STDIN_FILENO, STDOUT_FILENO);
  return 0;
}
