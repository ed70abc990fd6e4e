// ISO 8601 date and time, read in the forms that devices in the field send, written in one.
#include <cstdio>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/civil_time.h"
#include "core/message/envelope.h"
#include "core/message/json_scanner.h"

namespace viaduct {
namespace {

constexpr size_t kMaxTimestampBytes = 64;
constexpr int kMaxZoneHours = 18;  // No zone was ever further from UTC.

// Reads digits from the front of a text; every method returns false when they are not there.
class DigitReader {
 public:
  explicit DigitReader(std::string_view text) : text_(text) {}

  bool Number(size_t digits, int* value) {
    if (text_.size() < digits) return false;
    *value = 0;
    for (size_t i = 0; i < digits; ++i) {
      if (text_[i] < '0' || text_[i] > '9') return false;
      *value = *value * 10 + (text_[i] - '0');
    }
    text_.remove_prefix(digits);
    return true;
  }
  bool Literal(char c) {
    if (text_.empty() || text_.front() != c) return false;
    text_.remove_prefix(1);
    return true;
  }
  bool Empty() const { return text_.empty(); }
  bool NextIsDigit() const {
    return !text_.empty() && text_.front() >= '0' && text_.front() <= '9';
  }

 private:
  std::string_view text_;
};

struct Fields {
  int year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0;
  int millis = 0;
  bool naive = true;
  int offset_minutes = 0;
};

bool ReadDateAndTime(DigitReader* in, Fields* f) {
  if (!in->Number(4, &f->year) || !in->Literal('-')) return false;
  if (!in->Number(2, &f->month) || !in->Literal('-')) return false;
  if (!in->Number(2, &f->day)) return false;
  if (!in->Literal('T') && !in->Literal(' ') && !in->Literal('t')) return false;
  if (!in->Number(2, &f->hour) || !in->Literal(':')) return false;
  if (!in->Number(2, &f->minute) || !in->Literal(':')) return false;
  return in->Number(2, &f->second);
}

// Digits past the millisecond are read and dropped.
bool ReadFraction(DigitReader* in, Fields* f) {
  if (!in->Literal('.') && !in->Literal(',')) return true;
  if (!in->NextIsDigit()) return false;
  int scale = 100;
  int digit = 0;
  while (in->NextIsDigit()) {
    in->Number(1, &digit);
    f->millis += digit * scale;
    scale /= 10;
  }
  return true;
}

bool ReadZone(DigitReader* in, Fields* f) {
  if (in->Empty()) return true;
  f->naive = false;
  if (in->Literal('Z') || in->Literal('z')) return true;
  int sign = 0;
  if (in->Literal('+')) sign = 1;
  if (sign == 0 && in->Literal('-')) sign = -1;
  int hours = 0;
  int minutes = 0;
  if (sign == 0 || !in->Number(2, &hours)) return false;
  if (!in->Empty()) {
    in->Literal(':');
    if (!in->Number(2, &minutes)) return false;
  }
  f->offset_minutes = sign * (hours * 60 + minutes);
  return hours <= kMaxZoneHours && minutes < 60;
}

bool InRange(const Fields& f) {
  if (f.year < 1 || f.hour > 23 || f.minute > 59 || f.second > 60) return false;
  const absl::CivilDay day(f.year, f.month, f.day);  // Normalizes: 30 February becomes 2 March.
  return day.year() == f.year && day.month() == f.month && day.day() == f.day;
}

}  // namespace

absl::StatusOr<absl::Time> ParseTimestamp(std::string_view text, absl::TimeZone naive_zone) {
  Fields f;
  DigitReader in(text);
  const bool read = text.size() <= kMaxTimestampBytes && ReadDateAndTime(&in, &f) &&
                    ReadFraction(&in, &f) && ReadZone(&in, &f) && in.Empty() && InRange(f);
  if (!read) {
    return absl::InvalidArgumentError(absl::StrCat("not a timestamp, ", ShownText(text)));
  }
  const absl::CivilSecond civil(f.year, f.month, f.day, f.hour, f.minute, f.second);
  const absl::Time base =
      f.naive ? absl::FromCivil(civil, naive_zone)
              : absl::FromCivil(civil, absl::UTCTimeZone()) - absl::Minutes(f.offset_minutes);
  const absl::Time time = base + absl::Milliseconds(f.millis);
  const absl::Status in_range = CheckTimestampRange(time);
  if (in_range.ok()) return time;
  return absl::InvalidArgumentError(absl::StrCat(in_range.message(), ", ", ShownText(text)));
}

absl::Status CheckTimestampRange(absl::Time time) {
  static const absl::Time first = absl::FromCivil(absl::CivilDay(1, 1, 1), absl::UTCTimeZone());
  static const absl::Time last = absl::FromCivil(absl::CivilDay(10000, 1, 1), absl::UTCTimeZone());
  if (time >= first && time < last) return absl::OkStatus();
  return absl::InvalidArgumentError("outside the years 0001 to 9999 of UTC");
}

std::string FormatTimestamp(absl::Time time) {
  const int64_t millis = absl::ToUnixMillis(time);
  const absl::CivilSecond civil =
      absl::ToCivilSecond(absl::FromUnixMillis(millis), absl::UTCTimeZone());
  char out[] = "0000-00-00T00:00:00.000Z";
  const auto put = [&out](size_t at, size_t digits, int64_t value) {
    for (size_t i = digits; i-- > 0; value /= 10) out[at + i] = static_cast<char>('0' + value % 10);
  };
  put(0, 4, civil.year());
  put(5, 2, civil.month());
  put(8, 2, civil.day());
  put(11, 2, civil.hour());
  put(14, 2, civil.minute());
  put(17, 2, civil.second());
  put(20, 3, ((millis % 1000) + 1000) % 1000);
  return std::string(out, sizeof(out) - 1);
}

}  // namespace viaduct
