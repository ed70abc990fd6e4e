// What only a node and its plugins can have against a configuration.
#pragma once

#include <string>
#include <vector>

#include "core/config/node_config.h"
#include "core/config/validate.h"
#include "core/plugin/instances.h"
#include "core/plugin/registry.h"

namespace viaduct {

// What Instances gets for the instances of a configuration.
std::vector<InstanceSpec> SpecsOf(const NodeConfig& config);

// Has every plugin configure what `instances` does not run yet, and throws it away again.
// `instances` outlives the function.
AskFn AskThrough(Instances* instances);

// All state of a node is in one folder, and no revision can take it elsewhere.
std::vector<Objection> ObjectToMove(const NodeConfig& config, const std::string& data_dir);

// An address of the database that libpq would not understand, or that has the password in the open.
std::vector<Objection> ObjectToStore(const NodeConfig& config);

// Encryption without keys; `reads`: and keys that this process, which is the node, cannot read.
std::vector<Objection> ObjectToKeys(const NodeConfig& config, bool reads);

// Listeners for other machines on a node that asks nobody until its next start: the section "auth"
// that `config` brings is not in force before. `mode`: auth.mode of this process, "" without it.
std::vector<Objection> ObjectToOpenListeners(const NodeConfig& config, const std::string& mode);

// Feeds whose source or inference is an instance of a plugin that does no such thing.
std::vector<Objection> ObjectToFeeds(const NodeConfig& config, const PluginRegistry& plugins);

}  // namespace viaduct
