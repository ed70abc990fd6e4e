#include "plugins/hailo_lpr/request.h"

#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "plugins/hailo_lpr/ctc.h"

namespace viaduct::hailo_lpr {
namespace {

using Json = nlohmann::json;

absl::Status Wrong(const std::string& key, const char* expected) {
  return absl::InvalidArgumentError(absl::StrCat("options: ", key, ": expected ", expected));
}

absl::Status ReadMember(const std::string& key, const Json& value, InferRequest* request) {
  if (key == "alternatives") {
    if (!value.is_number_unsigned() || value.get<uint64_t>() > kMostReadings) {
      return Wrong(key, "0 to 8");
    }
    request->alternatives = value.get<size_t>();
  } else if (key == "crops" || key == "annotated") {
    if (!value.is_boolean()) return Wrong(key, "true or false");
    (key == "crops" ? request->crops : request->annotated) = value.get<bool>();
  } else if (key == "min_confidence") {
    if (!value.is_number() || value.get<double>() < 0 || value.get<double>() > 1) {
      return Wrong(key, "0 to 1");
    }
    request->min_confidence = value.get<float>();
  } else if (key == "stream") {
    if (!value.is_string() || value.get_ref<const std::string&>().empty() ||
        value.get_ref<const std::string&>().size() > InferRequest::kMaxStreamBytes) {
      return Wrong(key, "a text of 1 to 128 octets");
    }
    request->stream = value.get<std::string>();
  } else if (key != "ground_truth" && key != "submit") {
    return absl::InvalidArgumentError(absl::StrCat("options: unknown, ", key.substr(0, 64)));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<InferRequest> ParseInferRequest(std::string_view json) {
  InferRequest request;
  if (json.empty()) return request;
  if (json.size() > InferRequest::kMaxBytes) {
    return absl::InvalidArgumentError("options: longer than 16 KiB");
  }
  const Json options = Json::parse(json, nullptr, /*allow_exceptions=*/false);
  if (!options.is_object()) return absl::InvalidArgumentError("options: no JSON object");
  for (const auto& [key, value] : options.items()) {
    const absl::Status read = ReadMember(key, value, &request);
    if (!read.ok()) return read;
  }
  return request;
}

}  // namespace viaduct::hailo_lpr
