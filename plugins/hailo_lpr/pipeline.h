// The one worker of an instance: pictures of its source and of requests, one after the other.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <list>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "plugins/common/waking_thread.h"
#include "plugins/hailo_lpr/analyser.h"
#include "plugins/hailo_lpr/event.h"
#include "plugins/hailo_lpr/options.h"
#include "plugins/hailo_lpr/picture_job.h"
#include "plugins/hailo_lpr/stream.h"

namespace viaduct::hailo_lpr {

// Why a picture was not looked at.
enum class Drop { kQueueFull, kRate, kExpired, kCancelled, kUnreadable, kFailed, kBadRequest };
inline constexpr size_t kDrops = 7;

// What an inference ended with.
struct InferEnd {
  uint64_t ticket = 0;
  Drop drop = Drop::kFailed;  // Where `status` is not OK.
  absl::Status status;
  std::string result_json;
  // Names and JPEGs.
  std::vector<std::pair<std::string, std::string>> crops;
};

// Thread-safe, but for Start and Stop, which are called once each by one thread.
class Pipeline {
 public:
  static constexpr size_t kMostStreams = 16;  // Of requests; the one used longest ago ends.

  // Called on the worker's thread, but on_infer_end and on_drop also on those of the callers.
  struct Hooks {
    std::function<int64_t()> wall_ns;
    std::function<int64_t()> monotonic_ns;
    std::function<void(InferEnd)> on_infer_end;
    // An event of the source. `ended` once it is durable, or why it never will be. May wait for
    // room; then the pictures wait, too.
    std::function<void(PlateEvent, std::function<void(const absl::Status&)> ended)> on_event;
    std::function<void(Drop, const absl::Status& why)> on_drop;
    // One picture is done.
    std::function<void(const Analysis&, bool of_source)> on_looked_at;
    std::function<void(const PictureStream::Counters&)> on_untold;  // Since it was called last.
    std::function<void()> on_room;  // For another picture of the source.
  };

  Pipeline(Options options, Analyser analyser, Hooks hooks);
  ~Pipeline() { Stop(); }

  void Start();
  // Waits until nothing waits any more, `until_ns` (monotonic) at the latest; ends the passes that
  // are under way.
  bool Drain(int64_t until_ns);
  // Returns after the picture that is just looked at; cancels the others.
  void Stop();

  // How many more requests have room.
  size_t credit() const;
  // False: no room; nothing was taken.
  bool TakeRequest(PictureJob job);
  void CancelRequest(uint64_t ticket);

  // False: no room, also where `most_waiting` wait; nothing was taken. on_room will tell.
  bool TakePicture(PictureJob job, size_t most_waiting);
  // Of those that wait so many stay, the newest; this one does.
  void TakeNewest(PictureJob job, size_t most_waiting);
  // The source has ended, or lost its camera: what passes is told now. Comes after the pictures
  // before it.
  void EndStream();

 private:
  struct NamedStream {
    std::string name;
    PictureStream stream;
  };

  void Run();
  bool Next(PictureJob* job, bool* of_source, bool* end_stream);
  bool NextOfSource(PictureJob* job, bool* of_source, bool* end_stream)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool HasWork() const ABSL_SHARED_LOCKS_REQUIRED(mutex_);
  bool IsIdle() const ABSL_SHARED_LOCKS_REQUIRED(mutex_);
  void Answer(PictureJob job);
  void LookAt(PictureJob job);
  absl::Status See(PictureJob* job, bool* readable, Analysis* analysis,
                   std::vector<PlateEvent>* events);
  absl::Status Decode(PictureJob* job, cv::Mat* pixels, int64_t* capture_ns,
                      Analysis* analysis) const;
  absl::Status Infer(PictureJob* job, InferEnd* end);
  void EndPasses();
  void TellUntold();
  void Tell(std::vector<PlateEvent> events, const std::function<void(const absl::Status&)>& ended);
  PictureStream* StreamOf(const std::string& name);
  bool TooSoon(int64_t capture_ns);
  void EndInfer(uint64_t ticket, Drop drop, absl::Status status);
  void Refuse(const PictureJob& job, Drop drop, const absl::Status& status);

  const Options options_;
  const Hooks hooks_;
  Analyser analyser_;     // Of the worker, as all down to the mutex.
  PictureStream stream_;  // The source's.
  PictureStream::Counters untold_;
  std::list<NamedStream> streams_;
  int64_t next_capture_ns_ = 0;  // Before it a picture is too soon for max_fps.
  WakingThread worker_;

  mutable absl::Mutex mutex_;
  bool stop_ ABSL_GUARDED_BY(mutex_) = false;
  bool busy_ ABSL_GUARDED_BY(mutex_) = false;
  bool requests_first_ ABSL_GUARDED_BY(mutex_) = true;  // They take turns.
  bool want_room_ ABSL_GUARDED_BY(mutex_) = false;
  bool end_stream_ ABSL_GUARDED_BY(mutex_) = false;  // When no picture waits.
  std::deque<PictureJob> requests_ ABSL_GUARDED_BY(mutex_);
  std::deque<PictureJob> pictures_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace viaduct::hailo_lpr
