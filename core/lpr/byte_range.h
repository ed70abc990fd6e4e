// Which part of a resource a request asks for: RFC 9110, section 14.
#pragma once

#include <cstdint>
#include <string_view>

namespace viaduct {

struct ByteRange {
  enum class Kind : uint8_t {
    kWhole,          // Nothing that is understood is asked for: all of it.
    kPart,           // `size` octets from `first`, all of them there.
    kUnsatisfiable,  // Nothing of what is asked for is there.
  };
  Kind kind = Kind::kWhole;
  uint64_t first = 0;
  uint64_t size = 0;
};

// `header` is the field "range", "" without one. Several ranges at once are answered with the
// whole, which the RFC allows: an answer is never larger than the resource.
ByteRange ParseByteRange(std::string_view header, uint64_t resource_bytes);

// Whether the field "if-none-match" or the like names `tag` (without its quotes) or "*".
bool NamesTag(std::string_view header, std::string_view tag);

}  // namespace viaduct
