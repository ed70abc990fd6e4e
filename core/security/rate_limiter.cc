#include "core/security/rate_limiter.h"

#include <arpa/inet.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "core/base/sha256.h"
#include "core/base/string_view.h"
#include "core/message/json_scanner.h"
#include "core/security/secret_octets.h"

namespace viaduct::security {
namespace {

constexpr size_t kMaxNameBytes = 128;
constexpr size_t kIpv6Bytes = 16;
constexpr size_t kIpv6NetworkBytes = 8;
constexpr size_t kIpv4InIpv6Offset = 12;

// "192.0.2.7:51234" -> "192.0.2.7", "[2001:db8::1]:51234" -> "2001:db8::1".
std::string_view WithoutPort(std::string_view peer) {
  if (!peer.empty() && peer.front() == '[') {
    const size_t end = peer.find(']');
    return end == std::string_view::npos ? peer : peer.substr(1, end - 1);
  }
  const size_t colon = peer.find(':');
  const bool one =
      colon != std::string_view::npos && peer.find(':', colon + 1) == std::string_view::npos;
  return one ? peer.substr(0, colon) : peer;
}

std::string_view Cut(std::string_view name) { return name.substr(0, kMaxNameBytes); }

}  // namespace

std::string AddressKey(std::string_view peer_address) {
  const std::string host(Cut(WithoutPort(peer_address)));
  std::array<unsigned char, kIpv6Bytes> octets{};
  if (inet_pton(AF_INET, host.c_str(), octets.data()) == 1) return host;
  const std::string bare = host.substr(0, host.find('%'));  // Without its zone.
  if (inet_pton(AF_INET6, bare.c_str(), octets.data()) != 1) return std::string(Cut(peer_address));
  const auto* text = reinterpret_cast<const char*>(octets.data());
  constexpr std::array<unsigned char, kIpv4InIpv6Offset> kMapped = {0, 0, 0, 0, 0,    0,
                                                                    0, 0, 0, 0, 0xff, 0xff};
  if (std::equal(kMapped.begin(), kMapped.end(), octets.begin())) {
    std::array<char, INET_ADDRSTRLEN> out{};
    inet_ntop(AF_INET, octets.data() + kIpv4InIpv6Offset, out.data(), out.size());
    return out.data();
  }
  return "net " + HexOf(std::string_view(text, kIpv6NetworkBytes));
}

std::string IdentityKey(const Principal& principal) {
  return Sha256(absl::StrCat(static_cast<int>(principal.kind), " ", principal.id.size(), ":",
                             principal.id, " ", static_cast<int>(principal.proof), " ",
                             principal.proof_id));
}

RateLimiter::RateLimiter(const RateLimits& limits, const Clock* clock)
    : clock_(clock),
      tables_{BucketTable(limits.device, limits.max_buckets),
              BucketTable(limits.credential, limits.max_buckets),
              BucketTable(limits.address, limits.max_buckets),
              BucketTable(limits.failure, limits.max_buckets)} {}

absl::Status RateLimiter::Refuse(std::string_view what, absl::Duration wait,
                                 absl::Duration* retry_after) {
  ++refused_;
  *retry_after = std::max(absl::Ceil(wait, absl::Seconds(1)), absl::Seconds(1));
  return absl::ResourceExhaustedError(absl::StrCat(AbslView(what),
                                                   ": too many requests, come again in ",
                                                   absl::ToInt64Seconds(*retry_after), " s"));
}

absl::Status RateLimiter::Admit(const Comer& comer, double cost, absl::Duration* retry_after) {
  const std::string address = comer.address.empty() ? "" : AddressKey(comer.address);
  const std::array<std::string_view, 3> names = {Cut(comer.device), Cut(comer.credential), address};
  constexpr std::array<std::string_view, 3> kWhat = {"device", "credential", "address"};
  const int64_t now_ns = clock_->MonotonicNanos();
  absl::MutexLock lock(&mutex_);
  for (size_t i = 0; i < names.size(); ++i) {
    if (names[i].empty()) continue;
    const absl::Duration wait = tables_[i].WaitFor(names[i], cost, now_ns);
    if (wait > absl::ZeroDuration()) return Refuse(kWhat[i], wait, retry_after);
  }
  for (size_t i = 0; i < names.size(); ++i) {
    if (!names[i].empty()) tables_[i].Take(names[i], cost, now_ns);
  }
  return absl::OkStatus();
}

absl::Status RateLimiter::AdmitAttempt(std::string_view address, absl::Duration* retry_after) {
  const std::string name = AddressKey(address);
  absl::MutexLock lock(&mutex_);
  const absl::Duration wait = tables_[kFailure].WaitFor(name, 1, clock_->MonotonicNanos());
  if (wait > absl::ZeroDuration()) return Refuse("credentials", wait, retry_after);
  return absl::OkStatus();
}

void RateLimiter::NoteFailure(std::string_view address) {
  const std::string name = AddressKey(address);
  const int64_t now_ns = clock_->MonotonicNanos();
  absl::MutexLock lock(&mutex_);
  tables_[kFailure].Take(name, 1, now_ns);
  tables_[kAddress].Take(name, kFailureCost, now_ns);
}

uint64_t RateLimiter::refused() const {
  absl::MutexLock lock(&mutex_);
  return refused_;
}

}  // namespace viaduct::security
