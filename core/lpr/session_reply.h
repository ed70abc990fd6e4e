// Replies to the events of a session. Internal to core/lpr.
#pragma once

#include <string>
#include <string_view>

#include "core/message/exchange.h"

namespace viaduct {

// The listener's name for the session that sent this; "" where it gave none.
std::string_view SessionOf(const CallRequest& call);

// `body` goes to the sender as an event of that name, and as its acknowledgement where it asked.
CallReply EventReply(std::string_view event, std::string body, int status = 200);
// One more event for the sender.
void AlsoEmit(std::string_view event, std::string body, CallReply* reply);
std::string MessageBody(std::string_view message);  // {"message":...}

}  // namespace viaduct
