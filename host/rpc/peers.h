// Who is at the other end of a connection: the process behind a Unix socket, or the owner of a
// client certificate.
#pragma once

#include <grpcpp/server_context.h>
#include <sys/types.h>

#include <optional>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"

namespace viaduct::rpc {

struct UnixPeer {
  uid_t uid = 0;
  pid_t pid = 0;
};

// Thread-safe. Holds one entry for each descriptor number, so it is as large as the most
// connections there have been at once.
class Peers {
 public:
  // A connection was accepted; a later one with the same number takes its place.
  void Add(int descriptor, UnixPeer peer);

  // Nothing: it came by TCP.
  std::optional<UnixPeer> OnSocket(const grpc::ServerContextBase& context) const;

  // "uid 0 (pid 4711)", "cert edge-admin", or gRPC's own words.
  std::string Describe(const grpc::ServerContextBase& context) const;

 private:
  mutable absl::Mutex mutex_;
  absl::flat_hash_map<int, UnixPeer> by_descriptor_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace viaduct::rpc
