// Decoding, encoding and checking of JSON text; declared in json_scanner.h.
#include <string>
#include <string_view>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "core/base/string_view.h"
#include "core/message/json_octets.h"
#include "core/message/json_scanner.h"

namespace viaduct {
namespace {

using json_octets::Bytes;
using json_octets::HexQuad;
using json_octets::IsHighSurrogate;
using json_octets::Utf8Length;

constexpr char kReplacement[] = "\xef\xbf\xbd";  // U+FFFD

void AppendUtf8(uint32_t code, std::string* out) {
  const auto put = [out](uint32_t byte) { out->push_back(static_cast<char>(byte)); };
  if (code < 0x80) {
    put(code);
  } else if (code < 0x800) {
    put(0xc0 | (code >> 6));
    put(0x80 | (code & 0x3f));
  } else if (code < 0x10000) {
    put(0xe0 | (code >> 12));
    put(0x80 | ((code >> 6) & 0x3f));
    put(0x80 | (code & 0x3f));
  } else {
    put(0xf0 | (code >> 18));
    put(0x80 | ((code >> 12) & 0x3f));
    put(0x80 | ((code >> 6) & 0x3f));
    put(0x80 | (code & 0x3f));
  }
}

char UnescapedChar(char c) {
  switch (c) {
    case 'b':
      return '\b';
    case 'f':
      return '\f';
    case 'n':
      return '\n';
    case 'r':
      return '\r';
    case 't':
      return '\t';
    default:
      return c;  // '"', '\\', '/'
  }
}

}  // namespace

std::string DecodeJsonString(std::string_view quoted) {
  const std::string_view body = quoted.substr(1, quoted.size() - 2);
  std::string out;
  out.reserve(body.size());
  size_t pos = 0;
  while (pos < body.size()) {
    const size_t backslash = body.find('\\', pos);
    out.append(body, pos, backslash == std::string_view::npos ? backslash : backslash - pos);
    if (backslash == std::string_view::npos) break;
    const char c = body[backslash + 1];
    pos = backslash + 2;
    if (c != 'u') {
      out.push_back(UnescapedChar(c));
      continue;
    }
    int unit = HexQuad(body, pos);
    pos += 4;
    auto code = static_cast<uint32_t>(unit);
    if (IsHighSurrogate(unit)) {
      const int low = HexQuad(body, pos + 2);
      code = 0x10000u + ((code - 0xd800u) << 10) + (static_cast<uint32_t>(low) - 0xdc00u);
      pos += 6;
    }
    AppendUtf8(code, &out);
  }
  return out;
}

void AppendJsonString(std::string_view text, std::string* out) {
  static constexpr char kHex[] = "0123456789abcdef";
  out->push_back('"');
  size_t start = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    if (c >= 0x20 && c < 0x80 && c != '"' && c != '\\') continue;
    const size_t length = c < 0x80 ? 0 : Utf8Length(Bytes(text, i), text.size() - i);
    if (length > 0) {
      i += length - 1;
      continue;
    }
    out->append(text, start, i - start);
    start = i + 1;
    if (c >= 0x80) {
      out->append(kReplacement);
    } else if (c == '"' || c == '\\') {
      out->push_back('\\');
      out->push_back(static_cast<char>(c));
    } else {
      out->append("\\u00");
      out->push_back(kHex[c >> 4]);
      out->push_back(kHex[c & 15]);
    }
  }
  out->append(text, start, text.size() - start);
  out->push_back('"');
}

std::string_view CutText(std::string_view text, size_t max_bytes) {
  if (text.size() <= max_bytes) return text;
  size_t end = max_bytes;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;
  return text.substr(0, end);
}

std::string ShownText(std::string_view text, size_t max_bytes) {
  const std::string_view shown = CutText(text, max_bytes);
  return absl::StrCat("\"", absl::Utf8SafeCHexEscape(AbslView(shown)),
                      shown.size() < text.size() ? "...\"" : "\"");
}

bool IsValidUtf8(std::string_view text) {
  for (size_t i = 0; i < text.size();) {
    if (static_cast<unsigned char>(text[i]) < 0x80) {
      ++i;
      continue;
    }
    const size_t length = Utf8Length(Bytes(text, i), text.size() - i);
    if (length == 0) return false;
    i += length;
  }
  return true;
}

}  // namespace viaduct
