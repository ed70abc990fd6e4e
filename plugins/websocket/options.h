// The configuration of a `websocket` instance, as config.schema.json describes it.
#pragma once

#include <string>
#include <string_view>

#include "plugins/common/options_error.h"
#include "plugins/websocket/client.h"
#include "plugins/websocket/server_options.h"

namespace viaduct::websocket {

struct Options {
  bool is_server = true;
  ServerOptions server;
  ClientOptions client;
};

// Reads a config that has passed the schema, defaults filled in. False: *error says what the schema
// could not.
bool ReadOptions(std::string_view config_json, Options* options, OptionsError* error);

}  // namespace viaduct::websocket
