// Finds where the HTTP/1.1 request at the front of a buffer ends (RFC 9112 sections 2, 6 and 7),
// so that a request is handed to a worker only when all of it is there: a slow sender costs a
// buffer, never a thread. The meaning of the request is left to cpp-httplib.
#pragma once

#include <cstddef>
#include <string>

namespace viaduct {

struct ScanLimits {
  size_t max_header_bytes = 32u << 10;  // Request line and header fields together.
  size_t max_body_bytes = 32u << 20;
  size_t max_header_fields = 200;
};

enum class ScanResult {
  kNeedMore,
  kComplete,      // request_bytes() octets from the front are one request.
  kBadRequest,    // 400: framing that could be read in two ways, or not at all.
  kHeaderTooBig,  // 431
  kBodyTooBig,    // 413
};

// What a listener answers to what it cannot take.
struct ScanRefusal {
  int status;
  const char* reason;
};
ScanRefusal RefusalOf(ScanResult why);

// Thread-compatible. One scanner per connection; Reset after each request.
class RequestScanner {
 public:
  explicit RequestScanner(const ScanLimits& limits) : limits_(limits) {}

  // Looks at what is new in `buffer` since the last call. `buffer` may be changed in one way: a
  // field "Expect: 100-continue" is renamed, since the caller answers it (see expects_continue).
  ScanResult Scan(std::string& buffer);

  // With kComplete.
  size_t request_bytes() const { return body_end_; }
  // True once, when the header asked for an interim 100 response that is still to be sent.
  bool TakeExpectsContinue();
  bool header_complete() const { return header_end_ != 0; }
  void Reset();

 private:
  ScanResult ScanHeader(std::string& buffer);
  ScanResult ReadField(std::string& buffer, size_t begin, size_t end);
  ScanResult ScanChunks(const std::string& buffer);

  const ScanLimits limits_;
  size_t looked_at_ = 0;   // No end of header before this offset.
  size_t lines_at_ = 0;    // No bare CR or LF before this one.
  size_t header_end_ = 0;  // First octet of the body; 0 while unknown.
  size_t body_end_ = 0;    // Without chunks: where the request ends.
  size_t content_length_ = 0;
  bool has_length_ = false;
  bool chunked_ = false;
  bool in_trailer_ = false;
  size_t chunk_at_ = 0;  // Next chunk-size line (or trailer line).
  size_t trailer_begin_ = 0;
  size_t chunk_bytes_ = 0;  // Data octets so far.
  bool expects_continue_ = false;
};

}  // namespace viaduct
