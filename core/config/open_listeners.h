// Listeners that others than this machine reach, on a node that asks nobody who they are.
#pragma once

#include <string_view>

#include "core/config/document.h"

namespace viaduct {

// An option "listen" of an instance is where it takes peers. One that is not on loopback is a
// mistake ("open_to_all") unless the section "auth" is there, be it "auth: none".
void CheckListeners(const ConfigNode& root, Findings* findings);

// "127.0.0.1:8000", "[::1]:8000", "localhost:8000"; not "0.0.0.0:8000", nor what is no address.
bool IsLoopbackAddress(std::string_view listen);

}  // namespace viaduct
