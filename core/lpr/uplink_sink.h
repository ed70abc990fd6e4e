// The sink of an edge node: the spool, from which the gateway sends on.
#pragma once

#include "core/lpr/sink.h"
#include "core/spool/spool.h"

namespace viaduct {

// Thread-safe. A message is accepted when it is synced to the spool's disk. The id of a result is
// the one under which the server will store it.
class UplinkSink final : public Sink {
 public:
  // The spool must outlive the sink.
  explicit UplinkSink(Spool* spool) : spool_(spool) {}

  void Accept(std::vector<Arrival> batch, AcceptFn done) override;

 private:
  Spool* const spool_;
};

}  // namespace viaduct
