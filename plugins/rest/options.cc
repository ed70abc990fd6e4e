#include "plugins/rest/options.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/str_cat.h"
#include "plugins/common/option_members.h"

namespace viaduct::rest {
namespace {

using Json = nlohmann::json;

bool ReadServer(OptionMembers& config, Options* options, OptionsError* error) {
  HttpServerOptions& server = options->server;
  std::string listen = "127.0.0.1:8000";
  config.Read("listen", &listen);
  if (!ReadListen(listen, &server.host, &server.port)) {
    *error = {"/listen",
              absl::StrCat("listen: expected host:port with a port up to 65535, \"", listen, "\"")};
    return false;
  }
  if (config.Has("base_url")) {
    *error = {"/base_url", "base_url: belongs to a client, but role is server"};
    return false;
  }
  config.Read("max_body_bytes", &server.limits.max_body_bytes);
  config.Read("max_header_bytes", &server.limits.max_header_bytes);
  config.Read("max_connections", &server.max_connections);
  config.Read("max_connections_per_address", &server.max_connections_per_address);
  config.Read("max_buffered_bytes", &server.max_buffered_bytes);
  config.ReadSeconds("idle_timeout", &server.idle_timeout);
  config.ReadSeconds("request_timeout", &server.request_timeout);
  config.ReadSeconds("answer_timeout", &server.answer_timeout);
  ReadTlsListener(&config, &server.tls);
  return true;
}

bool ReadClient(OptionMembers& config, HttpClientOptions* client, OptionsError* error) {
  if (!config.Has("base_url")) {
    *error = {"/base_url", "base_url: missing, a client needs to know its server"};
    return false;
  }
  config.Read("base_url", &client->base_url);
  const absl::Status url = HttpClient::CheckUrl(client->base_url);
  if (!url.ok()) {
    *error = {"/base_url", std::string(url.message())};
    return false;
  }
  std::string form = "envelope";
  config.Read("form", &form);
  client->flat = form == "flat";
  config.Read("endpoint", &client->endpoint);
  config.ReadSeconds("timeout", &client->timeout);
  config.ReadSeconds("connect_timeout", &client->connect_timeout);
  config.Read("connections", &client->connections);
  config.Read("batch", &client->max_batch);
  config.Read("window", &client->window);
  config.Read("api_key", &client->api_key);
  config.Read("token", &client->token);
  ReadTlsRoad(&config, &client->tls);
  return true;
}

}  // namespace

bool ReadOptions(std::string_view config_json, Options* options, OptionsError* error) {
  Json json = Json::parse(config_json, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) {
    *error = {"", "config: not a JSON object"};
    return false;
  }
  OptionMembers config(std::move(json));
  std::string role = config.Has("base_url") ? "client" : "server";
  config.Read("role", &role);
  options->is_server = role == "server";
  const bool read = options->is_server ? ReadServer(config, options, error)
                                       : ReadClient(config, &options->client, error);
  if (config.wrong_pointer().empty()) return read;
  *error = {config.wrong_pointer(), config.wrong_message()};
  return false;
}

}  // namespace viaduct::rest
