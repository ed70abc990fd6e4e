#include "plugins/rest/options.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace viaduct::rest {
namespace {

using Json = nlohmann::json;

constexpr int kMaxPort = 65535;

// The members of a configuration; remembers the first one that is of the wrong type, which only a
// host that skipped the schema lets through.
class Members {
 public:
  explicit Members(Json config) : config_(std::move(config)) {}

  bool Has(const char* key) const { return config_.contains(key); }

  template <typename T>
  void Read(const char* key, T* out) {
    const auto it = config_.find(key);
    if (it == config_.end()) return;
    try {
      it->get_to(*out);
    } catch (const Json::exception&) {
      if (wrong_.pointer.empty()) {
        wrong_ = {absl::StrCat("/", key),
                  absl::StrCat(key, ": of the wrong type, ", it->type_name())};
      }
    }
  }

  void ReadSeconds(const char* key, absl::Duration* out) {
    double seconds = absl::ToDoubleSeconds(*out);
    Read(key, &seconds);
    *out = absl::Seconds(seconds);
  }

  // An empty pointer: none.
  const OptionsError& wrong() const { return wrong_; }

 private:
  const Json config_;
  OptionsError wrong_;
};

bool ReadListen(const std::string& listen, HttpServerOptions* server) {
  const size_t colon = listen.rfind(':');
  if (colon == std::string::npos || colon == 0) return false;
  server->host = listen.substr(0, colon);
  if (server->host.size() > 2 && server->host.front() == '[' && server->host.back() == ']')
    server->host = server->host.substr(1, server->host.size() - 2);
  return absl::SimpleAtoi(listen.substr(colon + 1), &server->port) && server->port >= 0 &&
         server->port <= kMaxPort;
}

bool ReadServer(Members& config, Options* options, OptionsError* error) {
  HttpServerOptions& server = options->server;
  std::string listen = "127.0.0.1:8000";
  config.Read("listen", &listen);
  if (!ReadListen(listen, &server)) {
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
  config.Read("max_buffered_bytes", &server.max_buffered_bytes);
  config.ReadSeconds("idle_timeout", &server.idle_timeout);
  config.ReadSeconds("request_timeout", &server.request_timeout);
  config.ReadSeconds("answer_timeout", &server.answer_timeout);
  return true;
}

bool ReadClient(Members& config, HttpClientOptions* client, OptionsError* error) {
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
  config.Read("ca_file", &client->ca_file);
  return true;
}

}  // namespace

bool ReadOptions(std::string_view config_json, Options* options, OptionsError* error) {
  Json json = Json::parse(config_json, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) {
    *error = {"", "config: not a JSON object"};
    return false;
  }
  Members config(std::move(json));
  std::string role = config.Has("base_url") ? "client" : "server";
  config.Read("role", &role);
  options->is_server = role == "server";
  const bool read = options->is_server ? ReadServer(config, options, error)
                                       : ReadClient(config, &options->client, error);
  if (config.wrong().pointer.empty()) return read;
  *error = config.wrong();
  return false;
}

}  // namespace viaduct::rest
