#include "core/lpr/store_sink.h"

#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "core/base/string_view.h"
#include "core/store/image_data.h"

namespace viaduct {

// One valid message of a batch on its way into the store.
struct StoreSink::Item {
  size_t index = 0;  // In the batch.
  IngestedMessage message;
  bool images_written = false;
  bool holds_key = false;  // Its key is in in_flight_.
  MessageKey key{};
  ImagePaths paths;
  std::optional<FileAnnouncement> file;  // That the message tells of.
};

struct StoreSink::Batch {
  std::vector<AcceptResult> results;
  std::vector<Item> items;
  bool has_images = false;
  AcceptFn done;
};

namespace {

void AddNote(std::string_view where, const absl::Status& what, std::string* note) {
  absl::StrAppend(note, note->empty() ? "" : "; ", AbslView(where), ": ", what.message());
}

// The decoded image, or nothing and a note on the record.
std::optional<Image> Decode(const std::string& text, std::string_view where, size_t max_bytes,
                            std::string* note) {
  absl::StatusOr<Image> image = DecodeImage(text, max_bytes);
  if (image.ok()) return std::move(*image);
  AddNote(where, image.status(), note);
  return std::nullopt;
}

}  // namespace

StoreSink::StoreSink(StoreSinkOptions options, Store* store, ImageFolder* images,
                     const Clock* clock, Log* log)
    : options_(std::move(options)),
      store_(store),
      images_(images),
      clock_(clock),
      log_(log),
      pool_(ThreadPool::Options{"images", options.image_threads, options.max_queued_images}) {}

StoreSink::~StoreSink() {
  {
    const absl::MutexLock lock(&mutex_);
    mutex_.Await(absl::Condition(
        +[](int64_t* unanswered) { return *unanswered == 0; }, &unanswered_));
  }
  pool_.Stop();
}

void StoreSink::Begin() {
  const absl::MutexLock lock(&mutex_);
  ++unanswered_;
}

void StoreSink::End() {
  const absl::MutexLock lock(&mutex_);
  --unanswered_;
}

void StoreSink::Accept(std::vector<Arrival> batch, AcceptFn done) {
  auto work = std::make_shared<Batch>();
  work->done = std::move(done);
  Begin();
  Prepare(std::move(batch), work.get());
  if (!work->has_images) {
    StoreBatch(work);
    return;
  }
  const bool queued = pool_.Submit([this, work] {
    WriteImages(work.get());
    StoreBatch(work);
  });
  if (!queued) Refuse(work.get(), absl::UnavailableError("images: busy, too many wait"));
}

void StoreSink::Prepare(std::vector<Arrival> arrivals, Batch* batch) const {
  const absl::Time arrived = clock_->Now();
  PayloadOptions payload;
  payload.naive_zone = options_.naive_zone;
  payload.max_bytes = options_.max_message_bytes;
  batch->results.resize(arrivals.size());
  batch->items.reserve(arrivals.size());
  for (size_t i = 0; i < arrivals.size(); ++i) {
    if (options_.passes_encrypted && arrivals[i].envelope.metadata.encryption) {
      NoteUnreadable(arrivals[i].envelope);
      batch->results[i].id = FormatKey(KeyOf(arrivals[i].envelope));
      continue;
    }
    absl::StatusOr<IngestedMessage> message =
        IngestMessage(std::move(arrivals[i]), arrived, payload);
    if (!message.ok()) {
      batch->results[i].status = message.status();
      continue;
    }
    batch->has_images = batch->has_images || message->has_images;
    Item item;
    item.index = i;
    item.message = std::move(*message);
    batch->items.push_back(std::move(item));
  }
}

// Told once a node's life: it is a matter of configuration, and every message would say the same.
void StoreSink::NoteUnreadable(const Envelope& envelope) const {
  if (unreadable_.fetch_add(1) > 0) return;
  log_->Warning("store", "encrypted messages pass by and are not stored, this node has no key",
                {{"message_id", envelope.message_id}, {"device", envelope.edge_device_id}});
}

void StoreSink::WriteImages(Batch* batch) {
  std::vector<Item> kept;
  kept.reserve(batch->items.size());
  for (Item& item : batch->items) {
    auto* record = std::get_if<DetectionRecord>(&item.message.record);
    if (record != nullptr && item.message.has_images) {
      const absl::Status status = WriteItemImages(*batch, &item, record);
      if (!status.ok()) {
        batch->results[item.index].status = status;
        continue;
      }
    }
    kept.push_back(std::move(item));
  }
  batch->items = std::move(kept);
}

absl::Status StoreSink::WriteItemImages(const Batch& batch, Item* item, DetectionRecord* record) {
  if (images_ == nullptr) {
    AddNote("images", absl::UnavailableError("this node keeps none"), &record->note);
    return absl::OkStatus();
  }
  item->key = record->key;
  bool write = false;
  VD_RETURN_IF_ERROR(ClaimKey(batch, item, &write));
  if (!write) return absl::OkStatus();
  absl::StatusOr<ImagePaths> paths = DecodeAndWrite(item->message, record);
  if (!paths.ok()) {
    ReleaseKey(item);
    return paths.status();
  }
  item->images_written = true;
  item->paths = *paths;
  record->image_path = paths->annotated;
  for (PlateRead& plate : record->plates) {
    if (plate.place < paths->plates.size()) plate.image_path = paths->plates[plate.place];
  }
  record->plate_images = std::move(paths->plates);
  return absl::OkStatus();
}

// *write: nobody else writes the images of this detection, and they are not stored yet.
absl::Status StoreSink::ClaimKey(const Batch& batch, Item* item, bool* write) {
  {
    const absl::MutexLock lock(&mutex_);
    item->holds_key = in_flight_.insert(item->key).second;
  }
  if (!item->holds_key) {
    for (const Item& other : batch.items) {
      // The same message twice in one batch: the second will be a duplicate.
      if (&other != item && other.holds_key && other.key == item->key) return absl::OkStatus();
    }
    return absl::UnavailableError(
        absl::StrCat("store: the same message is being stored, ", FormatKey(item->key)));
  }
  const absl::StatusOr<bool> stored = store_->HasDetection(item->key);
  if (!stored.ok()) {
    // Written again under the same names, and then perhaps removed, might be the files of a row
    // that is there.
    ReleaseKey(item);
    return absl::UnavailableError(stored.status().message());
  }
  *write = !*stored;
  return absl::OkStatus();
}

void StoreSink::ReleaseKey(Item* item) {
  const absl::MutexLock lock(&mutex_);
  in_flight_.erase(item->key);
  item->holds_key = false;
}

absl::StatusOr<ImagePaths> StoreSink::DecodeAndWrite(const IngestedMessage& message,
                                                     DetectionRecord* record) {
  const size_t max_bytes = images_->options().max_image_bytes;
  std::optional<Image> annotated;
  if (!message.annotated_image.empty()) {
    annotated = Decode(message.annotated_image, "annotated_image", max_bytes, &record->note);
  }
  std::vector<std::optional<Image>> crops;
  for (const std::string& text : message.cropped_plates) {
    crops.push_back(text.empty() ? std::nullopt
                                 : Decode(text, absl::StrCat("cropped_plates/", crops.size()),
                                          max_bytes, &record->note));
  }
  if (!record->note.empty()) {
    log_->Debug("store", "an image was left out",
                {{"detection_id", FormatKey(record->key)}, {"note", record->note}});
  }
  DetectionImages images;
  images.key = record->key;
  images.camera_id = record->camera_id;
  images.checkpoint_id = record->checkpoint_id;
  images.captured_at = record->captured_at;
  images.annotated = annotated.has_value() ? &*annotated : nullptr;
  for (const auto& crop : crops) images.plates.push_back(crop.has_value() ? &*crop : nullptr);
  return images_->Write(images);
}

void StoreSink::StoreBatch(const BatchPtr& batch) {
  std::vector<StoreRecord> records;
  records.reserve(batch->items.size());
  for (Item& item : batch->items) {
    const auto* file = std::get_if<FileTransferRecord>(&item.message.record);
    if (file != nullptr) item.file = AnnouncementOf(*file);
    records.push_back(std::move(item.message.record));
  }
  store_->Append(std::move(records), [this, batch](std::vector<AppendResult> stored) {
    Finish(batch.get(), std::move(stored));
  });
}

void StoreSink::Finish(Batch* batch, std::vector<AppendResult> stored) {
  for (size_t i = 0; i < batch->items.size(); ++i) {
    Item& item = batch->items[i];
    AppendResult& result = stored[i];
    // UNAVAILABLE leaves open whether the row is there: the files stay until the message comes
    // again or ImageFolder::CleanUp decides. The row of a duplicate may name the very same files.
    if (item.images_written && result.status.ok()) {
      images_->Committed(item.key);
    } else if (item.images_written && result.status.code() != absl::StatusCode::kUnavailable) {
      images_->Discard(item.key, item.paths);
    }
    if (item.holds_key) ReleaseKey(&item);
    if (item.file.has_value() && result.status.ok() && options_.announced) {
      options_.announced(*item.file, result.duplicate);
    }
    batch->results[item.index] = AcceptResult{std::move(result.status), result.duplicate,
                                              std::move(result.id), std::move(result.alerts)};
  }
  batch->done(std::move(batch->results));
  End();
}

void StoreSink::Refuse(Batch* batch, const absl::Status& status) {
  for (const Item& item : batch->items) batch->results[item.index].status = status;
  batch->done(std::move(batch->results));
  End();
}

}  // namespace viaduct
