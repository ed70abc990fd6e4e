// Whether a page of this node sends a request, or one of another site.
#pragma once

#include <cstdint>

#include "core/message/exchange.h"

namespace viaduct {

enum class PageOrigin : uint8_t {
  kUnsaid,   // No browser, or one that does not say.
  kSame,     // A page of this node.
  kForeign,  // Any other.
};

// By what browsers say of their own accord and no page can change: Sec-Fetch-Site, and where that
// is missing Origin, which names the same host and port as Host.
PageOrigin OriginOf(const CallRequest& call);

// A script asks, not a person who has typed an address: it wants no dialog for a password.
bool IsOfScript(const CallRequest& call);

}  // namespace viaduct
