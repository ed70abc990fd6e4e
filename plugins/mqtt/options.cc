#include "plugins/mqtt/options.h"

#include <array>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "plugins/common/option_members.h"
#include "plugins/mqtt/broker_address.h"

namespace viaduct::mqtt {
namespace {

using Json = nlohmann::json;

constexpr size_t kMaxLevelBytes = 128;  // Of a name that becomes a level of a topic.

struct Filter {
  const char* topic;
  bool shared;  // Once among all nodes; else every node hears it: the state of devices, answers.
};
constexpr std::array<Filter, 15> kFilters = {{
    {"lpr/data", true},
    {"lpr/data/edge/+", true},
    {"lprserver/cameras/+/detection", true},
    {"lprserver/cameras/+/health", true},
    {"camera/+/detections", true},
    {"camera/+/health", true},
    {"aicamera/device/+/health", true},
    {"aicamera/edge/device/+/health", true},
    {"file/transfer/request", true},
    {"file/transfer/status", true},
    {"lprserver/cameras/+/config", false},
    {"camera/+/status", false},
    {"system/status/+", false},
    {"system/control/+/response", false},
    {"lprserver/cameras/+/control/response", false},
}};

// Options that only one role has, with the default that the host fills in for either; null: none.
struct RoleOption {
  const char* key;
  bool of_server;
  const char* filled_in;
};
constexpr std::array<RoleOption, 11> kRoleOptions = {{
    {"device_id", false, "null"},
    {"topic", false, R"("lpr/data/edge/{device_id}")"},
    {"confirm", false, R"("server")"},
    {"ack_timeout", false, "30"},
    {"batch", false, "null"},
    {"window", false, "4096"},
    {"publications", false, "32"},
    {"share", true, R"("viaduct")"},
    {"subscriptions", true, "null"},
    {"arrivals", true, "64"},
    {"commit_timeout", true, "30"},
}};

// A name that may stand between two slashes of a topic.
void CheckLevel(const char* key, const std::string& name, OptionMembers* config) {
  if (name.empty() || name.size() > kMaxLevelBytes) {
    return config->Mistake(key, absl::StrCat("expected 1 to ", kMaxLevelBytes, " bytes"));
  }
  for (const char c : name) {
    if (c == '/' || c == '+' || c == '#' || static_cast<unsigned char>(c) < 0x20) {
      return config->Mistake(key, "becomes a part of topics and can have none of / + #");
    }
  }
}

// One that the role does not have would be believed to work.
void CheckRole(bool is_server, OptionMembers* config) {
  for (const RoleOption& option : kRoleOptions) {
    if (option.of_server == is_server || !config->Has(option.key)) continue;
    if (config->Is(option.key, option.filled_in)) continue;
    config->Mistake(option.key, option.of_server ? "only a server has it, the role is client"
                                                 : "only a client has it, the role is server");
  }
}

void ReadSession(OptionMembers* config, SessionOptions* session) {
  ReadTlsRoad(config, &session->tls);
  std::string url;
  config->Read("broker_url", &url);
  const bool tls = !session->tls.ca_file.empty() || !session->tls.certificate.empty();
  absl::StatusOr<BrokerAddress> address = ParseBrokerAddress(url, tls);
  if (url.empty()) {
    config->Mistake("broker_url", "missing, where is the broker?");
  } else if (address.ok()) {
    session->broker = *std::move(address);
  } else {
    config->Mistake("broker_url", std::string(address.status().message().substr(12)));
  }
  std::string protocol = "mqtt311";
  config->Read("protocol", &protocol);
  session->version_5 = protocol == "mqtt5";
  if (config->Has("client_id")) {
    config->Read("client_id", &session->client_id);
    CheckLevel("client_id", session->client_id, config);
  }
  config->Read("username", &session->username);
  config->Read("password", &session->password);
  if (!session->password.empty() && session->username.empty()) {
    config->Mistake("username", "missing, a password needs one");
  }
  config->Read("keepalive", &session->keepalive_s);
  config->ReadSeconds("connect_timeout", &session->connect_timeout);
  config->ReadSeconds("session_expiry", &session->session_expiry);
}

void ReadServer(OptionMembers* config, SubscriberOptions* server) {
  // A session under a name of the moment is gone with the connection, and so is what the broker has
  // not been told of.
  if (!config->Has("client_id")) {
    config->Mistake("client_id",
                    "missing, a server needs one so that the broker keeps its messages");
  }
  std::string share = "viaduct";
  config->Read("share", &share);
  if (!share.empty()) CheckLevel("share", share, config);
  server->filters = ServerFilters(share);
  if (config->Has("subscriptions")) {
    server->filters.clear();
    config->Read("subscriptions", &server->filters);
  }
  config->Read("arrivals", &server->window);
  config->ReadSeconds("commit_timeout", &server->commit_timeout);
}

void ReadClient(const std::string& device_id, OptionMembers* config, PublisherOptions* client) {
  client->device_id = config->Has("client_id") ? client->session.client_id : device_id;
  config->Read("device_id", &client->device_id);
  CheckLevel("device_id", client->device_id, config);
  // Of the device and not of the moment: the broker ends the session before, and tells its will,
  // when the next one comes. The will of a session under another name would be told after it.
  if (client->session.client_id.empty()) {
    client->session.client_id = absl::StrCat("viaduct-", client->device_id);
  }
  std::string topic = "lpr/data/edge/{device_id}";
  config->Read("topic", &topic);
  client->topic = absl::StrReplaceAll(topic, {{"{device_id}", client->device_id}});
  if (client->topic.find_first_of("+#") != std::string::npos) {
    config->Mistake("topic", "none to publish to, it has a wildcard");
  }
  std::string confirm = "server";
  config->Read("confirm", &confirm);
  client->confirm = confirm == "broker" ? Confirm::kBroker : Confirm::kServer;
  config->ReadSeconds("ack_timeout", &client->ack_timeout);
  config->Read("window", &client->window);
  config->Read("publications", &client->max_publications);
  // A server of another kind knows no array of envelopes.
  if (client->confirm == Confirm::kBroker) client->max_batch = 1;
  config->Read("batch", &client->max_batch);
}

}  // namespace

std::vector<std::string> ServerFilters(std::string_view share) {
  std::vector<std::string> filters;
  filters.reserve(kFilters.size());
  for (const Filter& filter : kFilters) {
    const bool shared = filter.shared && !share.empty();
    const absl::string_view group(share.data(), share.size());
    filters.push_back(shared ? absl::StrCat("$share/", group, "/", filter.topic) : filter.topic);
  }
  return filters;
}

bool ReadOptions(std::string_view config_json, std::string_view host_name, Options* options,
                 OptionsError* error) {
  Json json = Json::parse(config_json, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) {
    *error = {"", "config: not a JSON object"};
    return false;
  }
  OptionMembers config(std::move(json));
  std::string role = "client";
  config.Read("role", &role);
  options->is_server = role == "server";
  CheckRole(options->is_server, &config);
  SessionOptions session;
  session.keep_session = config.Has("client_id");
  ReadSession(&config, &session);
  options->server.session = session;
  options->client.session = std::move(session);
  if (options->is_server) {
    ReadServer(&config, &options->server);
  } else {
    ReadClient(std::string(host_name), &config, &options->client);
  }
  *error = {config.wrong_pointer(), config.wrong_message()};
  return error->message.empty();
}

}  // namespace viaduct::mqtt
