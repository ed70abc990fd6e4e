#include "core/store/postgres_values.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <limits>
#include <utility>

#include "absl/strings/numbers.h"
#include "core/base/string_view.h"

namespace viaduct {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";
constexpr std::string_view kReplacementEscape = "\\ufffd";
constexpr size_t kEscapeBytes = 6;  // \uXXXX
constexpr std::string_view kNumber = "+-.0123456789Ee";
constexpr std::string_view kNoted = "\"\\-0123456789";  // Outside of strings.
constexpr size_t kMaxPlainBytes = 64;                   // Of a number that stays as it is.
constexpr size_t kMaxDoubleBytes = 32;
constexpr char kJsonbVersion = 1;
constexpr int32_t kNull = -1;  // In place of a length.
// Signature, flags, length of an extension.
constexpr std::string_view kCopyHeader("PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0\0", 19);
constexpr int64_t kEpochSeconds = 946'684'800;  // 2000-01-01, where PostgreSQL's time begins.

template <typename T>
void PutBig(T value, std::string* out) {
  for (int shift = static_cast<int>(sizeof(T)) * 8 - 8; shift >= 0; shift -= 8) {
    out->push_back(static_cast<char>((static_cast<uint64_t>(value) >> shift) & 0xff));
  }
}

int64_t PgMicros(absl::Time time) {
  return absl::ToInt64Microseconds(time - absl::FromUnixSeconds(kEpochSeconds));
}

uint64_t RealBits(double value) {
  uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
}

// A value with its length before it, as arrays and COPY have them.
template <typename T>
void PutFixed(T value, std::string* out) {
  PutBig(static_cast<int32_t>(sizeof(T)), out);
  PutBig(value, out);
}

void PutText(std::string_view text, std::string* out) {
  const bool zero = text.find('\0') != std::string_view::npos;
  const std::string cleaned = zero ? PgText(text) : std::string();
  const std::string_view value = zero ? std::string_view(cleaned) : text;
  PutBig(static_cast<int32_t>(value.size()), out);
  out->append(value);
}

void PutJson(std::string_view json, std::string* out) {
  const std::string value = PgJson(json);
  PutBig(static_cast<int32_t>(value.size() + 1), out);
  out->push_back(kJsonbVersion);
  out->append(value);
}

void PutKey(const MessageKey& key, std::string* out) {
  PutBig(static_cast<int32_t>(key.size()), out);
  out->append(reinterpret_cast<const char*>(key.data()), key.size());
}

uint32_t ArrayType(PgType element) {
  switch (element) {
    case PgType::kBool:
      return 1000;
    case PgType::kInt8:
      return 1016;
    case PgType::kInt4:
      return 1007;
    case PgType::kText:
      return 1009;
    case PgType::kFloat8:
      return 1022;
    case PgType::kTime:
      return 1185;
    case PgType::kUuid:
      return 2951;
    case PgType::kJsonb:
      return 3807;
  }
  return 0;
}

// The code unit of the \uXXXX at `at`, or -1 when none stands there.
int EscapedUnit(std::string_view json, size_t at) {
  if (at + kEscapeBytes > json.size() || json[at] != '\\' || json[at + 1] != 'u') return -1;
  int unit = 0;
  for (size_t i = at + 2; i < at + kEscapeBytes; ++i) {
    const char c = json[i];
    const int digit = c >= '0' && c <= '9'   ? c - '0'
                      : c >= 'a' && c <= 'f' ? c - 'a' + 10
                      : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                             : -1;
    if (digit < 0) return -1;
    unit = unit * 16 + digit;
  }
  return unit;
}

bool IsHigh(int unit) { return unit >= 0xd800 && unit <= 0xdbff; }
bool IsLow(int unit) { return unit >= 0xdc00 && unit <= 0xdfff; }

// Appends the escape sequence at `at` and returns its length.
size_t CopyEscape(std::string_view json, size_t at, std::string* out) {
  const int unit = EscapedUnit(json, at);
  size_t length = unit < 0 ? std::min<size_t>(2, json.size() - at) : kEscapeBytes;
  bool good = unit != 0 && !IsLow(unit);
  if (IsHigh(unit)) {
    good = IsLow(EscapedUnit(json, at + kEscapeBytes));
    if (good) length = 2 * kEscapeBytes;
  }
  out->append(good ? json.substr(at, length) : kReplacementEscape);
  return length;
}

// Appends the number at `at` and returns its length.
size_t CopyNumber(std::string_view json, size_t at, std::string* out) {
  const size_t end = std::min(json.size(), json.find_first_not_of(kNumber, at));
  const std::string_view number = json.substr(at, end - at);
  double value = 0;
  if ((number.size() <= kMaxPlainBytes && number.find_first_of("eE") == std::string_view::npos) ||
      !absl::SimpleAtod(AbslView(number), &value)) {
    out->append(number);
    return number.size();
  }
  constexpr double kLargest = std::numeric_limits<double>::max();
  std::array<char, kMaxDoubleBytes> shortest{};
  const auto written = std::to_chars(shortest.data(), shortest.data() + shortest.size(),
                                     std::clamp(value, -kLargest, kLargest));
  out->append(shortest.data(), static_cast<size_t>(written.ptr - shortest.data()));
  return number.size();
}

}  // namespace

