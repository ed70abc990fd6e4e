// Between the values of the ABI and ours. Everything a plugin hands over is looked at as hostile:
// sizes are bounded before they are believed, null with a size is refused.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "core/gateway/link.h"
#include "core/message/exchange.h"
#include "core/plugin/instance.h"
#include "viaduct/abi/abi.h"

namespace viaduct {

inline vd_str ToAbi(std::string_view text) { return {text.data(), text.size()}; }
inline vd_bytes ToAbiBytes(std::string_view text) {
  return {static_cast<const uint8_t*>(static_cast<const void*>(text.data())), text.size()};
}
// Points into `attributes`.
std::vector<vd_attr> ToAbi(const Attributes& attributes);

// Copies what both sides know of a growing struct; the rest reads as zero. False when null or too
// small to have a size.
template <typename T>
bool ReadStruct(const T* theirs, T* out) {
  if (theirs == nullptr || theirs->struct_size < 2 * sizeof(uint32_t)) return false;
  *out = T{};
  std::memcpy(static_cast<void*>(out), theirs, std::min<size_t>(theirs->struct_size, sizeof(T)));
  return true;
}

// The i-th element of an array with a stride.
template <typename T>
const T* At(const T* items, uint64_t stride, uint64_t i) {
  return static_cast<const T*>(static_cast<const void*>(
      static_cast<const char*>(static_cast<const void*>(items)) + i * stride));
}
// True when a list with a stride may be walked: bounds and alignment hold.
template <typename T>
bool IsWalkable(const T* items, uint64_t stride, uint64_t count, uint64_t max_count) {
  if (count == 0) return true;
  return items != nullptr && count <= max_count && stride >= 2 * sizeof(uint32_t) &&
         stride <= 65536 && stride % alignof(T) == 0;
}

// Copies borrowed values within the limits of one call. After a value that is against the rules
// ok() is false and everything reads as empty.
class AbiReader {
 public:
  explicit AbiReader(const InstanceLimits& limits) : limits_(limits) {}

  std::string Text(vd_str text);
  std::string Body(vd_bytes body);
  Attributes List(const vd_attr* attributes, uint64_t count);
  bool ok() const { return ok_; }

 private:
  const InstanceLimits& limits_;
  uint64_t text_bytes_ = 0;
  bool ok_ = true;
};

// A plugin's text for people as UTF-8: what is none is replaced, and what would be longer than
// `max` octets ends at a character.
std::string Readable(std::string_view text, size_t max);
// The same of a borrowed text; a null one reads as empty.
std::string ShortText(vd_str text, size_t max = 512);

// A plugin's result code as a status; `detail` says what it was about.
absl::Status StatusOf(int32_t code, std::string_view detail);
int32_t CodeOf(const absl::Status& status);

// A zeroed vd_error for a call, and what the plugin has written into it: "<what>: <message>", with
// its JSON pointer into the config, where it gave one, as payload.
inline constexpr char kPointerPayload[] = "viaduct/config-pointer";
vd_error NewError();
absl::Status StatusOf(std::string_view what, int32_t code, const vd_error& error);

// VD_OUTCOME_... to Outcome; a number that is not known reads as retry and gives false.
bool ReadOutcome(uint32_t outcome, Outcome* out);

// The plugin's wish for a delay, within reason (0 to 1 h).
absl::Duration ReadDelay(int64_t nanoseconds);

}  // namespace viaduct
