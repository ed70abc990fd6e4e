#include "plugins/websocket/options.h"

#include <utility>

#include "plugins/common/option_members.h"

namespace viaduct::websocket {
namespace {

bool ReadServer(OptionMembers& config, ServerOptions* server, OptionsError* error) {
  std::string listen = "127.0.0.1:8765";
  config.Read("listen", &listen);
  if (!ReadListen(listen, &server->host, &server->port)) {
    *error = {"/listen",
              absl::StrCat("listen: expected host:port with a port up to 65535, \"", listen, "\"")};
    return false;
  }
  ReadTlsListener(&config, &server->tls);
  config.ReadSeconds("ping_interval", &server->ping_interval);
  config.ReadSeconds("ping_timeout", &server->ping_timeout);
  config.ReadSeconds("connect_timeout", &server->connect_timeout);
  config.ReadSeconds("request_timeout", &server->request_timeout);
  config.ReadSeconds("idle_timeout", &server->idle_timeout);
  config.ReadSeconds("answer_timeout", &server->answer_timeout);
  config.ReadSeconds("stall_timeout", &server->stall_timeout);
  config.Read("max_payload_bytes", &server->max_payload_bytes);
  config.Read("max_header_bytes", &server->max_header_bytes);
  config.Read("max_connections", &server->max_connections);
  config.Read("max_connections_per_address", &server->max_connections_per_address);
  config.Read("max_buffered_bytes", &server->max_buffered_bytes);
  config.Read("max_unsent_bytes", &server->max_unsent_bytes);
  config.Read("max_pending_events", &server->max_pending_events);
  config.Read("permessage_deflate", &server->deflate);
  return true;
}

bool ReadClient(OptionMembers& config, ClientOptions* client, OptionsError* error) {
  if (!config.Has("server_url")) {
    *error = {"/server_url", "server_url: missing, a client needs to know its server"};
    return false;
  }
  config.Read("server_url", &client->server_url);
  ServerAddress address;
  const absl::Status url = ReadServerUrl(client->server_url, &address);
  if (!url.ok()) {
    *error = {"/server_url", std::string(url.message())};
    return false;
  }
  std::string form = "socketio";
  config.Read("form", &form);
  client->raw = form == "raw";
  config.ReadSeconds("connect_timeout", &client->connect_timeout);
  config.ReadSeconds("answer_timeout", &client->answer_timeout);
  config.Read("reconnect_attempts", &client->reconnect_attempts);
  config.ReadSeconds("reconnect_delay", &client->reconnect_delay);
  config.Read("window", &client->window);
  config.Read("max_unsent_bytes", &client->max_unsent_bytes);
  config.Read("permessage_deflate", &client->deflate);
  config.Read("api_key", &client->api_key);
  config.Read("token", &client->token);
  ReadTlsRoad(&config, &client->tls);
  config.Read("camera_id", &client->camera_id);
  config.Read("checkpoint_id", &client->checkpoint_id);
  return true;
}

}  // namespace

bool ReadOptions(std::string_view config_json, Options* options, OptionsError* error) {
  auto json = nlohmann::json::parse(config_json, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) {
    *error = {"", "config: not a JSON object"};
    return false;
  }
  OptionMembers config(std::move(json));
  std::string role = config.Has("server_url") ? "client" : "server";
  config.Read("role", &role);
  options->is_server = role == "server";
  if (options->is_server && config.Has("server_url")) {
    *error = {"/server_url", "server_url: belongs to a client, but role is server"};
    return false;
  }
  const bool read = options->is_server ? ReadServer(config, &options->server, error)
                                       : ReadClient(config, &options->client, error);
  if (config.wrong_pointer().empty()) return read;
  *error = {config.wrong_pointer(), config.wrong_message()};
  return false;
}

}  // namespace viaduct::websocket
