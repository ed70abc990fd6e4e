// Errors of the core in the words of gRPC: canonical codes with google.rpc details.
#pragma once

#include <grpcpp/support/status.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace viaduct::rpc {

// The same code and text, with an ErrorInfo {reason: the code's name, domain: "viaduct"}, and a
// RetryInfo where the code says "try again": after `retry_after`.
inline constexpr absl::Duration kRetryDelay = absl::Seconds(1);
grpc::Status ToGrpc(const absl::Status& status, absl::Duration retry_after = kRetryDelay);

absl::Status FromGrpc(const grpc::Status& status);

// Collects every mistake of one request. Thread-compatible.
class Violations {
 public:
  // `field` is the path as in the .proto, e.g. "envelope.timestamp".
  void Add(std::string field, std::string description) {
    violations_.emplace_back(std::move(field), std::move(description));
  }
  bool empty() const { return violations_.empty(); }
  // OK when empty; else INVALID_ARGUMENT "<method>: <n> fields are wrong, <first>: <text>" with a
  // google.rpc.BadRequest that names each (the first 100) and an ErrorInfo.
  grpc::Status ToStatus(std::string_view method) const;

 private:
  std::vector<std::pair<std::string, std::string>> violations_;
};

// The violations that came with `status`, for clients: "field: description" each.
std::vector<std::string> DescribeDetails(const grpc::Status& status);

}  // namespace viaduct::rpc
