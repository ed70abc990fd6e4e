// Finds the payload in an envelope of our own making; declared in envelope.h.
#include "core/message/envelope.h"

namespace viaduct {
namespace {

constexpr size_t kNone = std::string_view::npos;

// Past the closing quote of the string whose opening quote is at `at`.
size_t SkipString(std::string_view json, size_t at) {
  for (size_t quote = json.find('"', at + 1); quote != kNone; quote = json.find('"', quote + 1)) {
    size_t backslashes = 0;
    while (json[quote - 1 - backslashes] == '\\') ++backslashes;
    if (backslashes % 2 == 0) return quote + 1;
  }
  return kNone;
}

// Past the closing brace of the object whose opening brace is at `at`. Strings, where images are,
// are jumped over.
size_t SkipObject(std::string_view json, size_t at) {
  int depth = 0;
  while (at < json.size()) {
    const char c = json[at];
    if (c == '"') {
      at = SkipString(json, at);
      continue;
    }
    ++at;
    if (c == '{') ++depth;
    if (c == '}' && --depth == 0) return at;
  }
  return kNone;
}

}  // namespace

std::string_view PayloadOf(std::string_view envelope_json) {
  size_t at = 1;
  while (at < envelope_json.size() && envelope_json[at] == '"') {
    const size_t key_end = SkipString(envelope_json, at);
    if (key_end >= envelope_json.size() - 1) break;
    const std::string_view key = envelope_json.substr(at, key_end - at);
    const size_t value = key_end + 1;
    const char first = envelope_json[value];
    if (first != '"' && first != '{') break;
    const size_t end =
        first == '"' ? SkipString(envelope_json, value) : SkipObject(envelope_json, value);
    if (end == kNone) break;
    if (key == "\"payload\"") return envelope_json.substr(value, end - value);
    at = end + 1;
  }
  return {};
}

}  // namespace viaduct
