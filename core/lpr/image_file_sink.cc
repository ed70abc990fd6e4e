#include "core/lpr/image_file_sink.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/crash_point.h"
#include "core/base/status_macros.h"
#include "core/base/string_view.h"
#include "core/lpr/ingest.h"
#include "core/store/image_data.h"

namespace viaduct {
namespace {

// `.../detection_<id>.jpg`, `.../plate_<id>_<n>.jpg`, as in the image folder of a server.
std::string FileName(const Envelope& envelope, const MessageKey& key, const PayloadImage& image,
                     std::string_view extension) {
  const bool plate = image.kind == kPlateImageKind;
  return absl::StrCat(absl::FormatTime("%E4Y/%m/%d/", envelope.timestamp, absl::UTCTimeZone()),
                      plate ? "plate_" : "detection_", FormatKey(key),
                      plate ? absl::StrCat("_", image.index) : "", AbslView(extension));
}

FileRequest RequestOf(const Envelope& envelope, const MessageKey& key, const PayloadImage& image,
                      std::string_view extension) {
  FileRequest request;
  request.id = ImageTransferId(key, image.kind, image.index);
  request.device = envelope.edge_device_id;
  request.name = FileName(envelope, key, image, extension);
  request.priority = envelope.metadata.priority;
  request.kind = std::string(image.kind);
  request.index = image.index;
  request.message_id = envelope.message_id;
  request.captured = envelope.timestamp;
  return request;
}

// Images of what is encrypted, or goes on as it came, stay where they are.
bool MayHaveImages(const Arrival& arrival) {
  return arrival.envelope.data_type == DataType::kDetection &&
         !arrival.envelope.metadata.encryption && !arrival.sealed.has_value();
}

// The file is there for this message and will come to the server, or has come.
bool Carries(const Transfer& transfer, const Envelope& envelope) {
  return transfer.message_id == envelope.message_id && transfer.device == envelope.edge_device_id &&
         transfer.state != TransferState::kFailed && transfer.state != TransferState::kCancelled;
}

}  // namespace

std::string ImageTransferId(const MessageKey& key, std::string_view kind, uint32_t index) {
  const std::string text = absl::StrCat("image_file/", AbslView(kind), "/", index);
  return FormatKey(MakeMessageKey(text, FormatKey(key), absl::UnixEpoch()));
}

struct ImageFileSink::Batch {
  bool by_file = false;
  std::vector<Arrival> arrivals;
  size_t bytes = 0;
  AcceptFn done;
};

// What became of the images of one message. Owned by who waits for them and by the answers.
struct ImageFileSink::Uploads {
  struct One {
    size_t place = 0;
    absl::StatusOr<Transfer> transfer = absl::UnknownError("no answer yet");
  };
  absl::Mutex mutex;
  size_t missing ABSL_GUARDED_BY(mutex) = 0;
  std::vector<One> all ABSL_GUARDED_BY(mutex);