std::string PgText(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  size_t begin = 0;
  for (size_t zero = text.find('\0'); zero != std::string_view::npos;
       zero = text.find('\0', begin)) {
    out.append(text.substr(begin, zero - begin)).append(kReplacement);
    begin = zero + 1;
  }
  return out.append(text.substr(begin));
}

// jsonb keeps its numbers as decimals: 1e-20000 is refused and 1e-16383 is read back as 16 KB. What
// is not plain and short becomes the double that every reader makes of it.
std::string PgJson(std::string_view json) {
  std::string out;
  out.reserve(json.size());
  bool in_string = false;
  size_t at = 0;
  while (at < json.size()) {
    const size_t next = std::min(
        json.size(), in_string ? json.find_first_of("\"\\", at) : json.find_first_of(kNoted, at));
    out.append(json.substr(at, next - at));
    at = next;
    if (at == json.size()) break;
    if (json[at] == '\\') {
      at += CopyEscape(json, at, &out);
    } else if (json[at] == '"') {
      in_string = !in_string;
      out.push_back(json[at++]);
    } else {
      at += CopyNumber(json, at, &out);
    }
  }
  return out;
}

void PgArray::Add(std::string_view text) {
  element_ == PgType::kJsonb ? PutJson(text, &body_) : PutText(text, &body_);
  ++count_;
}

void PgArray::Add(int64_t value) {
  PutFixed(value, &body_);
  ++count_;
}

void PgArray::Add(int32_t value) {
  PutFixed(value, &body_);
  ++count_;
}

void PgArray::Add(double value) {
  PutFixed(RealBits(value), &body_);
  ++count_;
}

void PgArray::Add(bool value) {
  PutFixed(static_cast<int8_t>(value ? 1 : 0), &body_);
  ++count_;
}

void PgArray::Add(absl::Time value) { Add(PgMicros(value)); }

void PgArray::Add(const MessageKey& key) {
  PutKey(key, &body_);
  ++count_;
}

void PgArray::AddNull() {
  PutBig(kNull, &body_);
  has_null_ = true;
  ++count_;
}

std::string PgArray::Encode() const {
  std::string out;
  out.reserve(20 + body_.size());
  PutBig(int32_t{count_ == 0 ? 0 : 1}, &out);  // Dimensions.
  PutBig(int32_t{has_null_ ? 1 : 0}, &out);
  PutBig(static_cast<uint32_t>(element_), &out);
  if (count_ == 0) return out;
  PutBig(count_, &out);
  PutBig(int32_t{1}, &out);  // The first has number 1.
  return out.append(body_);
}

std::string* PgRows::Field() {
  if (body_.empty()) body_.assign(kCopyHeader);
  if (column_ == 0) PutBig(columns_, &body_);
  column_ = static_cast<int16_t>((column_ + 1) % columns_);
  return &body_;
}

void PgRows::Add(std::string_view text) { PutText(text, Field()); }
void PgRows::Add(int64_t value) { PutFixed(value, Field()); }
void PgRows::Add(int32_t value) { PutFixed(value, Field()); }
void PgRows::Add(double value) { PutFixed(RealBits(value), Field()); }
void PgRows::Add(bool value) { PutFixed(static_cast<int8_t>(value ? 1 : 0), Field()); }
void PgRows::Add(absl::Time value) { PutFixed(PgMicros(value), Field()); }
void PgRows::Add(const MessageKey& key) { PutKey(key, Field()); }
void PgRows::AddNull() { PutBig(kNull, Field()); }
void PgRows::AddJsonOrNull(std::string_view json) {
  json.empty() ? AddNull() : PutJson(json, Field());
}

