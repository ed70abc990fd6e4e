// What systemd, or whoever started the node, is told of it.
#pragma once

#include <string_view>

namespace viaduct {

// Sends `state` ("READY=1\nSTATUS=...") as sd_notify(3) specifies, but never waits: sd_notify
// blocks once the receiver's queue is full, and a node must be able to stop beside one that does
// not read. False: nobody asked for it (NOTIFY_SOCKET is not set), or it could not be sent now.
bool TellServiceManager(std::string_view state);

}  // namespace viaduct
