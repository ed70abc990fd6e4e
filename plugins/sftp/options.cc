#include "plugins/sftp/options.h"

#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "plugins/common/option_members.h"

namespace viaduct::sftp {
namespace {

using Json = nlohmann::json;
using Policy = HostKeyOptions::Policy;

Policy PolicyOf(const std::string& name) {
  if (name == "pinned") return Policy::kPinned;
  return name == "accept_new" ? Policy::kAcceptNew : Policy::kStrict;
}

void ReadHostKey(OptionMembers* config, HostKeyOptions* options) {
  config->Read("known_hosts", &options->known_hosts);
  config->Read("host_key", &options->fingerprints);
  std::string policy = options->fingerprints.empty() ? "strict" : "pinned";
  config->Read("host_key_policy", &policy);
  options->policy = PolicyOf(policy);
  const bool pinned = options->policy == Policy::kPinned;
  if (pinned && options->fingerprints.empty()) {
    config->Mistake("host_key", "missing, which fingerprints are pinned?");
  } else if (!pinned && !options->fingerprints.empty()) {
    config->Mistake("host_key", "goes with host_key_policy pinned only");
  }
  if (options->policy == Policy::kAcceptNew && options->known_hosts.empty()) {
    config->Mistake("known_hosts", "missing, where are accepted keys written down?");
  }
}

void ReadCredentials(OptionMembers* config, TransportOptions* options) {
  config->Read("username", &options->username);
  config->Read("key_file", &options->key_file);
  config->Read("passphrase", &options->passphrase);
  config->Read("agent", &options->agent);
  config->Read("password", &options->password);
  if (options->username.empty()) config->Mistake("username", "missing");
  if (options->key_file.empty() && options->agent.empty() && options->password.empty()) {
    config->Mistake("key_file", "missing, and so are agent and password: one of them is needed");
  }
  if (options->key_file.empty() && !options->passphrase.empty()) {
    config->Mistake("passphrase", "goes with key_file only");
  }
}

void ReadTransport(OptionMembers* config, TransportOptions* options) {
  config->Read("host", &options->host);
  if (options->host.empty()) config->Mistake("host", "missing, where is the server?");
  config->Read("port", &options->port);
  ReadCredentials(config, options);
  ReadHostKey(config, &options->host_key);
  config->Read("ciphers", &options->ciphers);
  config->Read("key_exchange", &options->key_exchange);
  config->Read("host_key_algorithms", &options->host_key_algorithms);
  config->ReadSeconds("connect_timeout", &options->connect_timeout);
}

}  // namespace

bool ReadOptions(std::string_view config_json, ClientOptions* options, OptionsError* error) {
  Json json = Json::parse(config_json, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) {
    *error = {"", "config: not an object"};
    return false;
  }
  OptionMembers config(std::move(json));
  ReadTransport(&config, &options->transport);
  config.Read("remote_path", &options->remote_path);
  if (options->remote_path.find('\0') != std::string::npos || options->remote_path.empty()) {
    config.Mistake("remote_path", "is no path");
  }
  config.ReadSeconds("keepalive", &options->keepalive);
  config.ReadSeconds("answer_timeout", &options->answer_timeout);
  config.Read("max_transfers", &options->max_transfers);
  config.Read("channels", &options->channels);
  config.Read("window", &options->window_bytes);
  if (config.wrong_message().empty()) return true;
  *error = {config.wrong_pointer(), config.wrong_message()};
  return false;
}

}  // namespace viaduct::sftp
