#include "host/node/uplink_sink.h"

#include <algorithm>
#include <memory>
#include <string>
#include <utility>

#include "core/store/message_key.h"

namespace viaduct {
namespace {

void RefuseAll(size_t count, const absl::Status& status, const Sink::AcceptFn& done) {
  AcceptResult refused;
  refused.status = status;
  done(std::vector<AcceptResult>(count, refused));
}

}  // namespace

void UplinkSink::Accept(std::vector<Envelope> batch, AcceptFn done) {
  const size_t count = batch.size();
  auto ids = std::make_shared<std::vector<std::string>>();
  ids->reserve(count);
  for (const auto& envelope : batch) {
    ids->push_back(FormatKey(
        MakeMessageKey(envelope.message_id, envelope.edge_device_id, envelope.timestamp)));
  }
  absl::Status taken =
      spool_->Append(std::move(batch), [ids, done](std::vector<absl::Status> statuses) {
        std::vector<AcceptResult> results(ids->size());
        for (size_t i = 0; i < results.size(); ++i) {
          results[i].status =
              i < statuses.size() ? statuses[i] : absl::InternalError("spool: no result came");
          if (results[i].status.ok()) results[i].id = std::move((*ids)[i]);
        }
        done(std::move(results));
      });
  if (!taken.ok()) RefuseAll(count, taken, done);
}

void GateSink::Accept(std::vector<Envelope> batch, AcceptFn done) {
  if (closed_.load()) {
    RefuseAll(batch.size(), absl::UnavailableError("node: draining, takes no new messages"), done);
    return;
  }
  sink_->Accept(std::move(batch), std::move(done));
}

}  // namespace viaduct