  void Begin() {
    const absl::MutexLock lock(&mutex);
    ++missing;
  }
  void End(size_t place, absl::StatusOr<Transfer> transfer) {
    const absl::MutexLock lock(&mutex);
    all.push_back({place, std::move(transfer)});
    --missing;
  }
  void Wait() {
    const absl::MutexLock lock(&mutex);
    mutex.Await(absl::Condition(
        +[](size_t* left) { return *left == 0; }, &missing));
    std::sort(all.begin(), all.end(), [](const One& a, const One& b) { return a.place < b.place; });
  }
};

ImageFileSink::ImageFileSink(ImageFileOptions options, Deps deps)
    : options_(options),
      deps_(std::move(deps)),
      pool_(ThreadPool::Options{"image-files", options.threads, options.max_waiting}) {}

ImageFileSink::~ImageFileSink() {
  {
    const absl::MutexLock lock(&mutex_);
    mutex_.Await(absl::Condition(
        +[](int64_t* unanswered) { return *unanswered == 0; }, &unanswered_));
  }
  pool_.Stop();
}

bool ImageFileSink::by_file() const {
  const absl::MutexLock lock(&mutex_);
  return by_file_;
}

uint64_t ImageFileSink::files() const {
  const absl::MutexLock lock(&mutex_);
  return files_;
}

// Files from poor on, until it is good: between the two, and with nothing measured, it stays as it
// was.
bool ImageFileSink::Choose() {
  if (options_.route == ImageRoute::kInline) return false;
  const ImageNetwork network = deps_.network ? deps_.network() : ImageNetwork();
  bool by_file = options_.route == ImageRoute::kFile;
  bool changed = false;
  {
    const absl::MutexLock lock(&mutex_);
    if (network.quality == LinkQuality::kPoor) poor_ = true;
    if (network.quality >= LinkQuality::kGood) poor_ = false;
    if (!by_file) by_file = poor_ && network.file_road && !network.full;
    changed = std::exchange(by_file_, by_file) != by_file;
  }
  if (changed) {
    deps_.log->Info("images", by_file ? "go as files from now on" : "go in their messages again",
                    {{"network", std::string(LinkQualityName(network.quality))},
                     {"file_road", network.file_road ? "ready" : "none"},
                     {"file_queue", network.full ? "full" : "free"}});
  }
  return by_file;
}

bool ImageFileSink::Reserve(size_t bytes) {
  const absl::MutexLock lock(&mutex_);
  if (waiting_bytes_ > 0 && waiting_bytes_ + bytes > options_.max_waiting_bytes) return false;
  waiting_bytes_ += bytes;
  ++unanswered_;
  return true;
}

void ImageFileSink::Release(size_t bytes) {
  const absl::MutexLock lock(&mutex_);
  waiting_bytes_ -= bytes;
  --unanswered_;
}

void ImageFileSink::Accept(std::vector<Arrival> batch, AcceptFn done) {
  size_t bytes = 0;
  for (const Arrival& arrival : batch) {
    const Envelope& envelope = arrival.envelope;
    // Base64 is longer than what it stands for: a shorter payload has no image that would leave it.
    if (!MayHaveImages(arrival)) continue;
    if (envelope.payload_json.size() >= options_.from_bytes) bytes += envelope.payload_json.size();
  }
  if (bytes == 0) return deps_.next->Accept(std::move(batch), std::move(done));
  const bool by_file = Choose();
  // What has files already is looked for where there are any.
  const bool look = options_.route == ImageRoute::kAuto && deps_.transfers->Counts().any();
  if (!by_file && !look) return deps_.next->Accept(std::move(batch), std::move(done));
  auto work = std::make_shared<Batch>();
  work->by_file = by_file;
  work->arrivals = std::move(batch);
  work->bytes = bytes;
  work->done = std::move(done);
  const bool reserved = Reserve(bytes);
  if (reserved && pool_.Submit([this, work] { Work(work.get()); })) return;
  if (reserved) Release(bytes);
  if (options_.route == ImageRoute::kAuto) {
    return deps_.next->Accept(std::move(work->arrivals), std::move(work->done));
  }
  AcceptResult refused;
  refused.status = absl::UnavailableError("images: busy, too many wait to be written");
  work->done(std::vector<AcceptResult>(work->arrivals.size(), refused));
}

// A message that came before, and whose images went as files then, must not bring them again.
bool ImageFileSink::HasFiles(const Envelope& envelope) const {
  const MessageKey key = KeyOf(envelope);
  return deps_.transfers->Get(ImageTransferId(key, kVehicleImageKind, 0)).ok() ||
         deps_.transfers->Get(ImageTransferId(key, kPlateImageKind, 0)).ok();
}

// The images of a message first, then the message: whoever finds it finds them.
void ImageFileSink::Work(Batch* batch) {
  auto results = std::make_shared<std::vector<AcceptResult>>(batch->arrivals.size());
  std::vector<Arrival> passed;
  std::vector<size_t> places;
  for (size_t i = 0; i < batch->arrivals.size(); ++i) {
    Arrival& arrival = batch->arrivals[i];
    Envelope& envelope = arrival.envelope;
    const bool cut = MayHaveImages(arrival) &&
                     envelope.payload_json.size() >= options_.from_bytes &&
                     (batch->by_file || HasFiles(envelope));
    if (cut) (*results)[i].status = CutImages(&envelope);
    if (!(*results)[i].status.ok()) continue;
    arrival.detection.reset();  // Read from what the payload was.
    places.push_back(i);
    passed.push_back(std::move(arrival));
  }
  batch->arrivals.clear();
  const auto finish = [this, results, bytes = batch->bytes, done = std::move(batch->done)]() {
    done(std::move(*results));
    Release(bytes);
  };
  if (passed.empty()) return finish();
  deps_.next->Accept(std::move(passed), [results, places = std::move(places),
                                         finish](std::vector<AcceptResult> accepted) {
    VD_CRASH_POINT("image_files.message.after");
    for (size_t i = 0; i < places.size(); ++i) (*results)[places[i]] = std::move(accepted[i]);
    finish();
  });
}

// OK: what of its images is not in the queue of files is still in the message.
absl::Status ImageFileSink::CutImages(Envelope* envelope) {
  JsonScanLimits limits;
  limits.max_bytes = options_.max_message_bytes;
  PayloadImages images(envelope->payload_json, limits);
  // As it is: the server says what it thinks of it.
  if (!images.Find().ok()) return absl::OkStatus();
  const MessageKey key = KeyOf(*envelope);
  const auto uploads = std::make_shared<Uploads>();
  VD_CRASH_POINT("image_files.before");
  for (size_t i = 0; i < images.all().size(); ++i) {
    Upload(*envelope, key, images.all()[i], i, uploads);
  }
  uploads->Wait();
  VD_CRASH_POINT("image_files.after");
  std::vector<ImageFileEntry> files;
  VD_RETURN_IF_ERROR(Judge(*envelope, images, uploads.get(), &files));
  if (files.empty()) return absl::OkStatus();
  envelope->payload_json = images.Without(files);
  const absl::MutexLock lock(&mutex_);
  files_ += files.size();
  return absl::OkStatus();
}

// One image at a time is decoded; what is none, and what is small, stays where it is.
void ImageFileSink::Upload(const Envelope& envelope, const MessageKey& key,
                           const PayloadImage& image, size_t place,
                           const std::shared_ptr<Uploads>& uploads) {
  if (image.json.size() < options_.from_bytes) return;
  std::string holder;
  const absl::StatusOr<Image> decoded =
      DecodeImage(PayloadImages::TextOf(image, &holder), options_.max_image_bytes);
  if (!decoded.ok() || decoded->bytes.size() < options_.from_bytes) return;
  uploads->Begin();
  auto upload = deps_.transfers->BeginUpload(RequestOf(envelope, key, image, decoded->extension));
  absl::Status status = upload.status();
  if (status.ok()) status = (*upload)->Write(decoded->bytes);
  if (!status.ok()) return uploads->End(place, std::move(status));
  VD_CRASH_POINT("image_files.written");
  (*upload)->Finish(decoded->bytes.size(), "",
                    [uploads, place](absl::StatusOr<TransferQueue::Added> added) {
                      if (!added.ok()) return uploads->End(place, added.status());
                      uploads->End(place, std::move(added->transfer));
                    });
}

// An error: the message is refused, its sender keeps it and sends it again.
absl::Status ImageFileSink::Judge(const Envelope& envelope, const PayloadImages& images,
                                  Uploads* uploads, std::vector<ImageFileEntry>* files) const {
  const absl::MutexLock lock(&uploads->mutex);
  for (Uploads::One& one : uploads->all) {
    if (one.transfer.ok() && Carries(*one.transfer, envelope)) {
      files->push_back({one.place, std::move(one.transfer->remote_name), one.transfer->size,
                        std::move(one.transfer->sha256), std::move(one.transfer->id)});
      continue;
    }
    const absl::Status& why = one.transfer.status();
    // Its id was used for something else before, or its device can have no folder: no other try
    // would change that.
    const bool stays = one.transfer.ok() || absl::IsAlreadyExists(why) ||
                       absl::IsInvalidArgument(why) || options_.route == ImageRoute::kAuto;
    if (!stays) return why;
    deps_.log->Debug(
        "images", "one stays in its message",
        {{"message_id", envelope.message_id},
         {"kind", std::string(images.all()[one.place].kind)},
         {"reason", one.transfer.ok() ? "its file does not come" : StdView(why.message())}});
  }
  return absl::OkStatus();
}

}  // namespace viaduct
