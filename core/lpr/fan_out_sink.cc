#include "core/lpr/fan_out_sink.h"

#include <memory>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace viaduct {
namespace {

// What every sink said so far. Owned by the callbacks of all sinks.
struct Gathering {
  absl::Mutex mutex;
  size_t missing ABSL_GUARDED_BY(mutex) = 0;
  std::vector<std::vector<AcceptResult>> by_sink ABSL_GUARDED_BY(mutex);
  Sink::AcceptFn done;
};

// A refusal for good is worse than one for now.
int Badness(const absl::Status& status) {
  if (status.ok()) return 0;
  const bool transient = status.code() == absl::StatusCode::kUnavailable ||
                         status.code() == absl::StatusCode::kResourceExhausted;
  return transient ? 1 : 2;
}

AcceptResult Merge(const std::vector<std::vector<AcceptResult>>& by_sink, size_t index) {
  AcceptResult merged = by_sink.front()[index];
  for (size_t sink = 1; sink < by_sink.size(); ++sink) {
    const AcceptResult& other = by_sink[sink][index];
    if (Badness(other.status) > Badness(merged.status)) merged.status = other.status;
    merged.duplicate = merged.duplicate && other.duplicate;
    if (merged.alerts.empty()) merged.alerts = other.alerts;
  }
  return merged;
}

}  // namespace

FanOutSink::FanOutSink(std::vector<Sink*> sinks) : sinks_(std::move(sinks)) {}

void FanOutSink::Accept(std::vector<Arrival> batch, AcceptFn done) {
  const size_t count = batch.size();
  auto gathering = std::make_shared<Gathering>();
  gathering->done = std::move(done);
  {
    const absl::MutexLock lock(&gathering->mutex);
    gathering->missing = sinks_.size();
    gathering->by_sink.resize(sinks_.size());
  }
  const auto gather = [&gathering, count](size_t i) {
    return [gathering, i, count](std::vector<AcceptResult> results) {
      std::vector<AcceptResult> merged;
      {
        const absl::MutexLock lock(&gathering->mutex);
        gathering->by_sink[i] = std::move(results);
        if (--gathering->missing > 0) return;
        for (size_t n = 0; n < count; ++n) merged.push_back(Merge(gathering->by_sink, n));
      }
      gathering->done(std::move(merged));
    };
  };
  for (size_t i = 0; i + 1 < sinks_.size(); ++i) sinks_[i]->Accept(batch, gather(i));
  if (!sinks_.empty()) sinks_.back()->Accept(std::move(batch), gather(sinks_.size() - 1));
}

}  // namespace viaduct
