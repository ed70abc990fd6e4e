// What a peer is told of a message that the node has not taken, in the words in which the node
// would have answered.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace viaduct::websocket {

enum class Untaken : uint8_t { kBusy, kTooLarge };

// The events, with their bodies, that say so to whoever has sent `event`.
std::vector<std::pair<std::string, std::string>> UntakenEvents(Untaken why, std::string_view event);
// The acknowledgement of an event whose first argument is `body`.
std::string UntakenAck(Untaken why, std::string_view event, std::string_view body);
// The answer to a plain message, which it names by the message's own id or table.
std::string UntakenAnswer(Untaken why, std::string_view message);

}  // namespace viaduct::websocket
