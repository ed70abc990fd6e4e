// The way to a broker whose name has several addresses.
//
// libmosquitto connects without waiting to the first address that the kernel does not refuse on the
// spot, and takes no other when that one fails. So the next connection is begun here and takes the
// place of the failed one under libmosquitto's descriptor, which has not written to it yet.
#pragma once

#include <sys/socket.h>

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "plugins/mqtt/broker_address.h"

namespace viaduct::mqtt {

inline constexpr size_t kMaxAddresses = 16;  // Of one name; further ones are not tried.

struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t size = 0;
};

// In the order in which the system prefers them, IPv6 and IPv4. Waits for the resolver.
std::vector<SocketAddress> ResolveBroker(const BrokerAddress& broker);

// Thread-compatible.
class BrokerSocket {
 public:
  using ResolveFn = std::vector<SocketAddress> (*)(const BrokerAddress&);
  // The first address has been begun with `now_ns`; all together have until `deadline_ns`.
  BrokerSocket(BrokerAddress broker, ResolveFn resolve, int64_t now_ns, int64_t deadline_ns);

  // True: `fd`, which was made for an earlier address, is now connecting to the next one. False:
  // there is none left, what `fd` does is the last word.
  bool TryNext(int fd, int64_t now_ns);
  // Then the next address is due, though this one has not failed.
  int64_t next_at_ns() const { return next_at_ns_; }

 private:
  const BrokerAddress broker_;
  const ResolveFn resolve_;
  const int64_t deadline_ns_;
  int64_t next_at_ns_;
  bool resolved_ = false;
  std::vector<SocketAddress> addresses_;
  size_t next_ = 1;  // libmosquitto has had the first.
};

}  // namespace viaduct::mqtt
