#include "plugins/rsync/options.h"

#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "plugins/common/option_members.h"
#include "plugins/rsync/allowed_options.h"

namespace viaduct::rsync {
namespace {

using Json = nlohmann::json;

constexpr int kSshPort = 22;
constexpr int kDaemonPort = 873;

void ReadPlain(OptionMembers* config, const char* key, std::string* out) {
  config->Read(key, out);
  if (!IsPlainSshValue(*out)) {
    config->Mistake(key, "has a quote, a backslash, a dollar or a control character");
  }
}

void ReadWhere(OptionMembers* config, ServerOptions* options) {
  std::string transport = "ssh";
  config->Read("transport", &transport);
  options->daemon = transport == "daemon";
  ReadPlain(config, "remote_host", &options->host);
  ReadPlain(config, "remote_user", &options->user);
  config->Read("remote_path", &options->remote_path);
  options->port = options->daemon ? kDaemonPort : kSshPort;
  config->Read("port", &options->port);
  if (options->host.empty() || options->host.find_first_of("/@-") == 0) {
    config->Mistake("remote_host", "is no name or address of a server");
  }
  if (options->user.find_first_of("@:/% ") != std::string::npos) {
    config->Mistake("remote_user", "is no name of a user");
  }
  const std::string& path = options->remote_path;
  const bool leaves = options->daemon && (absl::StartsWith(path, "/") || path == "." ||
                                          absl::StrContains("/" + path + "/", "/../"));
  if (path.empty() || path[0] == '-' || !IsPlainSshValue(path) || leaves) {
    config->Mistake("remote_path",
                    options->daemon ? "is not module or module/folder" : "is no path");
  }
}

void CheckForSsh(OptionMembers* config, ServerOptions* options) {
  std::string policy = options->fingerprints.empty() ? "strict" : "pinned";
  config->Read("host_key_policy", &policy);
  options->accept_new = policy == "accept_new";
  if (options->user.empty()) config->Mistake("remote_user", "missing");
  if (options->key_file.empty() && !options->passphrase.empty()) {
    config->Mistake("passphrase", "goes with key_file only");
  }
  if (options->accept_new && options->known_hosts.empty()) {
    config->Mistake("known_hosts", "missing, where are accepted keys written down?");
  }
  if (policy == "pinned" && options->fingerprints.empty()) {
    config->Mistake("host_key", "missing, which fingerprints are pinned?");
  } else if (policy != "pinned" && !options->fingerprints.empty()) {
    config->Mistake("host_key", "goes with host_key_policy pinned only");
  }
}

void ReadCredentials(OptionMembers* config, ServerOptions* options) {
  ReadPlain(config, "key_file", &options->key_file);
  ReadPlain(config, "agent", &options->agent);
  ReadPlain(config, "known_hosts", &options->known_hosts);
  config->Read("password", &options->password);
  config->Read("passphrase", &options->passphrase);
  config->Read("host_key", &options->fingerprints);
  if (options->password.find_first_of(std::string("\r\n\0", 3)) != std::string::npos) {
    config->Mistake("password", "has a line break");
  }
  if (options->passphrase.find_first_of(std::string("\r\n\0", 3)) != std::string::npos) {
    config->Mistake("passphrase", "has a line break");
  }
  if (!options->daemon) return CheckForSsh(config, options);
  for (const char* key :
       {"key_file", "passphrase", "agent", "known_hosts", "host_key", "host_key_policy"}) {
    if (config->Has(key)) config->Mistake(key, "goes with transport ssh only");
  }
  if (!options->password.empty() && options->user.empty()) {
    config->Mistake("remote_user", "missing, whose is the password?");
  }
}

void ReadMore(OptionMembers* config, ServerOptions* options) {
  std::vector<std::string> list = {"-az", "--partial"};
  config->Read("options", &list);
  for (const std::string& option : list) {
    const absl::Status status = AddAllowedOption(option, &options->more);
    if (!status.ok()) config->Mistake("options", std::string(status.message()));
  }
}

}  // namespace

bool ReadOptions(std::string_view config_json, ClientOptions* options, OptionsError* error) {
  Json json = Json::parse(config_json, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) {
    *error = {"", "config: not an object"};
    return false;
  }
  OptionMembers config(std::move(json));
  ReadWhere(&config, &options->server);
  ReadCredentials(&config, &options->server);
  ReadMore(&config, &options->server);
  config.ReadSeconds("connect_timeout", &options->server.connect_timeout);
  config.ReadSeconds("answer_timeout", &options->server.answer_timeout);
  config.ReadSeconds("keepalive", &options->server.keepalive);
  config.Read("max_transfers", &options->max_transfers);
  if (config.wrong_message().empty()) return true;
  *error = {config.wrong_pointer(), config.wrong_message()};
  return false;
}

}  // namespace viaduct::rsync
