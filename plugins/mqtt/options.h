// The configuration of an `mqtt` instance, as config.schema.json describes it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "plugins/common/options_error.h"
#include "plugins/mqtt/publisher.h"
#include "plugins/mqtt/subscriber.h"

namespace viaduct::mqtt {

struct Options {
  bool is_server = false;
  SubscriberOptions server;
  PublisherOptions client;
};

// Reads a config that has passed the schema, defaults filled in. A client is named `host_name` when
// the config gives it no name. False: *error says what the schema
// could not.
bool ReadOptions(std::string_view config_json, std::string_view host_name, Options* options,
                 OptionsError* error);

// What a server subscribes to: docs/WIRE.md, with `share` in front of what nodes divide among each
// other; "" shares nothing.
std::vector<std::string> ServerFilters(std::string_view share);

}  // namespace viaduct::mqtt
