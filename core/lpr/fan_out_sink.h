// Several sinks at once: a site hub that stores and forwards.
#pragma once

#include <vector>

#include "core/lpr/sink.h"

namespace viaduct {

// Thread-safe. A message is accepted when every sink has accepted it; otherwise the worst status is
// the result, and the sender's next try is a duplicate for the sinks that have it already.
class FanOutSink final : public Sink {
 public:
  // The sinks must outlive it; at least one. The id of the first sink is the result's.
  explicit FanOutSink(std::vector<Sink*> sinks);

  void Accept(std::vector<Arrival> batch, AcceptFn done) override;

 private:
  const std::vector<Sink*> sinks_;
};

}  // namespace viaduct
