// Where accepted messages go: an edge node has the uplink (spool and gateway), a server the store,
// a site hub both.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "core/lpr/payload.h"
#include "core/message/envelope.h"
#include "core/store/records.h"

namespace viaduct {

// The members of a message that encryption changes.
struct SealedForm {
  std::string payload_json;
  std::string extra_json;  // Of the metadata.
};

// A message on its way into the sink.
struct Arrival {
  // NOLINTNEXTLINE(google-explicit-constructor): an envelope is one, of which nothing was read.
  Arrival(Envelope message) : envelope(std::move(message)) {}
  Arrival(Envelope message, DetectionPayload read)
      : envelope(std::move(message)), detection(std::move(read)) {}

  Envelope envelope;
  // What ReadDetection found in envelope.payload_json, its images kept, when somebody had to read
  // it before; the sink need not read it again.
  std::optional<DetectionPayload> detection;
  // What it was before this node opened it, where it is also sent on: nobody between seals for
  // somebody else.
  std::optional<SealedForm> sealed;
};

struct AcceptResult {
  absl::Status status;     // OK: durable. Otherwise as Store::Append; the text is for the sender.
  bool duplicate = false;  // It was durable before this call; nothing changed.
  std::string id;          // detection_id or health_id, the same on every node; "" when refused.
  std::vector<PlateAlert> alerts;  // Plates of a new detection that are on this node's blacklist.
};

// Thread-safe.
class Sink {
 public:
  using AcceptFn = std::function<void(std::vector<AcceptResult>)>;

  virtual ~Sink() = default;

  // Takes valid envelopes (ParseEnvelope, ValidateEnvelope or the application made them). `done`
  // gets one result per envelope, in order, exactly once, when each is durable or refused; on any
  // thread, possibly before Accept returns. It must not block. A bad envelope fails alone.
  virtual void Accept(std::vector<Arrival> batch, AcceptFn done) = 0;
};

}  // namespace viaduct
