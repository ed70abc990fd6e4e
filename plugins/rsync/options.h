// The configuration of an `rsync` instance, as config.schema.json describes it.
#pragma once

#include <string_view>

#include "plugins/common/options_error.h"
#include "plugins/rsync/client.h"

namespace viaduct::rsync {

// Reads a config that has passed the schema, defaults filled in. False: *error says what the schema
// could not.
bool ReadOptions(std::string_view config_json, ClientOptions* options, OptionsError* error);

}  // namespace viaduct::rsync
