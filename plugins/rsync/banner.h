// Is the server there? One connection, as far as its greeting.
#pragma once

#include <netdb.h>

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"

namespace viaduct::rsync {

// Lives on one thread.
class Banner {
 public:
  // `greeting` is how the server's first line begins. The resolver may take its time.
  Banner(const std::string& host, int port, std::string greeting);
  Banner(const Banner&) = delete;
  Banner& operator=(const Banner&) = delete;
  ~Banner();

  int fd() const { return fd_; }
  int16_t events() const;  // As poll has them.
  // Goes on without waiting. True: it is over, status() says how.
  bool Advance();
  const absl::Status& status() const { return status_; }
  size_t received() const { return heard_.size(); }

 private:
  static constexpr size_t kMaxGreetingBytes = 256;
  struct Free {
    void operator()(addrinfo* list) const { freeaddrinfo(list); }
  };
  void TryNext();
  bool Fail(const std::string& why);

  const std::string greeting_;
  const std::string subject_;
  std::unique_ptr<addrinfo, Free> list_;
  const addrinfo* next_ = nullptr;
  int fd_ = -1;
  bool connected_ = false;
  std::string heard_;
  absl::Status status_;
};

}  // namespace viaduct::rsync
