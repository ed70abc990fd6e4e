#include "core/base/ids.h"

#include <algorithm>
#include <cstdint>
#include <random>

#include "absl/random/random.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_format.h"

namespace viaduct {

std::string NewUuid(absl::Time now) {
  thread_local absl::BitGen random;
  const uint64_t ms =
      static_cast<uint64_t>(std::max<int64_t>(0, absl::ToUnixMillis(now))) & 0xFFFFFFFFFFFFULL;
  const uint64_t a = absl::Uniform<uint64_t>(random);
  const uint64_t b = absl::Uniform<uint64_t>(random);
  return absl::StrFormat("%08x-%04x-7%03x-%04x-%012x", ms >> 16, ms & 0xFFFF, a & 0xFFF,
                         0x8000 | ((a >> 12) & 0x3FFF), b & 0xFFFFFFFFFFFFULL);
}

bool IsUuid(std::string_view text) {
  if (text.size() != 36) return false;
  for (size_t i = 0; i < text.size(); ++i) {
    const bool dash = i == 8 || i == 13 || i == 18 || i == 23;
    if (dash ? text[i] != '-' : !absl::ascii_isxdigit(static_cast<unsigned char>(text[i])))
      return false;
  }
  return true;
}

}  // namespace viaduct
