// viaductctl: looks at and steers a node over its control plane.
#include <CLI/CLI.hpp>
#include <iostream>

#include "absl/time/time.h"
#include "host/ctl/backup_commands.h"
#include "host/ctl/doctor_commands.h"
#include "host/ctl/fleet_commands.h"
#include "host/ctl/local_commands.h"
#include "host/ctl/session.h"

#ifndef VIADUCT_VERSION
#define VIADUCT_VERSION "unknown"
#endif

namespace {

void AddGlobalOptions(CLI::App* app, viaduct::ctl::Options* options) {
  app->add_option("-s,--socket", options->socket,
                  "control socket of the node (default: $VIADUCT_SOCKET, "
                  "/run/viaduct/control.sock or /var/lib/viaduct/control.sock)");
  auto* address = app->add_option("-a,--address", options->address,
                                  "host:port of a node, over mutual TLS, instead of a socket");
  auto* ca = app->add_option("--ca", options->ca_file, "certificate authority of the node (PEM)");
  auto* certificate =
      app->add_option("--certificate", options->certificate_file, "own certificate (PEM)");
  auto* key = app->add_option("--key", options->key_file, "own private key (PEM)");
  address->needs(ca)->needs(certificate)->needs(key);
  auto* token =
      app->add_option("--token-file", options->token_file, "file of mode 0600 with a bearer token");
  app->add_option("--key-file", options->api_key_file,
                  "file of mode 0600 with an API key (default: $VIADUCT_API_KEY_FILE)")
      ->excludes(token);
  app->add_option("-t,--timeout", options->timeout, "how long one call may take, e.g. 10s")
      ->capture_default_str()
      ->check([](const std::string& text) {
        absl::Duration duration;
        bool good = absl::ParseDuration(text, &duration) && duration > absl::ZeroDuration();
        return good ? std::string() : "not a duration, \"" + text + "\" (e.g. 10s, 2m)";
      });
  app->add_flag("-j,--json", options->json, "JSON for programs: one document, or one a line");
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Looks at and steers a Viaduct node.", "viaductctl");
  app.set_version_flag("--version", std::string("viaductctl " VIADUCT_VERSION));
  app.require_subcommand(1);
  app.fallthrough();
  viaduct::ctl::Session session;
  AddGlobalOptions(&app, &session.options);
  viaduct::ctl::AddNodeCommands(&app, &session);
  viaduct::ctl::AddPluginCommands(&app, &session);
  viaduct::ctl::AddInstanceCommands(&app, &session);
  viaduct::ctl::AddConfigCommands(&app, &session);
  viaduct::ctl::AddStatsCommands(&app, &session);
  viaduct::ctl::AddSpoolCommands(&app, &session);
  viaduct::ctl::AddTransferCommands(&app, &session);
  viaduct::ctl::AddBackupCommands(&app, &session);
  viaduct::ctl::AddDoctorCommands(&app, &session);
  viaduct::ctl::AddPrivacyCommands(&app, &session);
  viaduct::ctl::AddLogCommands(&app, &session);
  viaduct::ctl::AddGatewayCommands(&app, &session);
  viaduct::ctl::AddFleetCommands(&app, &session);
  viaduct::ctl::AddAlertCommands(&app, &session);
  viaduct::ctl::AddHealthCommands(&app, &session);
  viaduct::ctl::AddLprCommands(&app, &session);
  viaduct::ctl::AddAuthCommands(&app, &session);
  viaduct::ctl::AddPkiCommands(&app, &session);
  viaduct::ctl::AddSetupCommands(&app, &session);
  viaduct::ctl::AddCompletionCommands(&app, &session);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? viaduct::ctl::kOk : viaduct::ctl::kUsage;
  }
  return session.action ? session.action() : viaduct::ctl::kUsage;
}
