// One envelope or an array of them in one JSON document, with a verdict for each.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "core/message/envelope.h"

namespace viaduct {

inline constexpr size_t kMaxEnvelopesPerDocument = 10'000;

struct ParsedEnvelope {
  absl::StatusOr<Envelope> envelope;
  std::string message_id;  // As far as it could be read, also when the envelope is bad; else "".
};

struct ParsedEnvelopes {
  bool array = false;  // False: the document was one object and `items` has one element.
  std::vector<ParsedEnvelope> items;
};

// A document that is no JSON, or neither an object nor an array, fails as a whole; an element that
// is no valid envelope fails alone ("envelope: /3/timestamp: ..."). Limits hold for the document.
absl::StatusOr<ParsedEnvelopes> ParseEnvelopes(std::string_view json, const ParseOptions& options,
                                               size_t max_items = kMaxEnvelopesPerDocument);

}  // namespace viaduct
