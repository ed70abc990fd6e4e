// Why a call failed: a code, where in the config, and a text for people.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>

#include "viaduct/abi/base.h"

namespace viaduct::sdk {

// The numbers of google.rpc.Code. The code says what the caller should do.
enum class Code : int32_t {
  kOk = VD_OK,
  kCancelled = VD_CANCELLED,
  kUnknown = VD_UNKNOWN,
  kInvalidArgument = VD_INVALID_ARGUMENT,  // Fix the input.
  kDeadlineExceeded = VD_DEADLINE_EXCEEDED,
  kNotFound = VD_NOT_FOUND,
  kAlreadyExists = VD_ALREADY_EXISTS,
  kPermissionDenied = VD_PERMISSION_DENIED,
  kResourceExhausted = VD_RESOURCE_EXHAUSTED,    // Slow down.
  kFailedPrecondition = VD_FAILED_PRECONDITION,  // Fix the state.
  kAborted = VD_ABORTED,
  kOutOfRange = VD_OUT_OF_RANGE,
  kUnimplemented = VD_UNIMPLEMENTED,
  kInternal = VD_INTERNAL,        // A bug of the one who returns it.
  kUnavailable = VD_UNAVAILABLE,  // Try again later.
  kDataLoss = VD_DATA_LOSS,
  kUnauthenticated = VD_UNAUTHENTICATED,
};

// Thread-compatible. OK costs no allocation. The message is for people, names the subject first,
// "listen: port 80, permission denied", and holds no secret.
class [[nodiscard]] Status {
 public:
  Status() = default;
  Status(Code code, std::string message) : code_(code), message_(std::move(message)) {}
  // `pointer` is a JSON pointer into the instance's config.
  Status(Code code, std::string pointer, std::string message)
      : code_(code), pointer_(std::move(pointer)), message_(std::move(message)) {}
  // A code of the other party; what this side does not know counts as unknown.
  static Status FromCode(int32_t code, std::string_view what) {
    if (code == VD_OK) return {};
    const bool known = code > VD_OK && code <= VD_UNAUTHENTICATED;
    return Status(known ? static_cast<Code>(code) : Code::kUnknown, std::string(what));
  }

  bool ok() const { return code_ == Code::kOk; }
  Code code() const { return code_; }
  int32_t raw_code() const { return static_cast<int32_t>(code_); }
  const std::string& pointer() const { return pointer_; }
  const std::string& message() const { return message_; }

 private:
  Code code_ = Code::kOk;
  std::string pointer_;
  std::string message_;
};

inline Status OkStatus() { return {}; }
inline Status InvalidArgument(std::string message) {
  return Status(Code::kInvalidArgument, std::move(message));
}
// For Configure: what is wrong at `pointer`, which the schema could not say.
inline Status InvalidConfig(std::string pointer, std::string message) {
  return Status(Code::kInvalidArgument, std::move(pointer), std::move(message));
}
inline Status NotFound(std::string message) { return Status(Code::kNotFound, std::move(message)); }
inline Status ResourceExhausted(std::string message) {
  return Status(Code::kResourceExhausted, std::move(message));
}
inline Status FailedPrecondition(std::string message) {
  return Status(Code::kFailedPrecondition, std::move(message));
}
inline Status DeadlineExceeded(std::string message) {
  return Status(Code::kDeadlineExceeded, std::move(message));
}
inline Status Unimplemented(std::string message) {
  return Status(Code::kUnimplemented, std::move(message));
}
inline Status Unavailable(std::string message) {
  return Status(Code::kUnavailable, std::move(message));
}
inline Status Internal(std::string message) { return Status(Code::kInternal, std::move(message)); }

namespace internal {

// Copies text with a closing NUL, cut before `capacity` at the beginning of a UTF-8 character.
inline void CopyText(std::string_view text, char* out, size_t capacity) {
  size_t size = text.size() < capacity ? text.size() : capacity - 1;
  if (size < text.size()) {
    while (size > 0 && (static_cast<unsigned char>(text[size]) & 0xC0u) == 0x80u) --size;
  }
  if (size > 0) std::memcpy(out, text.data(), size);
  out[size] = '\0';
}

// Fills the caller's vd_error, as far as the caller's is large.
inline void FillError(vd_error* error, int32_t code, std::string_view pointer,
                      std::string_view message) {
  if (error == nullptr) return;
  const uint32_t capacity = error->struct_size;
  vd_error mine;
  mine.struct_size = capacity;
  mine.code = code;
  CopyText(pointer, mine.pointer, sizeof(mine.pointer));
  CopyText(message, mine.message, sizeof(mine.message));
  std::memcpy(static_cast<void*>(error), &mine, capacity < sizeof(mine) ? capacity : sizeof(mine));
}

}  // namespace internal
}  // namespace viaduct::sdk

// Returns the Status of an expression from the enclosing function unless it is OK.
#define VIADUCT_RETURN_IF_ERROR(expression)               \
  do {                                                    \
    ::viaduct::sdk::Status viaduct_status = (expression); \
    if (!viaduct_status.ok()) return viaduct_status;      \
  } while (false)
