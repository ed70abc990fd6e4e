// What the two ends of an MQTT road say of messages: many envelopes in one payload, and the
// server's answer to each.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "absl/time/time.h"

namespace viaduct::mqtt {

// How a server has answered one message.
enum class AckWord {
  kStored,  // "stored", "processed"
  kDuplicate,
  kRejected,
  kLater,  // Anything else: no proof of either.
};

struct Ack {
  std::string message_id;
  AckWord word = AckWord::kLater;
  std::string error;                                  // The server's words, cut.
  absl::Duration retry_after = absl::ZeroDuration();  // With kLater.
};

// The answers in a payload of lpr/ack/{device_id}: one object or an array of them. What is none is
// left out; false when the payload is no JSON or holds none at all.
bool ReadAcks(std::string_view payload, std::vector<Ack>* acks);

// The message id in the answer to a command; "" where it has none.
std::string ReadMessageId(std::string_view payload);

// One envelope as it is, several as an array.
std::string JoinEnvelopes(const std::vector<std::string_view>& envelopes);

// What a node tells of itself beside its status; "" is left out.
struct NodeFacts {
  std::string hostname;
  std::string version;
};

// The facts in what a node says to a server that it has found: {"hostname"?, "version"?, ...}.
NodeFacts ReadFacts(std::string_view introduction);

// {"device_id":...,"status":...,"timestamp":...} and the facts, retained on
// system/status/{device_id}. `wall_ns` 0: without a timestamp, for a will that is written before
// the time is known.
std::string StatusPayload(std::string_view device_id, std::string_view status, long long wall_ns,
                          const NodeFacts& facts = {});

}  // namespace viaduct::mqtt
