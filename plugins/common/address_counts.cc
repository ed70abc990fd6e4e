#include "plugins/common/address_counts.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <array>
#include <cstring>

namespace viaduct {

std::string CountedAddress(const std::string& address) {
  constexpr size_t kSiteOctets = 8;
  constexpr size_t kMappedPrefix = 12;
  in6_addr v6{};
  // An interface may be named behind a link-local address.
  const std::string bare = address.substr(0, address.find('%'));
  if (inet_pton(AF_INET6, bare.c_str(), &v6) != 1) return address;
  std::array<char, INET6_ADDRSTRLEN> text{};
  if (IN6_IS_ADDR_V4MAPPED(&v6)) {
    inet_ntop(AF_INET, &v6.s6_addr[kMappedPrefix], text.data(), text.size());
    return text.data();
  }
  std::memset(&v6.s6_addr[kSiteOctets], 0, sizeof(v6) - kSiteOctets);
  inet_ntop(AF_INET6, &v6, text.data(), text.size());
  return text.data();
}

std::string AddressOfPeer(const std::string& peer) {
  const size_t colon = peer.rfind(':');
  if (colon == std::string::npos) return peer;
  if (peer.front() != '[') return peer.substr(0, colon);
  return peer.substr(1, colon > 2 ? colon - 2 : 0);
}

bool AddressCounts::Add(const std::string& counted) {
  size_t& count = counts_[counted];
  if (count >= most_) return false;
  ++count;
  return true;
}

void AddressCounts::Remove(const std::string& counted) {
  const auto found = counts_.find(counted);
  if (found != counts_.end() && --found->second == 0) counts_.erase(found);
}

}  // namespace viaduct
