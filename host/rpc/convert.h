// Values of the core as messages and back.
#pragma once

#include <google/protobuf/duration.pb.h>
#include <google/protobuf/timestamp.pb.h>

#include <string_view>

#include "absl/time/time.h"
#include "host/rpc/status.h"

namespace viaduct::rpc {

google::protobuf::Timestamp ToProto(absl::Time time);
google::protobuf::Duration ToProto(absl::Duration duration);

// False: outside the range that google.protobuf.Timestamp allows (years 1 to 9999).
bool FromProto(const google::protobuf::Timestamp& timestamp, absl::Time* time);
// False: seconds and nanos disagree or are out of range.
bool FromProto(const google::protobuf::Duration& duration, absl::Duration* out);

// Reads an optional duration: absent gives `fallback`; outside [min, max] is a violation of
// `field`.
struct DurationRange {
  absl::Duration fallback;
  absl::Duration min;
  absl::Duration max;
};
absl::Duration ReadDuration(bool present, const google::protobuf::Duration& value,
                            const DurationRange& range, std::string_view field,
                            Violations* violations);

}  // namespace viaduct::rpc
