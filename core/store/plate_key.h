// The form in which plates are compared with the blacklist.
#pragma once

#include <string>
#include <string_view>

namespace viaduct {

// Without blanks and hyphens, ASCII letters in upper case: cameras and people write the same plate
// differently.
std::string PlateKey(std::string_view plate);

}  // namespace viaduct
