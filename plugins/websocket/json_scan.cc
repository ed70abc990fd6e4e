#include "plugins/websocket/json_scan.h"

#include <algorithm>
#include <cstdint>
#include <cstring>

namespace viaduct::websocket {
namespace {

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

int HexOf(char c) {
  if (IsDigit(c)) return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// Eight octets of plain text at once: none is a quote, a backslash, below 0x20 or above 0x7f.
bool IsPlain(const char* at) {
  constexpr uint64_t kOnes = 0x0101010101010101;
  constexpr uint64_t kHigh = 0x8080808080808080;
  uint64_t word = 0;
  std::memcpy(&word, at, sizeof word);
  const auto has_zero = [](uint64_t w) { return (w - kOnes) & ~w & kHigh; };
  const uint64_t special = has_zero(word ^ (kOnes * '"')) | has_zero(word ^ (kOnes * '\\'));
  return (special | ((word - kOnes * 0x20) & kHigh) | (word & kHigh)) == 0;
}

// Walks over a text from its front. False from a step: it is not JSON.
class Walk {
 public:
  explicit Walk(std::string_view text) : at_(text.data()), end_(text.data() + text.size()) {}

  const char* at() const { return at_; }
  bool done() const { return at_ == end_; }
  char front() const { return at_ == end_ ? '\0' : *at_; }
  bool Take(char c) {
    if (front() != c || done()) return false;
    ++at_;
    return true;
  }
  void Space() {
    while (at_ < end_ && (*at_ == ' ' || *at_ == '\t' || *at_ == '\n' || *at_ == '\r')) ++at_;
  }
  // One value, with white space neither before nor after it.
  bool Value(size_t depth);
  bool String();
  // `name` and what belongs to it up to the value.
  bool Key(std::string_view* name);

 private:
  bool Array(size_t depth);
  bool Object(size_t depth);
  bool Number();
  bool Word(std::string_view word);
  bool Digits();
  bool Escape();
  bool Hex(unsigned* unit);
  bool Character();

  const char* at_;
  const char* const end_;
};

bool Walk::Value(size_t depth) {
  switch (front()) {
    case '{':
      return Object(depth);
    case '[':
      return Array(depth);
    case '"':
      return String();
    case 't':
      return Word("true");
    case 'f':
      return Word("false");
    case 'n':
      return Word("null");
    default:
      return Number();
  }
}

bool Walk::Array(size_t depth) {
  if (depth >= kMaxJsonDepth) return false;
  ++at_;
  Space();
  if (Take(']')) return true;
  while (true) {
    if (!Value(depth + 1)) return false;
    Space();
    if (Take(']')) return true;
    if (!Take(',')) return false;
    Space();
  }
}

bool Walk::Object(size_t depth) {
  if (depth >= kMaxJsonDepth) return false;
  ++at_;
  Space();
  if (Take('}')) return true;
  std::string_view ignored;
  while (true) {
    if (!Key(&ignored) || !Value(depth + 1)) return false;
    Space();
    if (Take('}')) return true;
    if (!Take(',')) return false;
    Space();
  }
}

bool Walk::Key(std::string_view* name) {
  const char* const begin = at_;
  if (front() != '"' || !String()) return false;
  *name = std::string_view(begin + 1, static_cast<size_t>(at_ - begin) - 2);
  Space();
  if (!Take(':')) return false;
  Space();
  return true;
}

bool Walk::String() {
  ++at_;
  while (true) {
    while (end_ - at_ >= 8 && IsPlain(at_)) at_ += 8;
    if (at_ == end_) return false;
    const auto c = static_cast<unsigned char>(*at_);
    if (c == '"') {
      ++at_;
      return true;
    }
    if (c < 0x20) return false;
    if (c == '\\') {
      if (!Escape()) return false;
    } else if (c < 0x80) {
      ++at_;
    } else if (!Character()) {
      return false;
    }
  }
}

bool Walk::Escape() {
  if (end_ - at_ < 2) return false;
  const char kind = at_[1];
  at_ += 2;
  if (kind != 'u') return std::string_view("\"\\/bfnrt").find(kind) != std::string_view::npos;
  unsigned unit = 0;
  if (!Hex(&unit)) return false;
  if (unit < 0xd800 || unit > 0xdfff) return true;
  if (unit > 0xdbff || end_ - at_ < 2 || at_[0] != '\\' || at_[1] != 'u') return false;
  at_ += 2;
  return Hex(&unit) && unit >= 0xdc00 && unit <= 0xdfff;
}

bool Walk::Hex(unsigned* unit) {
  if (end_ - at_ < 4) return false;
  *unit = 0;
  for (const char* const stop = at_ + 4; at_ < stop; ++at_) {
    const int digit = HexOf(*at_);
    if (digit < 0) return false;
    *unit = *unit << 4 | static_cast<unsigned>(digit);
  }
  return true;
}

// One character of more than one octet: shortest form, no surrogates, up to U+10FFFF.
bool Walk::Character() {
  const auto octet = [this](int i) { return static_cast<unsigned char>(at_[i]); };
  const unsigned first = octet(0);
  const int size = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
  if (first < 0xc2 || first > 0xf4 || end_ - at_ < size) return false;
  for (int i = 1; i < size; ++i) {
    if ((octet(i) & 0xc0) != 0x80) return false;
  }
  const unsigned second = octet(1);
  if ((first == 0xe0 && second < 0xa0) || (first == 0xed && second > 0x9f) ||
      (first == 0xf0 && second < 0x90) || (first == 0xf4 && second > 0x8f)) {
    return false;
  }
  at_ += size;
  return true;
}

bool Walk::Number() {
  Take('-');
  if (!Take('0') && !Digits()) return false;
  if (Take('.') && !Digits()) return false;
  if (!Take('e') && !Take('E')) return true;
  if (!Take('+')) Take('-');
  return Digits();
}

bool Walk::Digits() {
  const char* const begin = at_;
  while (at_ < end_ && IsDigit(*at_)) ++at_;
  return at_ > begin;
}

bool Walk::Word(std::string_view word) {
  if (static_cast<size_t>(end_ - at_) < word.size()) return false;
  if (std::memcmp(at_, word.data(), word.size()) != 0) return false;
  at_ += word.size();
  return true;
}

}  // namespace

bool IsJson(std::string_view text) {
  Walk walk(text);
  walk.Space();
  if (!walk.Value(0)) return false;
  walk.Space();
  return walk.done();
}

ArrayScan ScanJsonArray(std::string_view text, size_t max_elements, JsonElements* elements) {
  elements->clear();
  Walk walk(text);
  walk.Space();
  if (!walk.Take('[')) return ArrayScan::kNoArray;
  walk.Space();
  bool more = !walk.Take(']');
  while (more) {
    if (elements->size() == max_elements) return ArrayScan::kTooMany;
    const char* const begin = walk.at();
    if (!walk.Value(1)) return ArrayScan::kNoArray;
    elements->emplace_back(begin, static_cast<size_t>(walk.at() - begin));
    walk.Space();
    more = !walk.Take(']');
    if (more && !walk.Take(',')) return ArrayScan::kNoArray;
    walk.Space();
  }
  walk.Space();
  return walk.done() ? ArrayScan::kGood : ArrayScan::kNoArray;
}

std::string_view JsonMemberOf(std::string_view text, std::string_view name) {
  return JsonMembersOf(text, {name}).front();
}

JsonElements JsonMembersOf(std::string_view text, std::initializer_list<std::string_view> names) {
  JsonElements values(names.size());
  size_t missing = names.size();
  Walk walk(text);
  walk.Space();
  if (!walk.Take('{')) return values;
  walk.Space();
  while (missing > 0 && walk.front() == '"') {
    std::string_view key;
    if (!walk.Key(&key)) return values;
    const char* const begin = walk.at();
    if (!walk.Value(1)) return values;
    const auto wanted = std::find(names.begin(), names.end(), key);
    if (wanted != names.end()) {
      std::string_view& value = values[static_cast<size_t>(wanted - names.begin())];
      if (value.empty()) --missing;
      if (value.empty()) value = {begin, static_cast<size_t>(walk.at() - begin)};
    }
    walk.Space();
    if (!walk.Take(',')) return values;
    walk.Space();
  }
  return values;
}

}  // namespace viaduct::websocket
