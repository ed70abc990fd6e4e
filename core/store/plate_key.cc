#include "core/store/plate_key.h"

#include <algorithm>
#include <iterator>

#include "absl/strings/ascii.h"

namespace viaduct {
namespace {

constexpr std::string_view kPlateKeys[] = {
    "license_plate", "plate",       "plate_number", "plate_text", "text",       "original_plate",
    "candidates",    "ocr_results", "plates",       "raw_text",   "normalized", "alternatives"};

}  // namespace

std::string PlateKey(std::string_view plate) {
  std::string key;
  key.reserve(plate.size());
  for (const char c : plate) {
    if (c != ' ' && c != '-') key.push_back(absl::ascii_toupper(static_cast<unsigned char>(c)));
  }
  return key;
}

bool HoldsPlates(std::string_view member) {
  return std::find(std::begin(kPlateKeys), std::end(kPlateKeys), member) != std::end(kPlateKeys);
}

}  // namespace viaduct
