// Reads HTTP/1.1 responses from a stream of bytes. Just enough for load generation, and strict:
// anything unexpected is an error, never a guess.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace viaduct::support {

inline constexpr size_t kMaxResponseBytes = 64u << 20;

// Thread-compatible.
class HttpResponseReader {
 public:
  enum class State { kMore, kDone, kBroken };

  // Takes bytes as they come. After kDone, `rest` bytes at the end of `bytes` were not used.
  State Feed(std::string_view bytes, size_t* rest);
  void Reset();

  int status() const { return status_; }
  bool keep_alive() const { return keep_alive_; }
  const std::string& body() const { return body_; }
  // Seconds of Retry-After, -1 when absent.
  int retry_after() const { return retry_after_; }

 private:
  bool ParseHead(std::string_view head);
  bool ParseField(std::string_view name, std::string_view value);
  State TakeChunks();

  std::string buffer_;
  std::string body_;
  size_t length_ = 0;
  int status_ = 0;
  int retry_after_ = -1;
  bool has_head_ = false;
  bool chunked_ = false;
  bool keep_alive_ = true;
};

}  // namespace viaduct::support
