#include "core/gateway/selector.h"

namespace viaduct {

int ConfiguredOrderSelector::Pick(const SelectorMessage& message,
                                  absl::Span<const LinkView> links) {
  int fallback = kNone;
  for (size_t i = 0; i < links.size(); ++i) {
    if (!links[i].ready || links[i].room == 0) continue;
    if ((message.tried >> i & 1) == 0) return static_cast<int>(i);
    if (fallback == kNone) fallback = static_cast<int>(i);
  }
  return fallback;
}

}  // namespace viaduct
