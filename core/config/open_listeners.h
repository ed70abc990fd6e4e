// Listeners that others than this machine reach, on a node that asks nobody who they are.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/config/document.h"
#include "core/config/node_config.h"

namespace viaduct {

// An option "listen" of an instance is where it takes peers. One that is not on loopback is a
// mistake ("open_to_all") unless the section "auth" is there, be it "auth: none".
void CheckListeners(const ConfigNode& root, Findings* findings);

// "127.0.0.1:8000", "[::1]:8000", "localhost:8000"; not "0.0.0.0:8000", nor what is no address.
bool IsLoopbackAddress(std::string_view listen);

struct OpenListener {
  std::string instance;
  std::string listen;
};
// The instances that take peers from other machines.
std::vector<OpenListener> OpenListeners(const NodeConfig& config);

}  // namespace viaduct
