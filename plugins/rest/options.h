// The configuration of a `rest` instance, as config.schema.json describes it.
#pragma once

#include <string>
#include <string_view>

#include "plugins/common/options_error.h"
#include "plugins/rest/http_client.h"
#include "plugins/rest/http_server.h"

namespace viaduct::rest {

struct Options {
  bool is_server = true;
  HttpServerOptions server;
  HttpClientOptions client;
};

// Reads a config that has passed the schema, defaults filled in. False: *error says what the schema
// could not.
bool ReadOptions(std::string_view config_json, Options* options, OptionsError* error);

}  // namespace viaduct::rest
