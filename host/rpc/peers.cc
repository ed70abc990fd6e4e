#include "host/rpc/peers.h"

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"

namespace viaduct::rpc {

void Peers::Add(int descriptor, uid_t uid, pid_t pid) {
  absl::MutexLock lock(&mutex_);
  by_descriptor_[descriptor] = absl::StrCat("uid ", uid, " (pid ", pid, ")");
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
  const std::string peer = context.peer();
  absl::string_view number = peer;
  int descriptor = -1;
  // Connections that were accepted by the node itself are named by their descriptor.
  if (absl::ConsumePrefix(&number, "fd:") && absl::SimpleAtoi(number, &descriptor)) {
    absl::MutexLock lock(&mutex_);
    auto found = by_descriptor_.find(descriptor);
    if (found != by_descriptor_.end()) return found->second;
  }
  return peer;
}

}  // namespace viaduct::rpc
