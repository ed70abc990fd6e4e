#include "plugins/common/request_scanner.h"

#include <algorithm>
#include <cstdint>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/string_view.h"

namespace viaduct {
namespace {

constexpr size_t kMaxChunkLineBytes = 128;
constexpr size_t kMaxTrailerBytes = 8u << 10;

absl::string_view View(const std::string& buffer, size_t begin, size_t end) {
  return absl::string_view(buffer.data() + begin, end - begin);
}

// Programs differ in whether a CR or LF alone ends a line: one hides a field from another (RFC 9112
// section 2.2).
bool HasBareLineEnd(absl::string_view text, size_t begin) {
  constexpr size_t kNone = absl::string_view::npos;
  for (size_t lf = text.find('\n', begin); lf != kNone; lf = text.find('\n', lf + 1)) {
    if (lf == 0 || text[lf - 1] != '\r') return true;
  }
  for (size_t cr = text.find('\r', begin); cr != kNone; cr = text.find('\r', cr + 1)) {
    // At the very end its LF may still come.
    if (cr + 1 < text.size() && text[cr + 1] != '\n') return true;
  }
  return false;
}

}  // namespace

ScanRefusal RefusalOf(ScanResult why) {
  switch (why) {
    case ScanResult::kBodyTooBig:
      return {413, "the body is larger than this server accepts"};
    case ScanResult::kHeaderTooBig:
      return {431, "the header is larger than this server accepts"};
    default:
      return {400, "the request is not well-formed HTTP/1.1"};
  }
}

void RequestScanner::Reset() {
  looked_at_ = lines_at_ = header_end_ = body_end_ = content_length_ = chunk_at_ = trailer_begin_ =
      chunk_bytes_ = 0;
  has_length_ = chunked_ = in_trailer_ = expects_continue_ = false;
}

bool RequestScanner::TakeExpectsContinue() { return std::exchange(expects_continue_, false); }

ScanResult RequestScanner::Scan(std::string& buffer) {
  if (header_end_ == 0) {
    const ScanResult header = ScanHeader(buffer);
    if (header != ScanResult::kComplete) return header;
  }
  if (chunked_) return ScanChunks(buffer);
  body_end_ = header_end_ + content_length_;
  return buffer.size() >= body_end_ ? ScanResult::kComplete : ScanResult::kNeedMore;
}

ScanResult RequestScanner::ScanHeader(std::string& buffer) {
  const size_t from = looked_at_ > 3 ? looked_at_ - 3 : 0;
  const size_t end = buffer.find("\r\n\r\n", from);
  // Looked for before the end is there: with bare line ends it would never come.
  const size_t known = end == std::string::npos ? buffer.size() : end + 4;
  if (HasBareLineEnd(View(buffer, 0, known), lines_at_)) return ScanResult::kBadRequest;
  lines_at_ = known - (known > 0 && buffer[known - 1] == '\r' ? 1 : 0);
  if (end == std::string::npos) {
    looked_at_ = buffer.size();
    return buffer.size() > limits_.max_header_bytes ? ScanResult::kHeaderTooBig
                                                    : ScanResult::kNeedMore;
  }
  if (end > limits_.max_header_bytes) return ScanResult::kHeaderTooBig;
  header_end_ = end + 4;
  size_t line = buffer.find("\r\n");
  // Different programs read a NUL differently.
  if (View(buffer, 0, end).find('\0') != absl::string_view::npos) return ScanResult::kBadRequest;
  size_t fields = 0;
  while (line < end) {
    if (++fields > limits_.max_header_fields) return ScanResult::kHeaderTooBig;
    const size_t begin = line + 2;
    line = buffer.find("\r\n", begin);
    const ScanResult field = ReadField(buffer, begin, line);
    if (field != ScanResult::kComplete) return field;
  }
  if (chunked_ && has_length_) return ScanResult::kBadRequest;
  if (content_length_ > limits_.max_body_bytes) return ScanResult::kBodyTooBig;
  chunk_at_ = header_end_;
  return ScanResult::kComplete;
}

ScanResult RequestScanner::ReadField(std::string& buffer, size_t begin, size_t end) {
  const absl::string_view line = View(buffer, begin, end);
  if (line.empty() || line[0] == ' ' || line[0] == '\t') return ScanResult::kBadRequest;
  const size_t colon = line.find(':');
  if (colon == absl::string_view::npos || colon == 0) return ScanResult::kBadRequest;
  const absl::string_view name = line.substr(0, colon);
  if (absl::ascii_isspace(static_cast<unsigned char>(name.back()))) return ScanResult::kBadRequest;
  const absl::string_view value = absl::StripAsciiWhitespace(line.substr(colon + 1));
  if (absl::EqualsIgnoreCase(name, "content-length")) {
    uint64_t length = 0;
    const bool digits = !value.empty() && std::all_of(value.begin(), value.end(), [](char c) {
      return absl::ascii_isdigit(static_cast<unsigned char>(c));
    });
    if (has_length_ || !digits) return ScanResult::kBadRequest;
    if (!absl::SimpleAtoi(value, &length)) return ScanResult::kBodyTooBig;
    has_length_ = true;
    content_length_ = length;
  } else if (absl::EqualsIgnoreCase(name, "transfer-encoding")) {
    if (chunked_ || !absl::EqualsIgnoreCase(value, "chunked")) return ScanResult::kBadRequest;
    chunked_ = true;
  } else if (absl::EqualsIgnoreCase(name, "expect")) {
    expects_continue_ = absl::EqualsIgnoreCase(value, "100-continue");
    if (expects_continue_) buffer.replace(begin, 6, "X-Seen");
  }
  return ScanResult::kComplete;
}

ScanResult RequestScanner::ScanChunks(const std::string& buffer) {
  // Many tiny chunks cost framing: that is bounded too.
  if (buffer.size() - header_end_ > 2 * limits_.max_body_bytes + kMaxTrailerBytes)
    return ScanResult::kBodyTooBig;
  while (true) {
    const size_t end = buffer.find("\r\n", chunk_at_);
    if (end == std::string::npos) {
      const size_t limit = in_trailer_ ? kMaxTrailerBytes : kMaxChunkLineBytes;
      return buffer.size() - std::min(buffer.size(), chunk_at_) > limit ? ScanResult::kBadRequest
                                                                        : ScanResult::kNeedMore;
    }
    const absl::string_view line = View(buffer, chunk_at_, end);
    if (in_trailer_) {
      chunk_at_ = end + 2;
      if (chunk_at_ - trailer_begin_ > kMaxTrailerBytes) return ScanResult::kBadRequest;
      if (!line.empty()) continue;
      body_end_ = chunk_at_;
      return ScanResult::kComplete;
    }
    const absl::string_view digits = line.substr(0, line.find_first_of("; \t"));
    uint64_t size = 0;
    if (line.size() > kMaxChunkLineBytes || digits.empty() || digits.size() > 15 ||
        !absl::SimpleHexAtoi(digits, &size) || digits[0] == '+' || digits[0] == '-' ||
        absl::StartsWithIgnoreCase(digits, "0x"))
      return ScanResult::kBadRequest;
    if (size > limits_.max_body_bytes || chunk_bytes_ + size > limits_.max_body_bytes)
      return ScanResult::kBodyTooBig;
    if (size == 0) {
      in_trailer_ = true;
      chunk_at_ = trailer_begin_ = end + 2;
      continue;
    }
    const size_t next = end + 2 + size;
    if (buffer.size() < next + 2) return ScanResult::kNeedMore;
    if (buffer[next] != '\r' || buffer[next + 1] != '\n') return ScanResult::kBadRequest;
    chunk_bytes_ += size;
    chunk_at_ = next + 2;
  }
}

}  // namespace viaduct
