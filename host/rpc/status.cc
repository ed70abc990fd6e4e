#include "host/rpc/status.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"

namespace viaduct::rpc {
namespace {

constexpr char kDomain[] = "viaduct";
constexpr size_t kMaxViolations = 100;
// Trailers share the 8 KiB that many gRPC clients allow for metadata.
constexpr size_t kMaxDescriptionBytes = 256;
constexpr size_t kMaxDetailsBytes = 6u << 10;
constexpr size_t kMaxMessageBytes = 1u << 10;

std::string Shorten(std::string text, size_t limit) {
  if (text.size() <= limit) return text;
  size_t end = limit - 3;
  // Never in the middle of a UTF-8 character: the text goes into a proto3 string.
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
  text.resize(end);
  return text + "...";
}

void AddErrorInfo(const absl::Status& status, google::rpc::Status* out) {
  google::rpc::ErrorInfo info;
  info.set_reason(absl::StatusCodeToString(status.code()));
  info.set_domain(kDomain);
  out->add_details()->PackFrom(info);
}

grpc::Status Finish(const google::rpc::Status& details) {
  return grpc::Status(static_cast<grpc::StatusCode>(details.code()), details.message(),
                      details.SerializeAsString());
}

}  // namespace

grpc::Status ToGrpc(const absl::Status& status, absl::Duration retry_after) {
  if (status.ok()) return grpc::Status::OK;
  google::rpc::Status details;
  details.set_code(static_cast<int>(status.code()));
  details.set_message(Shorten(std::string(status.message()), kMaxMessageBytes));
  AddErrorInfo(status, &details);
  if (absl::IsUnavailable(status) || absl::IsResourceExhausted(status)) {
    google::rpc::RetryInfo retry;
    retry.mutable_retry_delay()->set_seconds(
        absl::ToInt64Seconds(absl::Ceil(retry_after, absl::Seconds(1))));
    details.add_details()->PackFrom(retry);
  }
  return Finish(details);
}

absl::Status FromGrpc(const grpc::Status& status) {
  if (status.ok()) return absl::OkStatus();
  return absl::Status(static_cast<absl::StatusCode>(status.error_code()), status.error_message());
}

grpc::Status Violations::ToStatus(std::string_view method) const {
  if (violations_.empty()) return grpc::Status::OK;
  google::rpc::Status details;
  details.set_code(static_cast<int>(absl::StatusCode::kInvalidArgument));
  const auto& [field, text] = violations_.front();
  details.set_message(
      Shorten(absl::StrCat(std::string(method), ": ", violations_.size(),
                           violations_.size() == 1 ? " field is wrong, " : " fields are wrong, ",
                           field, ": ", text),
              kMaxMessageBytes));
  google::rpc::BadRequest request;
  size_t bytes = 0;
  for (size_t i = 0; i < std::min(violations_.size(), kMaxViolations); ++i) {
    std::string description = Shorten(violations_[i].second, kMaxDescriptionBytes);
    std::string path = Shorten(violations_[i].first, kMaxDescriptionBytes);
    bytes += description.size() + path.size();
    if (bytes > kMaxDetailsBytes) break;
    auto* violation = request.add_field_violations();
    violation->set_field(std::move(path));
    violation->set_description(std::move(description));
  }
  details.add_details()->PackFrom(request);
  AddErrorInfo(absl::InvalidArgumentError(""), &details);
  return Finish(details);
}

std::vector<std::string> DescribeDetails(const grpc::Status& status) {
  std::vector<std::string> lines;
  google::rpc::Status details;
  if (!details.ParseFromString(status.error_details())) return lines;
  for (const auto& any : details.details()) {
    google::rpc::BadRequest request;
    if (!any.UnpackTo(&request)) continue;
    for (const auto& violation : request.field_violations()) {
      lines.push_back(absl::StrCat(violation.field(), ": ", violation.description()));
    }
  }
  return lines;
}

}  // namespace viaduct::rpc
