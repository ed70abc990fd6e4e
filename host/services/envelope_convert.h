// gateway.v1.Envelope <-> Envelope.
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include "core/base/clock.h"
#include "core/message/envelope.h"
#include "host/rpc/status.h"
#include "viaduct/gateway/v1/gateway.pb.h"

namespace viaduct {

// Thread-safe.
class EnvelopeReader {
 public:
  EnvelopeReader(std::string node_id, const Clock* clock)
      : node_id_(std::move(node_id)), clock_(clock) {}

  // Moves the texts out of `message` and fills in what may be absent. Adds what cannot be converted
  // to `violations`, with paths that begin with `field`. The texts themselves are not checked here:
  // whoever takes the envelope does that, once.
  Envelope Read(gateway::v1::Envelope* message, std::string_view field,
                rpc::Violations* violations) const;

 private:
  const std::string node_id_;
  const Clock* const clock_;
};

// False: no such value. Unspecified is normal.
bool ReadPriority(gateway::v1::Priority priority, Priority* out);
gateway::v1::Priority ToProto(Priority priority);

// The path of what a refusal of the core ("envelope: /metadata/priority: ...") is about, below
// `field`.
std::string FieldOfRefusal(std::string_view text, std::string_view field);

// What the sender is told. A message over a limit of the codec (RESOURCE_EXHAUSTED "envelope: ...")
// will never be taken, so it must not look like "try again later".
absl::Status ForSender(absl::Status status);

// "" where it cannot be.
std::string StructToJson(const google::protobuf::Struct& value);

// The payload goes out as text.
gateway::v1::Envelope ToProto(const Envelope& envelope);

}  // namespace viaduct
