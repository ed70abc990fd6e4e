// Who may use the node, and the keys of what it encrypts.
#include <optional>
#include <utility>

#include "core/base/status_macros.h"
#include "core/config/encryption_options.h"
#include "core/lpr/sealing.h"
#include "core/security/at_rest.h"
#include "core/security/key_ring.h"
#include "host/node/node.h"

namespace viaduct {

absl::Status Node::OpenAccess() {
  Access::Deps deps;
  deps.clock = &foundation_->clock;
  deps.log = foundation_->log.get();
  deps.health = &health_;
  deps.metrics = &metrics_;
  deps.timers = &timers_;
  deps.writes = &pools_.keeper;
  VD_ASSIGN_OR_RETURN(access_, Access::Open(foundation_->config, deps));
  return absl::OkStatus();
}

absl::Status Node::OpenKeys() {
  const NodeConfig& config = foundation_->config;
  const std::optional<EncryptionOptionsConfig> encryption = ReadEncryptionOptions(config);
  if (!encryption.has_value()) return absl::OkStatus();
  VD_ASSIGN_OR_RETURN(security::KeyRing keys, security::KeyRing::Load(encryption->keys));
  keys_ = std::make_shared<const security::KeyRing>(std::move(keys));
  spool_cipher_ = std::make_unique<security::RecordCipher>(*keys_, "spool");
  SealingOptions options;
  options.seal = encryption->seal;
  options.accept_unbound = encryption->accept_unbound;
  options.forwards = config.node.sink_uplink;
  if (config.limits.max_message_bytes > 0) {
    options.max_message_bytes = config.limits.max_message_bytes;
  }
  sealing_ = std::make_unique<Sealing>(options, keys_);
  return absl::OkStatus();
}

}  // namespace viaduct
