#include "core/security/urn.h"

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "core/base/string_view.h"

namespace viaduct::security {
namespace {

bool IsUnreserved(char c) {
  return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '-' || c == '.' || c == '_';
}

}  // namespace

std::string UrnOf(std::string_view id) {
  std::string out;
  for (const char c : id) {
    if (IsUnreserved(c)) {
      out.push_back(c);
    } else {
      absl::StrAppendFormat(&out, "%%%02X", static_cast<unsigned char>(c));
    }
  }
  return out;
}

bool IdOfUrn(std::string_view text, std::string* id) {
  id->clear();
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      id->push_back(text[i]);
      continue;
    }
    int octet = 0;
    if (i + 2 >= text.size() || !absl::SimpleHexAtoi(AbslView(text.substr(i + 1, 2)), &octet)) {
      return false;
    }
    id->push_back(static_cast<char>(octet));
    i += 2;
  }
  return UrnOf(*id) == text;
}

}  // namespace viaduct::security
