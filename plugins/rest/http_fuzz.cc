// libFuzzer entry: any octets on a connection. The scanner must say the same however they are cut
// up, must never claim more than there is, and what it calls complete must survive cpp-httplib.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "plugins/common/http_engine.h"
#include "plugins/common/request_scanner.h"
#include "plugins/rest/http_reply.h"

namespace {

using viaduct::RequestScanner;
using viaduct::ScanLimits;
using viaduct::ScanResult;

constexpr size_t kMaxBodyBytes = 4096;

void Require(bool condition) {
  if (!condition) std::abort();
}

// What the scanner says when `piece` octets arrive at a time.
ScanResult ScanInPieces(const std::string& text, size_t piece, std::string* buffer, size_t* bytes) {
  RequestScanner scanner(ScanLimits{/*max_header_bytes=*/2048, kMaxBodyBytes});
  ScanResult result = ScanResult::kNeedMore;
  for (size_t at = 0; at < text.size() && result == ScanResult::kNeedMore; at += piece) {
    buffer->append(text, at, piece);
    result = scanner.Scan(*buffer);
  }
  *bytes = result == ScanResult::kComplete ? scanner.request_bytes() : 0;
  return result;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  std::string buffer;
  std::string whole_buffer;
  size_t bytes = 0;
  size_t whole_bytes = 0;
  const ScanResult result = ScanInPieces(text, 1, &buffer, &bytes);
  const ScanResult whole =
      ScanInPieces(text, std::max<size_t>(size, 1), &whole_buffer, &whole_bytes);
  // In pieces a limit may be seen earlier; a request that is complete is the same either way.
  if (result == ScanResult::kComplete) {
    Require(whole == ScanResult::kComplete && whole_bytes == bytes && bytes <= buffer.size());
    viaduct::HttpEngine engine(kMaxBodyBytes, [](int) {});
    const viaduct::ParsedRequest parsed = engine.Parse(buffer.data(), bytes);
    Require(parsed.request.body.size() <= kMaxBodyBytes);
    if (parsed.wants_range)
      engine.AnswerWithRange(buffer.data(), bytes, {200, {{"content-type", "a/b"}}, "0123456789"});
  }
  for (const int status : {200, 400, 413, 503}) {
    const viaduct::rest::HttpAnswer answer{status, text, text};
    viaduct::rest::JudgeEnvelopes(answer, {"a"});
    viaduct::rest::JudgeEnvelopes(answer, {"a", "b"});
    viaduct::rest::JudgeFlat(answer);
  }
  return 0;
}
