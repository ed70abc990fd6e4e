// JSON text that is walked through once, strictly, without building anything of it.
#pragma once

#include <cstddef>
#include <initializer_list>
#include <string_view>

#include "absl/container/inlined_vector.h"

namespace viaduct::websocket {

inline constexpr size_t kMaxJsonDepth = 256;  // Of arrays and objects in one another.

// Slices of the text that was walked through, without the white space around them.
using JsonElements = absl::InlinedVector<std::string_view, 8>;

// RFC 8259 in UTF-8, with no lone surrogates: one value and nothing but white space around it.
bool IsJson(std::string_view text);

enum class ArrayScan { kGood, kNoArray, kTooMany };
// The elements of an array; memory for at most `max_elements` of them, however many there are.
ArrayScan ScanJsonArray(std::string_view text, size_t max_elements, JsonElements* elements);

// The value of a member of an object, the first where there are several; "" where `text` is no
// object or has none of that name, which is compared as it is written.
std::string_view JsonMemberOf(std::string_view text, std::string_view name);
// The same for several names at once, in their order.
JsonElements JsonMembersOf(std::string_view text, std::initializer_list<std::string_view> names);

}  // namespace viaduct::websocket
