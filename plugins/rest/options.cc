#include "plugins/rest/options.h"

#include <nlohmann/json.hpp>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace viaduct::rest {
namespace {

using Json = nlohmann::json;

constexpr int kMaxPort = 65535;

template <typename T>
void Read(const Json& config, const char* key, T* out) {
  const auto it = config.find(key);
  if (it != config.end()) it->get_to(*out);
}

void ReadSeconds(const Json& config, const char* key, absl::Duration* out) {
  double seconds = absl::ToDoubleSeconds(*out);
  Read(config, key, &seconds);
  *out = absl::Seconds(seconds);
}

bool ReadListen(const std::string& listen, HttpServerOptions* server) {
  const size_t colon = listen.rfind(':');
  if (colon == std::string::npos || colon == 0) return false;
  server->host = listen.substr(0, colon);
  if (server->host.size() > 2 && server->host.front() == '[' && server->host.back() == ']')
    server->host = server->host.substr(1, server->host.size() - 2);
  return absl::SimpleAtoi(listen.substr(colon + 1), &server->port) && server->port >= 0 &&
         server->port <= kMaxPort;
}

bool ReadServer(const Json& config, Options* options, OptionsError* error) {
  HttpServerOptions& server = options->server;
  std::string listen = "127.0.0.1:8000";
  Read(config, "listen", &listen);
  if (!ReadListen(listen, &server)) {
    *error = {"/listen",
              absl::StrCat("listen: expected host:port with a port up to 65535, \"", listen, "\"")};
    return false;
  }
  if (config.contains("base_url")) {
    *error = {"/base_url", "base_url: belongs to a client, but role is server"};
    return false;
  }
  Read(config, "max_body_bytes", &server.limits.max_body_bytes);
  Read(config, "max_header_bytes", &server.limits.max_header_bytes);
  Read(config, "max_connections", &server.max_connections);
  Read(config, "max_buffered_bytes", &server.max_buffered_bytes);
  ReadSeconds(config, "idle_timeout", &server.idle_timeout);
  ReadSeconds(config, "request_timeout", &server.request_timeout);
  ReadSeconds(config, "answer_timeout", &server.answer_timeout);
  return true;
}

bool ReadClient(const Json& config, HttpClientOptions* client, OptionsError* error) {
  if (!config.contains("base_url")) {
    *error = {"/base_url", "base_url: missing, a client needs to know its server"};
    return false;
  }
  Read(config, "base_url", &client->base_url);
  const absl::Status url = HttpClient::CheckUrl(client->base_url);
  if (!url.ok()) {
    *error = {"/base_url", std::string(url.message())};
    return false;
  }
  std::string form = "envelope";
  Read(config, "form", &form);
  client->flat = form == "flat";
  Read(config, "endpoint", &client->endpoint);
  ReadSeconds(config, "timeout", &client->timeout);
  ReadSeconds(config, "connect_timeout", &client->connect_timeout);
  Read(config, "connections", &client->connections);
  Read(config, "batch", &client->max_batch);
  Read(config, "window", &client->window);
  Read(config, "api_key", &client->api_key);
  Read(config, "token", &client->token);
  Read(config, "ca_file", &client->ca_file);
  return true;
}

}  // namespace

bool ReadOptions(std::string_view config_json, Options* options, OptionsError* error) {
  try {
    const Json config = Json::parse(config_json);
    std::string role = config.contains("base_url") ? "client" : "server";
    Read(config, "role", &role);
    options->is_server = role == "server";
    return options->is_server ? ReadServer(config, options, error)
                              : ReadClient(config, &options->client, error);
  } catch (const Json::exception& e) {
    // Only a host that skipped the schema gets here.
    *error = {"", absl::StrCat("config: ", e.what())};
    return false;
  }
}

}  // namespace viaduct::rest
