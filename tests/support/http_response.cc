#include "tests/support/http_response.h"

#include <strings.h>

#include <cstdlib>

#include "absl/strings/numbers.h"
#include "absl/strings/string_view.h"

namespace viaduct::support {
namespace {

constexpr size_t kMaxHeadBytes = 64 << 10;

std::string_view Trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

bool SameName(std::string_view a, std::string_view b) {
  return a.size() == b.size() && strncasecmp(a.data(), b.data(), a.size()) == 0;
}

template <typename Number>
bool ToNumber(std::string_view text, Number* out) {
  return absl::SimpleAtoi(absl::string_view(text.data(), text.size()), out);
}

}  // namespace

void HttpResponseReader::Reset() {
  buffer_.clear();
  body_.clear();
  length_ = 0;
  status_ = 0;
  retry_after_ = -1;
  has_head_ = chunked_ = false;
  keep_alive_ = true;
}

bool HttpResponseReader::ParseField(std::string_view name, std::string_view value) {
  if (SameName(name, "content-length")) {
    uint64_t n = 0;
    if (!ToNumber(value, &n) || n > kMaxResponseBytes) return false;
    length_ = n;
  } else if (SameName(name, "transfer-encoding")) {
    chunked_ = SameName(value, "chunked");
    return chunked_;
  } else if (SameName(name, "connection") && SameName(value, "close")) {
    keep_alive_ = false;
  } else if (SameName(name, "retry-after")) {
    return ToNumber(value, &retry_after_);
  }
  return true;
}

bool HttpResponseReader::ParseHead(std::string_view head) {
  const size_t line_end = head.find("\r\n");
  const std::string_view line = head.substr(0, line_end);
  if (line.size() < 12 || line.substr(0, 7) != "HTTP/1.") return false;
  if (!ToNumber(line.substr(9, 3), &status_) || status_ < 100) return false;
  if (line[7] == '0') keep_alive_ = false;
  while (!head.empty()) {
    const size_t end = head.find("\r\n");
    const std::string_view field = head.substr(0, end);
    const size_t colon = field.find(':');
    if (colon != std::string_view::npos && field.data() != line.data() &&
        !ParseField(field.substr(0, colon), Trim(field.substr(colon + 1)))) {
      return false;
    }
    if (end == std::string_view::npos) break;
    head.remove_prefix(end + 2);
  }
  return true;
}

HttpResponseReader::State HttpResponseReader::TakeChunks() {
  for (;;) {
    const size_t line = buffer_.find("\r\n");
    if (line == std::string::npos) {
      return buffer_.size() > 32 ? State::kBroken : State::kMore;
    }
    char* end = nullptr;
    const unsigned long size = std::strtoul(buffer_.c_str(), &end, 16);  // NOLINT: strtoul's type.
    if (end == buffer_.c_str() || size > kMaxResponseBytes) return State::kBroken;
    if (buffer_.size() < line + 2 + size + 2) return State::kMore;
    body_.append(buffer_, line + 2, size);
    buffer_.erase(0, line + 2 + size + 2);
    if (body_.size() > kMaxResponseBytes) return State::kBroken;
    if (size == 0) return State::kDone;
  }
}

HttpResponseReader::State HttpResponseReader::Feed(std::string_view bytes, size_t* rest) {
  *rest = 0;
  buffer_.append(bytes);
  while (!has_head_) {
    const size_t end = buffer_.find("\r\n\r\n");
    if (end == std::string::npos) {
      return buffer_.size() > kMaxHeadBytes ? State::kBroken : State::kMore;
    }
    if (!ParseHead(std::string_view(buffer_).substr(0, end))) return State::kBroken;
    buffer_.erase(0, end + 4);
    has_head_ = status_ >= 200;  // 1xx is followed by the real one.
  }
  if (chunked_) {
    const State state = TakeChunks();
    if (state == State::kDone) *rest = buffer_.size();
    return state;
  }
  if (buffer_.size() < length_) return State::kMore;
  *rest = buffer_.size() - length_;
  body_.assign(buffer_, 0, length_);
  return State::kDone;
}

}  // namespace viaduct::support
