// viaduct-host: one node.
#include <CLI/CLI.hpp>
#include <string>

#include "host/node/run.h"

#ifndef VIADUCT_VERSION
#define VIADUCT_VERSION "unknown"
#endif

int main(int argc, char** argv) {
  CLI::App app("Runs a Viaduct node.", "viaduct-host");
  std::string config_file;
  bool check = false;
  app.set_version_flag("--version", std::string("viaduct-host " VIADUCT_VERSION));
  auto* config = app.add_option("-c,--config", config_file,
                                "configuration (YAML); without it the node runs what it ran last");
  app.add_flag("--check", check, "validate the file, print every finding, change nothing")
      ->needs(config);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? viaduct::kExitOk : viaduct::kExitUsage;
  }
  return check ? viaduct::CheckConfig(config_file) : viaduct::RunNode(config_file);
}
