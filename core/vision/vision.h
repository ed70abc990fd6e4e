// Pictures of a node: from its sources to its inference instances, and what becomes of the results.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "core/base/clock.h"
#include "core/config/vision_options.h"
#include "core/lpr/sink.h"
#include "core/message/envelope.h"
#include "core/observe/log.h"
#include "core/plugin/frames.h"
#include "core/vision/detection.h"
#include "core/vision/infer_queue.h"

namespace viaduct {

struct FeedStats {
  FeedOptions options;
  bool source_ready = false;
  bool infer_ready = false;  // One of its instances runs.
  uint64_t detections = 0;   // Results that are durable as detections.
  uint64_t empty = 0;        // Results in which nothing was found, or of which none is made.
  uint64_t refused = 0;      // Results that could not be, or were not, taken.
  uint64_t images_left_out = 0;
  size_t unsent = 0;  // Detections that could not be taken yet; they are tried again.
  InferLineStats line;
};

// Thread-safe.
class Vision {
 public:
  struct Deps {
    const Clock* clock = nullptr;
    Log* log = nullptr;
    // By the name of an instance. NOT_FOUND: there is none; UNIMPLEMENTED: it offers no such thing.
    std::function<absl::StatusOr<std::shared_ptr<FrameSource>>(std::string_view)> source;
    std::function<absl::StatusOr<std::shared_ptr<Inferer>>(std::string_view)> inferer;
    // The instances that infer.
    std::function<std::vector<std::string>()> inferers;
    // Checks and takes messages, as Sink::Accept answers.
    std::function<void(std::vector<Envelope>, Sink::AcceptFn)> ingest;
    size_t max_message_bytes = 32u << 20;
  };

  static constexpr size_t kMaxGiven = 4;  // Frames of one feed that instances have at once.
  // A detection that the node cannot take now is tried again after this; as long as so many wait,
  // or so many octets, further ones are refused.
  static constexpr absl::Duration kSendAgain = absl::Seconds(1);
  static constexpr size_t kMaxUnsent = 256;
  static constexpr size_t kMaxUnsentBytes = 64u << 20;
  // Of pictures that are looked at for callers, for each instance and all together.
  static constexpr size_t kMaxAskedWaiting = 16;
  static constexpr size_t kMaxAskedGiven = 64;
  static constexpr size_t kMaxAskedBytes = 128u << 20;

  explicit Vision(Deps deps);
  // As Stop.
  ~Vision();
  Vision(const Vision&) = delete;
  Vision& operator=(const Vision&) = delete;

  // Tests do not start it and call queue()->Turn.
  void Start() { queue_.Start(); }
  // Makes these the feeds. Frames of those that go end as cancelled.
  void Apply(const std::vector<FeedOptions>& feeds);
  // Instances have come or gone, or offer something else.
  void Sync();

  // One picture for a caller who waits for so long; the job's deadline comes from that. An empty
  // name is the only instance that infers. Returns the number for Cancel. INVALID_ARGUMENT: which
  // of several? NOT_FOUND: no such instance; UNIMPLEMENTED: it does not infer; UNAVAILABLE: it does
  // not run; RESOURCE_EXHAUSTED: too much waits. Then `job.done` is not called.
  absl::StatusOr<uint64_t> Infer(std::string_view instance, absl::Duration patience, InferJob job);
  void Cancel(uint64_t number) { queue_.Cancel(number); }

  // Takes no more frames and waits until what it has has ended and is durable, at most so long.
  // True: all has.
  bool Drain(absl::Duration limit);
  // Ends everything, and waits for answers of `ingest`.
  void Stop();

  std::vector<FeedStats> Stats() const;       // In the order of the configuration.
  std::vector<InferLineStats> Asked() const;  // What callers asked for, by instance.
  InferQueue* queue() { return &queue_; }
  size_t max_message_bytes() const { return deps_.max_message_bytes; }

 private:
  struct Feed;
  struct Unsent;  // A detection that is not durable yet.
  struct Shown {  // What of a frame is needed once an instance has it.
    std::string stream;
    uint64_t sequence = 0;
    absl::Time captured;
    FrameDoneFn done;
  };
  using FeedPtr = std::shared_ptr<Feed>;
  using UnsentPtr = std::shared_ptr<Unsent>;

  void Connect(const FeedPtr& feed);
  void CloseAll();
  static void Close(const FeedPtr& feed);
  // False: the feed is closed.
  static bool Offer(const FeedPtr& feed, Frame* frame, FrameDoneFn done);
  void OnEnd(const FeedPtr& feed, const Shown& shown, const InferEnd& end);
  void Send(const UnsentPtr& unsent);
  void OnAnswer(const UnsentPtr& unsent, const absl::Status& status);
  bool Keep(const UnsentPtr& unsent);
  void Forget(const UnsentPtr& unsent);
  void Refuse(const FeedPtr& feed, const absl::Status& why);
  absl::StatusOr<std::string> Resolve(std::string_view instance) const;
  // "": there are too many.
  std::string AskedLine(const std::string& instance);
  std::vector<FeedPtr> feeds() const;

  const Deps deps_;
  absl::Mutex applying_;                            // One Apply or Sync at a time.
  bool closed_ ABSL_GUARDED_BY(applying_) = false;  // No feed is opened any more.
  mutable absl::Mutex mutex_ ABSL_ACQUIRED_AFTER(applying_);
  std::vector<FeedPtr> feeds_ ABSL_GUARDED_BY(mutex_);
  std::set<std::string> asked_ ABSL_GUARDED_BY(mutex_);  // Instances that have a line for callers.
  size_t sending_ ABSL_GUARDED_BY(mutex_) = 0;           // Detections without an answer.
  std::vector<UnsentPtr> unsent_ ABSL_GUARDED_BY(mutex_);  // That have to be sent again.
  size_t unsent_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  // Shared with the ends of what was asked.
  const std::shared_ptr<std::atomic<size_t>> asked_bytes_ =
      std::make_shared<std::atomic<size_t>>(0);
  InferQueue queue_;  // Last: its thread uses the rest.
};

}  // namespace viaduct
