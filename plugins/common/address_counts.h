// How many connections each address has, so that one cannot have them all.
#pragma once

#include <cstddef>
#include <string>
#include <unordered_map>

namespace viaduct {

// What counts as one address: an IPv4 address, or the /64 that a site of IPv6 is given. `address`
// is "192.0.2.7", "2001:db8::7"; anything else counts as itself.
std::string CountedAddress(const std::string& address);
// The address in "192.0.2.7:51234" and "[2001:db8::7]:51234".
std::string AddressOfPeer(const std::string& peer);

// Thread-compatible.
class AddressCounts {
 public:
  explicit AddressCounts(size_t most) : most_(most) {}

  // False: it has as many as it may.
  bool Add(const std::string& counted);
  // One of those that were added has gone.
  void Remove(const std::string& counted);

 private:
  const size_t most_;
  std::unordered_map<std::string, size_t> counts_;  // No more than there are connections.
};

}  // namespace viaduct
