#include "host/node/gate_sink.h"

#include <utility>

namespace viaduct {

void GateSink::Accept(std::vector<Arrival> batch, AcceptFn done) {
  if (!closed_.load()) {
    sink_->Accept(std::move(batch), std::move(done));
    return;
  }
  AcceptResult refused;
  refused.status = absl::UnavailableError("node: draining, takes no new messages");
  done(std::vector<AcceptResult>(batch.size(), refused));
}

}  // namespace viaduct
