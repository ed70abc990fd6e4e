// Looks for members by name in text that is refused as a whole and so may be no JSON at all.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace viaduct {

// The texts that `key` has in the outermost object, or in each object of the outermost array, as
// far as they can be made out; at most `max`. Only identifiers count, written without escapes.
std::vector<std::string> NamedTexts(std::string_view json, std::string_view key, size_t max);

}  // namespace viaduct
