// Some messages of a batch go on, others are refused before: their answers are put together again.
#pragma once

#include <cstddef>
#include <memory>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "core/lpr/sink.h"

namespace viaduct {

// Thread-compatible. Each place of the batch is passed or refused once.
class PartialBatch {
 public:
  explicit PartialBatch(size_t size)
      : results_(std::make_shared<std::vector<AcceptResult>>(size)) {}

  void Pass(size_t place, Arrival arrival) {
    places_.push_back(place);
    passed_.push_back(std::move(arrival));
  }
  void Refuse(size_t place, absl::Status status) { (*results_)[place].status = std::move(status); }

  // Those that go on, in order.
  std::vector<Arrival> Take() { return std::move(passed_); }
  // Takes the results of those, and gives `done` those of the whole batch.
  Sink::AcceptFn Joined(Sink::AcceptFn done) {
    return [results = results_, places = std::move(places_),
            done = std::move(done)](std::vector<AcceptResult> accepted) {
      for (size_t i = 0; i < places.size(); ++i) (*results)[places[i]] = std::move(accepted[i]);
      done(std::move(*results));
    };
  }

 private:
  // With the function that Joined gives.
  const std::shared_ptr<std::vector<AcceptResult>> results_;
  std::vector<size_t> places_;
  std::vector<Arrival> passed_;
};

}  // namespace viaduct
