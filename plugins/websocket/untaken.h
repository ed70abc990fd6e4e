// What a peer is told of a message that the node has not taken, in the words in which the node
// would have answered.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace viaduct::websocket {

enum class Untaken : uint8_t { kBusy, kTooLarge };

// The acknowledgement of an event.
std::string UntakenAck(Untaken why);
// The event "error".
std::string UntakenError(Untaken why);
// The answer to a plain message, which it names by the message's own id.
std::string UntakenAnswer(Untaken why, std::string_view message);

}  // namespace viaduct::websocket
