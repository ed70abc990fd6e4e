// Who a peer is, once its credentials have been checked, and in what part it acts.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace viaduct::security {

enum class PrincipalKind : uint8_t { kDevice, kUser, kTool, kLocalPeer };

// A device is beside the order of the others: it sees and sends what is its own, nothing else.
enum class Role : uint8_t { kDevice, kViewer, kOperator, kAdmin };

enum class Proof : uint8_t {
  kApiKey,
  kToken,
  kPassword,
  kCertificate,
  kUnixPeer,
  kBroker,   // A broker that the configuration trusts has looked.
  kInHouse,  // A part of the node.
  kLogin,    // A page of the node, on which it has signed in with a password.
};

// Parts of what a role may do. A credential can be narrower than its role, never wider.
enum class Scope : uint8_t {
  kIngest,   // Hand over detections, health reports, envelopes, registrations.
  kRead,     // Look at what is stored and how the node is.
  kFiles,    // Hand over files, look at transfers.
  kEdit,     // Change what is stored: events, devices, the blacklist.
  kControl,  // Give and take commands; start, stop and drain.
  kManage,   // Configuration, plugins, log levels, keys.
};
inline constexpr int kScopeCount = 6;

// A set of scopes. Thread-compatible.
class ScopeSet {
 public:
  static constexpr ScopeSet All() { return ScopeSet((1u << kScopeCount) - 1); }
  static constexpr ScopeSet None() { return ScopeSet(0); }
  // A number that was kept; bits that mean nothing are left out.
  static constexpr ScopeSet FromBits(uint32_t bits) { return ScopeSet(bits & All().bits_); }

  void Add(Scope scope) { bits_ |= 1u << static_cast<unsigned>(scope); }
  bool Has(Scope scope) const { return (bits_ >> static_cast<unsigned>(scope) & 1u) != 0; }
  uint32_t bits() const { return bits_; }
  bool operator==(const ScopeSet& other) const { return bits_ == other.bits_; }

 private:
  explicit constexpr ScopeSet(uint32_t bits) : bits_(bits) {}
  uint32_t bits_;
};

std::string_view PrincipalKindName(PrincipalKind kind);  // "device", "user", "tool", "local peer"
std::string_view RoleName(Role role);                    // "device", "viewer", "operator", "admin"
std::string_view ProofName(Proof proof);
std::string_view ScopeName(Scope scope);
absl::StatusOr<Role> ParseRole(std::string_view name);
// Words apart by blanks or commas. INVALID_ARGUMENT names the word that is no scope.
absl::StatusOr<ScopeSet> ParseScopes(std::string_view words);
std::string ScopeNames(ScopeSet scopes);  // "ingest read"; "" for none.

inline constexpr size_t kMaxPrincipalIdBytes = 128;  // As of every id on the wire.
inline constexpr size_t kMaxDevicePatterns = 64;     // Of one principal.

struct Principal {
  PrincipalKind kind = PrincipalKind::kUser;
  std::string id;  // Of a device its device id.
  Role role = Role::kViewer;
  ScopeSet scopes = ScopeSet::All();
  // Devices that one of role `device` speaks for beside itself, as a hub does: an id, or the
  // beginning of ids with "*" behind it.
  std::vector<std::string> devices;
  Proof proof = Proof::kApiKey;
  std::string proof_id;  // Id of the key, kid, fingerprint: which of its credentials it was.
  absl::Time expires = absl::InfiniteFuture();

  // False for "" and for what is no id.
  bool SpeaksFor(std::string_view device) const;
  // "device CAM001 (api key 3k2j...)": for logs and the audit, never a secret.
  std::string Describe() const;
};

// The node where it asks itself, and the server at the other end of a road of its own, which may
// command it: role admin. Never null.
std::shared_ptr<const Principal> NodeItself();
std::shared_ptr<const Principal> OwnServer();

// An id is 1 to 128 octets of UTF-8 without control characters; patterns are bounded likewise.
absl::Status CheckPrincipal(const Principal& principal);

}  // namespace viaduct::security
