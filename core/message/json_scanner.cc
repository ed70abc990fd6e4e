#include "core/message/json_scanner.h"

#include <array>
#include <cmath>
#include <cstring>
#include <system_error>
#include <utility>

#include "absl/strings/charconv.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "core/base/string_view.h"
#include "core/message/json_octets.h"

namespace viaduct {
namespace {

using json_octets::Bytes;
using json_octets::HexQuad;
using json_octets::IsHighSurrogate;
using json_octets::IsLowSurrogate;
using json_octets::Special;
using json_octets::Utf8Length;

constexpr size_t kLinearKeys = 24;        // Objects larger than this get a hash set of their keys.
constexpr size_t kMaxNumberBytes = 1024;  // No sane sender writes a longer number.

uint64_t LoadHead(std::string_view text) {
  uint64_t head = 0;
  std::memcpy(&head, text.data(), text.size() < 8 ? text.size() : 8);
  return head;
}

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

}  // namespace

std::string_view JsonTypeName(JsonType type) {
  switch (type) {
    case JsonType::kObject:
      return "an object";
    case JsonType::kArray:
      return "an array";
    case JsonType::kString:
      return "a string";
    case JsonType::kNumber:
      return "a number";
    case JsonType::kTrue:
    case JsonType::kFalse:
      return "a boolean";
    case JsonType::kNull:
      return "null";
  }
  return "unknown";
}

JsonScanner::JsonScanner(std::string_view text, const JsonScanLimits& limits)
    : text_(text), limits_(limits) {}

absl::Status JsonScanner::ErrorAt(size_t offset, std::string_view what) const {
  return absl::InvalidArgumentError(absl::StrCat("at byte ", offset, ": ", AbslView(what)));
}

absl::Status JsonScanner::Error(std::string_view what) const {
  if (AtEnd()) return ErrorAt(pos_, absl::StrCat(AbslView(what), ", the text ends here"));
  const std::string shown = absl::CHexEscape(AbslView(text_.substr(pos_, 1)));
  return ErrorAt(pos_, absl::StrCat(AbslView(what), ", found '", shown, "'"));
}

void JsonScanner::SkipSpace() {
  while (pos_ < text_.size()) {
    const char c = text_[pos_];
    if (c != ' ' && c != '\n' && c != '\r' && c != '\t') return;
    ++pos_;
  }
}

char JsonScanner::Peek() {
  SkipSpace();
  return AtEnd() ? '\0' : Current();
}

absl::Status JsonScanner::Expect(char c) {
  if (AtEnd() || Current() != c) return Error(absl::StrCat("expected '", std::string(1, c), "'"));
  ++pos_;
  return absl::OkStatus();
}

absl::Status JsonScanner::Begin() {
  if (text_.size() > limits_.max_bytes) {
    return absl::ResourceExhaustedError(
        absl::StrCat("too large, ", text_.size(), " bytes, limit ", limits_.max_bytes));
  }
  SkipSpace();
  return AtEnd() ? absl::InvalidArgumentError("at byte 0: empty, expected JSON") : absl::OkStatus();
}

absl::Status JsonScanner::End() {
  SkipSpace();
  return AtEnd() ? absl::OkStatus() : Error("expected the end of the text");
}

absl::Status JsonScanner::ScanDocument(JsonSlice* value) {
  VD_RETURN_IF_ERROR(Begin());
  VD_RETURN_IF_ERROR(ScanValue(value));
  return End();
}

absl::Status JsonScanner::ScanObject(std::vector<JsonMember>* members) {
  VD_RETURN_IF_ERROR(Begin());
  if (Current() != '{') return Error("expected an object");
  VD_RETURN_IF_ERROR(ScanMembers(members));
  return End();
}

// The object at the cursor, member by member.
absl::Status JsonScanner::ScanMembers(std::vector<JsonMember>* members) {
  ++pos_;
  ++depth_;
  Frame frame{true, keys_.size(), nullptr};
  SkipSpace();
  bool more = AtEnd() || Current() != '}';
  while (more) {
    SkipSpace();
    std::string_view key;
    VD_RETURN_IF_ERROR(ScanKey(&frame, &key));
    members->emplace_back();
    members->back().key = std::string(key);
    VD_RETURN_IF_ERROR(ScanValue(&members->back().value));
    SkipSpace();
    more = AtEnd() || Current() != '}';
    if (!more) break;
    if (AtEnd() || Current() != ',') return Error("expected ',' or '}'");
    ++pos_;
  }
  ++pos_;
  --depth_;
  keys_.resize(frame.first_key);
  return absl::OkStatus();
}

absl::Status JsonScanner::ScanElement(JsonElement* element) {
  if (Peek() != '{') return ScanValue(&element->value);
  const size_t start = pos_;
  element->members.reserve(8);
  VD_RETURN_IF_ERROR(ScanMembers(&element->members));
  element->value = {JsonType::kObject, text_.substr(start, pos_ - start), start};
  return absl::OkStatus();
}

template <typename ScanOne>
absl::Status JsonScanner::ForEachElement(size_t max_elements, ScanOne scan_one) {
  VD_RETURN_IF_ERROR(Begin());
  if (Current() != '[') return Error("expected an array");
  ++pos_;
  ++depth_;
  SkipSpace();
  size_t count = 0;
  bool more = AtEnd() || Current() != ']';
  while (more) {
    SkipSpace();
    if (count++ >= max_elements) {
      return absl::ResourceExhaustedError(
          absl::StrCat("at byte ", pos_, ": too many elements, limit ", max_elements));
    }
    VD_RETURN_IF_ERROR(scan_one());
    SkipSpace();
    more = AtEnd() || Current() != ']';
    if (!more) break;
    if (AtEnd() || Current() != ',') return Error("expected ',' or ']'");
    ++pos_;
  }
  ++pos_;
  return End();
}

absl::Status JsonScanner::ScanArray(size_t max_elements, std::vector<JsonElement>* elements) {
  return ForEachElement(max_elements, [this, elements] {
    elements->emplace_back();
    return ScanElement(&elements->back());
  });
}

absl::Status JsonScanner::CountArray(size_t max_elements, size_t* count) {
  return ForEachElement(max_elements, [this, count] {
    ++*count;
    JsonSlice value;
    return ScanValue(&value);
  });
}

absl::Status JsonScanner::ScanValue(JsonSlice* value) {
  SkipSpace();
  if (AtEnd()) return Error("expected a value");
  const size_t start = pos_;
  if (Current() == '{' || Current() == '[') {
    value->type = Current() == '{' ? JsonType::kObject : JsonType::kArray;
    VD_RETURN_IF_ERROR(ScanNested(value->type));
  } else {
    VD_RETURN_IF_ERROR(ScanScalar(&value->type));
  }
  value->text = text_.substr(start, pos_ - start);
  value->offset = start;
  return absl::OkStatus();
}

// Enters the object or array at the cursor.
absl::Status JsonScanner::Open(std::vector<Frame>* frames) {
  if (depth_ + static_cast<int>(frames->size()) >= limits_.max_depth) {
    return absl::ResourceExhaustedError(
        absl::StrCat("at byte ", pos_, ": nested too deep, limit ", limits_.max_depth));
  }
  frames->push_back(Frame{Current() == '{', keys_.size(), nullptr});
  ++pos_;
  return absl::OkStatus();
}

// Moves to the next member of the innermost object or array, or closes it.
absl::Status JsonScanner::OpenMember(std::vector<Frame>* frames, bool first, bool* closed) {
  Frame& frame = frames->back();
  const char close = frame.object ? '}' : ']';
  *closed = false;
  SkipSpace();
  if (!AtEnd() && Current() == close) {
    ++pos_;
    keys_.resize(frame.first_key);
    frames->pop_back();
    *closed = true;
    return absl::OkStatus();
  }
  if (!first) {
    if (AtEnd() || Current() != ',')
      return Error(absl::StrCat("expected ',' or '", std::string(1, close), "'"));
    ++pos_;
    SkipSpace();
  }
  if (!frame.object) return absl::OkStatus();
  std::string_view key;
  return ScanKey(&frame, &key);
}

absl::Status JsonScanner::ScanNested(JsonType) {
  std::vector<Frame> frames;  // Iterative: a hostile text must not choose our stack depth.
  frames.reserve(8);
  VD_RETURN_IF_ERROR(Open(&frames));
  bool first = true;
  while (!frames.empty()) {
    bool closed = false;
    VD_RETURN_IF_ERROR(OpenMember(&frames, first, &closed));
    first = false;
    if (closed) continue;
    SkipSpace();
    if (AtEnd()) return Error("expected a value");
    if (Current() == '{' || Current() == '[') {
      VD_RETURN_IF_ERROR(Open(&frames));
      first = true;
      continue;
    }
    JsonType type;
    VD_RETURN_IF_ERROR(ScanScalar(&type));
  }
  return absl::OkStatus();
}

absl::Status JsonScanner::ScanScalar(JsonType* type) {
  switch (Current()) {
    case '"': {
      *type = JsonType::kString;
      bool escaped;
      return ScanString(&escaped);
    }
    case 't':
      *type = JsonType::kTrue;
      return ScanLiteral("true");
    case 'f':
      *type = JsonType::kFalse;
      return ScanLiteral("false");
    case 'n':
      *type = JsonType::kNull;
      return ScanLiteral("null");
    default:
      *type = JsonType::kNumber;
      return ScanNumber();
  }
}

absl::Status JsonScanner::ScanLiteral(std::string_view literal) {
  if (text_.substr(pos_, literal.size()) != literal) return Error("expected a value");
  pos_ += literal.size();
  return absl::OkStatus();
}

absl::Status JsonScanner::ScanString(bool* escaped) {
  *escaped = false;
  ++pos_;  // The opening quote.
  while (true) {
    uint64_t word;
    while (pos_ + sizeof(word) <= text_.size()) {
      std::memcpy(&word, text_.data() + pos_, sizeof(word));
      if (Special(word) != 0) break;
      pos_ += sizeof(word);
    }
    while (!AtEnd()) {
      const auto c = static_cast<unsigned char>(Current());
      if (c < 0x20 || c == '"' || c == '\\' || c >= 0x80) break;
      ++pos_;
    }
    if (AtEnd()) return Error("unterminated string");
    const auto c = static_cast<unsigned char>(Current());
    if (c == '"') {
      ++pos_;
      return absl::OkStatus();
    }
    if (c == '\\') {
      *escaped = true;
      VD_RETURN_IF_ERROR(ScanEscape());
    } else if (c >= 0x80) {
      VD_RETURN_IF_ERROR(ScanUtf8());
    } else {
      return Error("control character in a string");
    }
  }
}

absl::Status JsonScanner::ScanUtf8() {
  while (!AtEnd() && static_cast<unsigned char>(Current()) >= 0x80) {
    const size_t length = Utf8Length(Bytes(text_, pos_), text_.size() - pos_);
    if (length == 0) return Error("invalid UTF-8");
    pos_ += length;
  }
  return absl::OkStatus();
}

absl::Status JsonScanner::ScanEscape() {
  ++pos_;  // The backslash.
  if (AtEnd()) return Error("unterminated string");
  const char c = Current();
  if (c != 'u') {
    if (std::string_view("\"\\/bfnrt").find(c) == std::string_view::npos) {
      return Error("unknown escape");
    }
    ++pos_;
    return absl::OkStatus();
  }
  const int unit = HexQuad(text_, pos_ + 1);
  if (unit < 0) return Error("expected four hexadecimal digits after \\u");
  if (IsLowSurrogate(unit)) return Error("lone surrogate in an escape");
  if (IsHighSurrogate(unit)) {
    const bool pair =
        text_.substr(pos_ + 5, 2) == "\\u" && IsLowSurrogate(HexQuad(text_, pos_ + 7));
    if (!pair) return Error("lone surrogate in an escape");
    pos_ += 6;
  }
  pos_ += 5;
  return absl::OkStatus();
}

absl::Status JsonScanner::ScanNumber() {
  const size_t start = pos_;
  const auto digits = [this] {
    const size_t first = pos_;
    while (!AtEnd() && IsDigit(Current())) ++pos_;
    return pos_ > first;
  };
  if (Current() == '-') ++pos_;
  if (AtEnd() || !IsDigit(Current())) return Error("expected a value");
  if (Current() == '0') {
    ++pos_;
  } else {
    digits();
  }
  if (!AtEnd() && Current() == '.') {
    ++pos_;
    if (!digits()) return Error("expected a digit");
  }
  bool exponent = false;
  if (!AtEnd() && (Current() == 'e' || Current() == 'E')) {
    exponent = true;
    ++pos_;
    if (!AtEnd() && (Current() == '+' || Current() == '-')) ++pos_;
    if (!digits()) return Error("expected a digit");
  }
  const std::string_view number = text_.substr(start, pos_ - start);
  if (number.size() > kMaxNumberBytes) return ErrorAt(start, "number too long");
  if (exponent || number.size() > 300) {
    double value = 0;
    const absl::from_chars_result result =
        absl::from_chars(number.data(), number.data() + number.size(), value);
    // Too small is read as zero; too large has no value that we could pass on.
    if (result.ec == std::errc::result_out_of_range && std::abs(value) > 1) {
      return ErrorAt(start, "number out of range");
    }
  }
  return absl::OkStatus();
}

absl::Status JsonScanner::ScanKey(Frame* frame, std::string_view* key) {
  if (AtEnd() || Current() != '"') return Error("expected a member name");
  const size_t start = pos_;
  bool escaped = false;
  VD_RETURN_IF_ERROR(ScanString(&escaped));
  *key = text_.substr(start + 1, pos_ - start - 2);
  if (escaped) {
    decoded_.push_back(DecodeJsonString(text_.substr(start, pos_ - start)));
    *key = decoded_.back();
  }
  VD_RETURN_IF_ERROR(NoteKey(frame, *key, start));
  SkipSpace();
  return Expect(':');
}

absl::Status JsonScanner::NoteKey(Frame* frame, std::string_view key, size_t offset) {
  if (keys_.size() >= limits_.max_members) {
    return absl::ResourceExhaustedError(
        absl::StrCat("at byte ", offset, ": too many members, limit ", limits_.max_members));
  }
  bool duplicate = false;
  const Key noted{LoadHead(key), key};
  if (frame->set != nullptr) {
    duplicate = !frame->set->insert(key).second;
  } else {
    for (size_t i = frame->first_key; i < keys_.size() && !duplicate; ++i) {
      duplicate = keys_[i].head == noted.head && keys_[i].text == key;
    }
  }
  if (duplicate) {
    return ErrorAt(offset, absl::StrCat("duplicate member, ", ShownText(key)));
  }
  keys_.push_back(noted);
  if (frame->set == nullptr && keys_.size() - frame->first_key > kLinearKeys) {
    frame->set = std::make_unique<absl::flat_hash_set<std::string_view>>();
    for (size_t i = frame->first_key; i < keys_.size(); ++i) frame->set->insert(keys_[i].text);
  }
  return absl::OkStatus();
}

}  // namespace viaduct
