#include "host/rpc/convert.h"

#include "absl/strings/str_cat.h"

namespace viaduct::rpc {
namespace {

constexpr int64_t kMinSeconds = -62'135'596'800;  // 0001-01-01T00:00:00Z
constexpr int64_t kMaxSeconds = 253'402'300'799;  // 9999-12-31T23:59:59Z
constexpr int64_t kMaxDurationSeconds = 315'576'000'000;
constexpr int32_t kNanosPerSecond = 1'000'000'000;

}  // namespace

google::protobuf::Timestamp ToProto(absl::Time time) {
  google::protobuf::Timestamp out;
  const int64_t seconds = absl::ToUnixSeconds(time);
  if (seconds < kMinSeconds || seconds > kMaxSeconds) return out;
  out.set_seconds(seconds);
  out.set_nanos(
      static_cast<int32_t>(absl::ToInt64Nanoseconds(time - absl::FromUnixSeconds(seconds))));
  return out;
}

google::protobuf::Duration ToProto(absl::Duration duration) {
  google::protobuf::Duration out;
  absl::Duration rest;
  int64_t seconds = absl::IDivDuration(duration, absl::Seconds(1), &rest);
  if (seconds > kMaxDurationSeconds || seconds < -kMaxDurationSeconds) {
    out.set_seconds(seconds > 0 ? kMaxDurationSeconds : -kMaxDurationSeconds);
    return out;
  }
  out.set_seconds(seconds);
  out.set_nanos(static_cast<int32_t>(absl::ToInt64Nanoseconds(rest)));
  return out;
}

bool FromProto(const google::protobuf::Timestamp& timestamp, absl::Time* time) {
  if (timestamp.seconds() < kMinSeconds || timestamp.seconds() > kMaxSeconds) return false;
  if (timestamp.nanos() < 0 || timestamp.nanos() >= kNanosPerSecond) return false;
  *time = absl::FromUnixSeconds(timestamp.seconds()) + absl::Nanoseconds(timestamp.nanos());
  return true;
}

bool FromProto(const google::protobuf::Duration& duration, absl::Duration* out) {
  const int64_t seconds = duration.seconds();
  const int32_t nanos = duration.nanos();
  if (seconds > kMaxDurationSeconds || seconds < -kMaxDurationSeconds) return false;
  if (nanos <= -kNanosPerSecond || nanos >= kNanosPerSecond) return false;
  if ((seconds > 0 && nanos < 0) || (seconds < 0 && nanos > 0)) return false;
  *out = absl::Seconds(seconds) + absl::Nanoseconds(nanos);
  return true;
}

absl::Duration ReadDuration(bool present, const google::protobuf::Duration& value,
                            const DurationRange& range, std::string_view field,
                            Violations* violations) {
  if (!present) return range.fallback;
  absl::Duration duration;
  if (!FromProto(value, &duration) || duration < range.min || duration > range.max) {
    violations->Add(std::string(field),
                    absl::StrCat("out of range, expected ", absl::FormatDuration(range.min), " to ",
                                 absl::FormatDuration(range.max), ", got ", value.seconds(), "s ",
                                 value.nanos(), "ns"));
    return range.fallback;
  }
  return duration;
}

}  // namespace viaduct::rpc
