// "did you mean": the nearest of a few known words.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace viaduct {

// The known word nearest to `word`, or "" when none is near enough to be meant.
std::string Suggest(std::string_view word, const std::vector<std::string>& known);

}  // namespace viaduct