std::string PgRows::Finish() {
  PutBig(int16_t{-1}, &body_);
  return std::move(body_);
}

PgParams& PgParams::Push(uint32_t type, std::string value) {
  types_.push_back(type);
  values_.emplace_back(std::move(value));
  return *this;
}

PgParams& PgParams::Add(std::string_view text) {
  return Push(static_cast<uint32_t>(PgType::kText), PgText(text));
}

PgParams& PgParams::Add(int64_t value) {
  std::string out;
  PutBig(value, &out);
  return Push(static_cast<uint32_t>(PgType::kInt8), std::move(out));
}

PgParams& PgParams::Add(double value) {
  std::string out;
  PutBig(RealBits(value), &out);
  return Push(static_cast<uint32_t>(PgType::kFloat8), std::move(out));
}

PgParams& PgParams::Add(bool value) {
  return Push(static_cast<uint32_t>(PgType::kBool), std::string(1, value ? '\1' : '\0'));
}

PgParams& PgParams::Add(absl::Time value) {
  std::string out;
  PutBig(PgMicros(value), &out);
  return Push(static_cast<uint32_t>(PgType::kTime), std::move(out));
}

PgParams& PgParams::Add(const MessageKey& key) {
  return Push(static_cast<uint32_t>(PgType::kUuid),
              std::string(reinterpret_cast<const char*>(key.data()), key.size()));
}

PgParams& PgParams::Add(const PgArray& array) {
  return Push(ArrayType(array.element()), array.Encode());
}

PgParams& PgParams::AddNull(PgType type) {
  types_.push_back(static_cast<uint32_t>(type));
  values_.emplace_back(std::nullopt);
  return *this;
}

PgParams& PgParams::AddJson(std::string_view json) {
  return Push(static_cast<uint32_t>(PgType::kJsonb),
              std::string(1, kJsonbVersion).append(PgJson(json)));
}

std::vector<const char*> PgParams::Pointers() const {
  std::vector<const char*> out;
  out.reserve(values_.size());
  for (const auto& value : values_) out.push_back(value.has_value() ? value->data() : nullptr);
  return out;
}

std::vector<int> PgParams::Lengths() const {
  std::vector<int> out;
  out.reserve(values_.size());
  for (const auto& value : values_) {
    out.push_back(value.has_value() ? static_cast<int>(value->size()) : 0);
  }
  return out;
}

int64_t PgResult::affected() const {
  int64_t out = 0;
  return absl::SimpleAtoi(PQcmdTuples(result_.get()), &out) ? out : 0;
}

std::string_view PgResult::View(int row, int column) const {
  return std::string_view(PQgetvalue(result_.get(), row, column),
                          static_cast<size_t>(PQgetlength(result_.get(), row, column)));
}

int64_t PgResult::Int(int row, int column) const {
  const std::string_view bytes = View(row, column);
  if (bytes.empty()) return 0;
  // The sign of the first octet is the sign of the whole.
  uint64_t value = static_cast<signed char>(bytes[0]) < 0 ? ~uint64_t{0} : 0;
  for (const char c : bytes) value = (value << 8) | static_cast<unsigned char>(c);
  return static_cast<int64_t>(value);
}

std::optional<double> PgResult::Real(int row, int column) const {
  if (IsNull(row, column)) return std::nullopt;
  const auto bits = static_cast<uint64_t>(Int(row, column));
  double value = 0;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

absl::Time PgResult::Time(int row, int column) const {
  if (IsNull(row, column)) return absl::InfinitePast();
  return absl::FromUnixSeconds(kEpochSeconds) + absl::Microseconds(Int(row, column));
}

MessageKey PgResult::Key(int row, int column) const {
  MessageKey key{};
  const std::string_view bytes = View(row, column);
  if (bytes.size() == key.size()) std::memcpy(key.data(), bytes.data(), key.size());
  return key;
}

}  // namespace viaduct
