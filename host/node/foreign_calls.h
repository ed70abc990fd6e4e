// A gate for the services that gRPC brings itself, reflection and channelz: their handlers are not
// ours and cannot ask.
#pragma once

#include <grpcpp/server_builder.h>

#include "host/rpc/gate.h"

namespace viaduct {

// A call that is refused is cancelled before it can answer: interceptors cannot give it a status.
// `gate` outlives the server.
void GuardForeignCalls(rpc::Gate* gate, grpc::ServerBuilder* builder);

}  // namespace viaduct
