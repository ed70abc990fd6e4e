// How plates are compared with each other, and where they stand.
#pragma once

#include <string>
#include <string_view>

namespace viaduct {

// Without blanks and hyphens, ASCII letters in upper case: cameras and people write the same plate
// differently.
std::string PlateKey(std::string_view plate);

// A member of a JSON document in which plates stand: "license_plate", "ocr_results", ...
bool HoldsPlates(std::string_view member);

}  // namespace viaduct
