#include "core/store/plate_key.h"

#include "absl/strings/ascii.h"

namespace viaduct {

std::string PlateKey(std::string_view plate) {
  std::string key;
  key.reserve(plate.size());
  for (const char c : plate) {
    if (c != ' ' && c != '-') key.push_back(absl::ascii_toupper(static_cast<unsigned char>(c)));
  }
  return key;
}

}  // namespace viaduct
