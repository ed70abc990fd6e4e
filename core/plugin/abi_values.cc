#include "core/plugin/abi_values.h"

#include "absl/strings/str_cat.h"
#include "core/base/string_view.h"
#include "core/observe/utf8.h"

namespace viaduct {
namespace {

constexpr int32_t kMaxCode = VD_UNAUTHENTICATED;
constexpr std::string_view kReplacement = "\uFFFD";
constexpr int64_t kMaxDelayNs = int64_t{3600} * 1000 * 1000 * 1000;

}  // namespace

std::vector<vd_attr> ToAbi(const Attributes& attributes) {
  std::vector<vd_attr> result;
  result.reserve(attributes.size());
  for (const auto& [name, value] : attributes) result.push_back({ToAbi(name), ToAbi(value)});
  return result;
}

std::string AbiReader::Text(vd_str text) {
  ok_ = ok_ && (text.data != nullptr || text.size == 0) &&
        text.size <= limits_.max_text_bytes - text_bytes_;
  if (!ok_ || text.size == 0) return "";
  text_bytes_ += text.size;
  return std::string(text.data, text.size);
}

std::string AbiReader::Body(vd_bytes body) {
  ok_ = ok_ && (body.data != nullptr || body.size == 0) && body.size <= limits_.max_body_bytes;
  if (!ok_ || body.size == 0) return "";
  return std::string(static_cast<const char*>(static_cast<const void*>(body.data)), body.size);
}

Attributes AbiReader::List(const vd_attr* attributes, uint64_t count) {
  ok_ = ok_ && (attributes != nullptr || count == 0) && count <= limits_.max_attributes;
  Attributes result;
  if (!ok_) return result;
  result.reserve(count);
  for (uint64_t i = 0; i < count; ++i) {
    std::string name = Text(attributes[i].name);
    result.emplace_back(std::move(name), Text(attributes[i].value));
  }
  if (!ok_) result.clear();
  return result;
}

std::string Readable(std::string_view text, size_t max) {
  std::string result;
  for (size_t at = 0; at < text.size();) {
    uint32_t code = 0;
    const size_t length = DecodeUtf8(text, at, &code);
    const std::string_view character = length == 0 ? kReplacement : text.substr(at, length);
    if (result.size() + character.size() > max) break;
    result += character;
    at += std::max<size_t>(length, 1);
  }
  return result;
}

std::string ShortText(vd_str text, size_t max) {
  return text.data == nullptr ? "" : Readable({text.data, text.size}, max);
}

absl::Status StatusOf(int32_t code, std::string_view detail) {
  if (code == VD_OK) return absl::OkStatus();
  const bool known = code > 0 && code <= kMaxCode;
  return absl::Status(known ? static_cast<absl::StatusCode>(code) : absl::StatusCode::kUnknown,
                      AbslView(detail));
}

int32_t CodeOf(const absl::Status& status) { return static_cast<int32_t>(status.code()); }

vd_error NewError() {
  vd_error error{};
  error.struct_size = sizeof(error);
  return error;
}

absl::Status StatusOf(std::string_view what, int32_t code, const vd_error& error) {
  if (code == VD_OK) return absl::OkStatus();
  const auto text = [](const char* begin, size_t size) {
    return Readable({begin, strnlen(begin, size)}, size);
  };
  const std::string pointer = text(error.pointer, sizeof(error.pointer));
  std::string message = text(error.message, sizeof(error.message));
  if (message.empty()) message = absl::StrCat("failed with code ", code);
  absl::Status status = StatusOf(
      code, absl::StrCat(AbslView(what), ": ", pointer, pointer.empty() ? "" : ": ", message));
  if (!pointer.empty()) status.SetPayload(kPointerPayload, absl::Cord(pointer));
  return status;
}

bool ReadOutcome(uint32_t outcome, Outcome* out) {
  switch (outcome) {
    case VD_OUTCOME_DURABLE:
      *out = Outcome::kDurable;
      return true;
    case VD_OUTCOME_RETRY:
      *out = Outcome::kRetry;
      return true;
    case VD_OUTCOME_REJECT:
      *out = Outcome::kReject;
      return true;
    case VD_OUTCOME_EXPIRED:
      *out = Outcome::kExpired;
      return true;
    case VD_OUTCOME_CANCELLED:
      *out = Outcome::kCancelled;
      return true;
    default:
      *out = Outcome::kRetry;
      return false;
  }
}

absl::Duration ReadDelay(int64_t nanoseconds) {
  return absl::Nanoseconds(std::clamp<int64_t>(nanoseconds, 0, kMaxDelayNs));
}

}  // namespace viaduct
