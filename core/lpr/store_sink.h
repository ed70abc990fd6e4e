// The sink of a server: detections, health reports and registrations become rows and image files.
#pragma once

#include <memory>

#include "absl/time/time.h"
#include "core/base/clock.h"
#include "core/base/executor.h"
#include "core/lpr/sink.h"
#include "core/observe/log.h"
#include "core/store/image_folder.h"
#include "core/store/store.h"

namespace viaduct {

struct StoreSinkOptions {
  absl::TimeZone naive_zone = absl::UTCTimeZone();
  int image_threads = 2;           // Decode, write and sync images; started with the first image.
  size_t max_queued_images = 256;  // Batches with images that wait for them; more are refused.
};

// Thread-safe. Messages without images go straight to the store's writer; those with images first
// pass the image threads, so that a sync of a large file never holds up a small message.
class StoreSink final : public Sink {
 public:
  // `images` may be null: images are then left out and noted on the record. All must outlive the
  // sink. The store must complete its appends before the sink is destroyed (destroy the store
  // first, or stop all callers and wait for their replies).
  StoreSink(StoreSinkOptions options, Store* store, ImageFolder* images, const Clock* clock,
            Log* log);
  ~StoreSink() override;

  void Accept(std::vector<Envelope> batch, AcceptFn done) override;

 private:
  struct Batch;

  const StoreSinkOptions options_;
  Store* const store_;
  ImageFolder* const images_;
  const Clock* const clock_;
  Log* const log_;
};

}  // namespace viaduct
