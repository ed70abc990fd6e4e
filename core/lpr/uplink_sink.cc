#include "core/lpr/uplink_sink.h"

#include <memory>
#include <utility>

#include "core/lpr/ingest.h"

namespace viaduct {

void UplinkSink::Accept(std::vector<Arrival> batch, AcceptFn done) {
  auto results = std::make_shared<std::vector<AcceptResult>>(batch.size());
  std::vector<Envelope> envelopes;
  envelopes.reserve(batch.size());
  for (size_t i = 0; i < batch.size(); ++i) {
    (*results)[i].id = FormatKey(KeyOf(batch[i].envelope));
    envelopes.push_back(std::move(batch[i].envelope));
  }
  auto finish = std::make_shared<AcceptFn>(std::move(done));
  const absl::Status refused =
      spool_->Append(std::move(envelopes), [results, finish](std::vector<absl::Status> statuses) {
        for (size_t i = 0; i < results->size(); ++i) {
          AcceptResult& result = (*results)[i];
          result.status = std::move(statuses[i]);
          if (!result.status.ok()) result.id.clear();
        }
        (*finish)(std::move(*results));
      });
  if (refused.ok()) return;
  // Too much waits: that passes, unlike a full disk.
  const absl::Status told = refused.code() == absl::StatusCode::kResourceExhausted
                                ? absl::UnavailableError(refused.message())
                                : refused;
  for (AcceptResult& result : *results) result = AcceptResult{told, false, ""};
  (*finish)(std::move(*results));
}

}  // namespace viaduct
