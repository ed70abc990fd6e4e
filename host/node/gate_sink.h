// A sink that can be closed while the node drains.
#pragma once

#include <atomic>
#include <vector>

#include "core/lpr/sink.h"

namespace viaduct {

// Lets messages through until it is closed; then refuses them with UNAVAILABLE. Thread-safe.
class GateSink final : public Sink {
 public:
  // `sink` outlives the gate.
  explicit GateSink(Sink* sink) : sink_(sink) {}
  void Close() { closed_.store(true); }
  void Accept(std::vector<Arrival> batch, AcceptFn done) override;

 private:
  Sink* const sink_;
  std::atomic<bool> closed_{false};
};

}  // namespace viaduct
