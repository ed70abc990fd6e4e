// What stands before the uplink of an edge node: images of detections leave the message and go to
// the server as files, always or while the network is poor. See docs/TRANSFERS.md.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "core/base/executor.h"
#include "core/gateway/link_quality.h"
#include "core/lpr/payload_images.h"
#include "core/lpr/sink.h"
#include "core/observe/log.h"
#include "core/store/message_key.h"
#include "core/transfer/transfers.h"

namespace viaduct {

enum class ImageRoute : uint8_t {
  kInline,  // In the message.
  kFile,    // As files; a detection whose images the queue of files does not take is refused.
  kAuto,    // As files while the network is poor, where that can be.
};

struct ImageFileOptions {
  ImageRoute route = ImageRoute::kInline;
  uint64_t from_bytes = 8u << 10;        // Smaller images stay in the message.
  size_t max_image_bytes = 16u << 20;    // As the server takes them; larger ones stay, too.
  size_t max_message_bytes = 32u << 20;  // Of a payload.
  int threads = 2;                       // Decode, write and sync.
  size_t max_waiting = 256;              // Batches that wait for them.
  size_t max_waiting_bytes = 64u << 20;  // Their payloads.
};

// What is known of the roads at the moment.
struct ImageNetwork {
  LinkQuality quality = LinkQuality::kUnknown;  // Of the best link for messages.
  bool file_road = false;                       // One is ready.
  bool full = false;                            // The queue of files takes no more.
};

// Thread-safe. A detection is accepted when its images are in the queue of files and then its
// message is accepted by the next sink; the ids of the files come from the message's key, so that a
// message that is sent again finds them.
class ImageFileSink final : public Sink {
 public:
  struct Deps {
    Transfers* transfers = nullptr;
    Sink* next = nullptr;
    Log* log = nullptr;
    std::function<ImageNetwork()> network;
  };

  // All of `deps` outlive it.
  ImageFileSink(ImageFileOptions options, Deps deps);
  // Waits until everything accepted is answered.
  ~ImageFileSink() override;

  void Accept(std::vector<Arrival> batch, AcceptFn done) override;

  // The images of new detections would go as files now.
  bool by_file() const;
  uint64_t files() const;  // That were made of images since it was made.

 private:
  struct Batch;
  struct Uploads;

  bool Choose();
  bool HasFiles(const Envelope& envelope) const;
  bool Reserve(size_t bytes);
  void Release(size_t bytes);
  void Work(Batch* batch);
  absl::Status CutImages(Envelope* envelope);
  void Upload(const Envelope& envelope, const MessageKey& key, const PayloadImage& image,
              size_t place, const std::shared_ptr<Uploads>& uploads);
  absl::Status Judge(const Envelope& envelope, const PayloadImages& images, Uploads* uploads,
                     std::vector<ImageFileEntry>* files) const;

  const ImageFileOptions options_;
  const Deps deps_;
  mutable absl::Mutex mutex_;
  bool poor_ ABSL_GUARDED_BY(mutex_) = false;  // Until it is good again.
  bool by_file_ ABSL_GUARDED_BY(mutex_) = false;
  size_t waiting_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t unanswered_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t files_ ABSL_GUARDED_BY(mutex_) = 0;
  ThreadPool pool_;  // Last: its threads use the rest.
};

// The transfer that carries an image of that message; the same on every node and at every try.
std::string ImageTransferId(const MessageKey& key, std::string_view kind, uint32_t index);

// Names of all crash points here, in no order; see core/base/crash_point.h.
inline constexpr const char* kImageCrashPoints[] = {
    "image_files.before", "image_files.written", "image_files.after", "image_files.message.after"};

}  // namespace viaduct
