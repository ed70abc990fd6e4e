#include "host/rpc/peers.h"

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"

namespace viaduct::rpc {

void Peers::Add(int descriptor, UnixPeer peer) {
  absl::MutexLock lock(&mutex_);
  by_descriptor_[descriptor] = peer;
}

// Connections that were accepted by the node itself are named by their descriptor.
std::optional<UnixPeer> Peers::OnSocket(const grpc::ServerContextBase& context) const {
  const std::string peer = context.peer();
  absl::string_view number = peer;
  int descriptor = -1;
  if (!absl::ConsumePrefix(&number, "fd:") || !absl::SimpleAtoi(number, &descriptor)) {
    return std::nullopt;
  }
  absl::MutexLock lock(&mutex_);
  const auto found = by_descriptor_.find(descriptor);
  return found == by_descriptor_.end() ? std::nullopt : std::optional(found->second);
}

std::string Peers::Describe(const grpc::ServerContextBase& context) const {
  auto auth = context.auth_context();
  if (auth != nullptr && auth->IsPeerAuthenticated()) {
    const auto identity = auth->GetPeerIdentity();
    if (!identity.empty()) {
      return absl::StrCat("cert ",
                          absl::string_view(identity.front().data(), identity.front().size()));
    }
  }
  const std::optional<UnixPeer> process = OnSocket(context);
  if (!process.has_value()) return context.peer();
  return absl::StrCat("uid ", process->uid, " (pid ", process->pid, ")");
}

}  // namespace viaduct::rpc
