// The sinks of a node that the host puts together.
#pragma once

#include <atomic>
#include <vector>

#include "core/lpr/sink.h"
#include "core/spool/spool.h"

namespace viaduct {

// The sink of an edge: into the spool, answered when synced. Thread-safe.
class UplinkSink final : public Sink {
 public:
  explicit UplinkSink(Spool* spool) : spool_(spool) {}
  void Accept(std::vector<Envelope> batch, AcceptFn done) override;

 private:
  Spool* const spool_;
};

// Lets messages through until it is closed; then refuses them with UNAVAILABLE. Thread-safe.
class GateSink final : public Sink {
 public:
  explicit GateSink(Sink* sink) : sink_(sink) {}
  void Close() { closed_.store(true); }
  void Accept(std::vector<Envelope> batch, AcceptFn done) override;

 private:
  Sink* const sink_;
  std::atomic<bool> closed_{false};
};

}  // namespace viaduct
