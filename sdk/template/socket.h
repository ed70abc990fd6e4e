// Descriptors that close themselves, and a connection that can be waited for.
#pragma once

#include <string>
#include <utility>

#include "options.h"

namespace line_json {

// One descriptor, or none. Thread-compatible.
class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Descriptor();
  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }

 private:
  int fd_ = -1;
};

// Connects, waiting at most the connect time-out, or until `interrupt` becomes readable. An empty
// Descriptor and the reason in *why where that fails.
Descriptor Connect(const Options& options, int interrupt, std::string* why);

}  // namespace line_json
