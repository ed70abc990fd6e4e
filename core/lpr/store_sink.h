// The sink of a server: detections, health reports and registrations become rows and image files.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_set.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "core/base/clock.h"
#include "core/base/executor.h"
#include "core/lpr/ingest.h"
#include "core/lpr/sink.h"
#include "core/observe/log.h"
#include "core/receive/announcement.h"
#include "core/store/image_folder.h"
#include "core/store/store.h"

namespace viaduct {

struct StoreSinkOptions {
  absl::TimeZone naive_zone = absl::UTCTimeZone();
  size_t max_message_bytes = 32u << 20;  // Of a payload.
  int image_threads = 2;           // Decode, write and sync images; started with the first image.
  size_t max_queued_images = 256;  // Batches with images that wait for them; more are refused.
  // What is encrypted, and was not opened before, is not stored and not refused: another sink sends
  // it on. False: it is refused.
  bool passes_encrypted = false;
  // A file was told of, and that is durable; `known`: it was before. Any thread; must return at
  // once.
  std::function<void(const FileAnnouncement& announcement, bool known)> announced;
};

// Thread-safe. Messages without images go straight to the store's writer; those with images first
// pass the image threads, so that a sync of a large file never holds up a small message.
class StoreSink final : public Sink {
 public:
  // `images` may be null: images are then left out and noted on the record. All must outlive the
  // sink.
  StoreSink(StoreSinkOptions options, Store* store, ImageFolder* images, const Clock* clock,
            Log* log);
  // Waits until everything accepted is answered.
  ~StoreSink() override;

  void Accept(std::vector<Arrival> batch, AcceptFn done) override;

  uint64_t unreadable() const { return unreadable_.load(); }  // Encrypted ones that passed by.

 private:
  struct Batch;
  struct Item;
  using BatchPtr = std::shared_ptr<Batch>;

  void Prepare(std::vector<Arrival> arrivals, Batch* batch) const;
  void NoteUnreadable(const Envelope& envelope) const;
  void WriteImages(Batch* batch);
  absl::Status WriteItemImages(const Batch& batch, Item* item, DetectionRecord* record);
  absl::Status ClaimKey(const Batch& batch, Item* item, bool* write);
  absl::StatusOr<ImagePaths> DecodeAndWrite(const IngestedMessage& message,
                                            DetectionRecord* record);
  void ReleaseKey(Item* item);
  void StoreBatch(const BatchPtr& batch);
  void Finish(Batch* batch, std::vector<AppendResult> stored);
  void Refuse(Batch* batch, const absl::Status& status);
  void Begin();
  void End();

  const StoreSinkOptions options_;
  Store* const store_;
  ImageFolder* const images_;
  const Clock* const clock_;
  Log* const log_;
  mutable std::atomic<uint64_t> unreadable_{0};

  absl::Mutex mutex_;
  int64_t unanswered_ ABSL_GUARDED_BY(mutex_) = 0;
  // Detections whose images are on their way: two senders of one message must not mix their files.
  absl::flat_hash_set<MessageKey> in_flight_ ABSL_GUARDED_BY(mutex_);
  ThreadPool pool_;  // Last: its threads use the rest.
};

}  // namespace viaduct
