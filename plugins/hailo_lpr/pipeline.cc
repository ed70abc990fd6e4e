#include "plugins/hailo_lpr/pipeline.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <new>

#include "absl/strings/str_cat.h"
#include "plugins/hailo_lpr/picture.h"

namespace viaduct::hailo_lpr {
namespace {

double MsSince(std::chrono::steady_clock::time_point begin) {
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin)
      .count();
}

// What OpenCV throws, and what there is no memory for, ends one picture and not the node.
template <typename Step>
absl::Status Guarded(const Step& step) try {
  return step();
} catch (const cv::Exception& error) {
  return absl::InternalError(absl::StrCat("picture: ", error.err));
} catch (const std::bad_alloc&) {
  return absl::ResourceExhaustedError("picture: no memory for it");
}

// Calls `ended` when the last of several events has ended, with the first thing that went wrong.
class Together {
 public:
  Together(size_t count, std::function<void(const absl::Status&)> ended)
      : left_(count), ended_(std::move(ended)) {}

  void End(const absl::Status& status) {
    absl::Status all;
    {
      absl::MutexLock lock(&mutex_);
      if (status_.ok()) status_ = status;
      if (--left_ > 0) return;
      all = status_;
    }
    ended_(all);
  }

 private:
  absl::Mutex mutex_;
  size_t left_ ABSL_GUARDED_BY(mutex_);
  absl::Status status_ ABSL_GUARDED_BY(mutex_);
  const std::function<void(const absl::Status&)> ended_;
};

}  // namespace

Pipeline::Pipeline(Options options, Analyser analyser, Hooks hooks)
    : options_(std::move(options)),
      hooks_(std::move(hooks)),
      analyser_(std::move(analyser)),
      stream_(options_.tracker, options_.direction, options_.events) {}

void Pipeline::Start() {
  worker_.Start([this] { Run(); });
}

void Pipeline::Stop() {
  std::deque<PictureJob> requests;
  std::deque<PictureJob> pictures;
  {
    absl::MutexLock lock(&mutex_);
    stop_ = true;
    requests.swap(requests_);
    pictures.swap(pictures_);
  }
  worker_.Stop();
  for (const PictureJob& job : requests) {
    EndInfer(job.ticket, Drop::kCancelled, absl::CancelledError("the instance stops"));
  }
  for (const PictureJob& job : pictures) {
    Refuse(job, Drop::kCancelled, absl::CancelledError("the instance stops"));
  }
}

bool Pipeline::Drain(int64_t until_ns) {
  EndStream();
  absl::MutexLock lock(&mutex_);
  const absl::Duration left = absl::Nanoseconds(until_ns - hooks_.monotonic_ns());
  return mutex_.AwaitWithTimeout(absl::Condition(this, &Pipeline::IsIdle),
                                 std::max(left, absl::ZeroDuration()));
}

size_t Pipeline::credit() const {
  absl::MutexLock lock(&mutex_);
  const auto most = static_cast<size_t>(options_.queue);
  return stop_ ? 0 : most - std::min(most, requests_.size());
}

bool Pipeline::TakeRequest(PictureJob job) {
  absl::MutexLock lock(&mutex_);
  if (stop_ || requests_.size() >= static_cast<size_t>(options_.queue)) return false;
  requests_.push_back(std::move(job));
  return true;
}

void Pipeline::CancelRequest(uint64_t ticket) {
  {
    absl::MutexLock lock(&mutex_);
    const auto found =
        std::find_if(requests_.begin(), requests_.end(),
                     [ticket](const PictureJob& job) { return job.ticket == ticket; });
    if (found == requests_.end()) return;  // Under way: it ends soon.
    requests_.erase(found);
  }
  EndInfer(ticket, Drop::kCancelled, absl::CancelledError("taken back"));
}

bool Pipeline::TakePicture(PictureJob job, size_t most_waiting) {
  absl::MutexLock lock(&mutex_);
  const size_t most = std::min(most_waiting, static_cast<size_t>(options_.queue));
  if (stop_ || pictures_.size() >= most) {
    want_room_ = true;
    return false;
  }
  pictures_.push_back(std::move(job));
  return true;
}

void Pipeline::TakeNewest(PictureJob job, size_t most_waiting) {
  std::deque<PictureJob> dropped;
  {
    absl::MutexLock lock(&mutex_);
    if (stop_) return;
    const size_t most = std::min(most_waiting, static_cast<size_t>(options_.queue));
    while (pictures_.size() >= most) {
      dropped.push_back(std::move(pictures_.front()));
      pictures_.pop_front();
    }
    pictures_.push_back(std::move(job));
  }
  for (const PictureJob& old : dropped) {
    Refuse(old, Drop::kQueueFull, absl::ResourceExhaustedError("a newer picture came"));
  }
}

void Pipeline::EndStream() {
  absl::MutexLock lock(&mutex_);
  end_stream_ = true;
}

bool Pipeline::HasWork() const {
  return stop_ || end_stream_ || !requests_.empty() || !pictures_.empty();
}

bool Pipeline::IsIdle() const {
  return stop_ || (!busy_ && !end_stream_ && requests_.empty() && pictures_.empty());
}

bool Pipeline::NextOfSource(PictureJob* job, bool* of_source, bool* end_stream) {
  if (!pictures_.empty()) {
    *job = std::move(pictures_.front());
    pictures_.pop_front();
    *of_source = true;
    return true;
  }
  *end_stream = std::exchange(end_stream_, false);
  return *end_stream;
}

// False: stop. Requests and the source take turns.
bool Pipeline::Next(PictureJob* job, bool* of_source, bool* end_stream) {
  absl::MutexLock lock(&mutex_);
  busy_ = false;
  mutex_.Await(absl::Condition(this, &Pipeline::HasWork));
  if (stop_) return false;
  busy_ = true;
  *of_source = *end_stream = false;
  const bool request = !requests_.empty() && (requests_first_ || pictures_.empty());
  requests_first_ = !request;
  if (!request) return NextOfSource(job, of_source, end_stream);
  *job = std::move(requests_.front());
  requests_.pop_front();
  return true;
}

void Pipeline::Run() {
  while (true) {
    PictureJob job;
    bool of_source = false;
    bool end_stream = false;
    if (!Next(&job, &of_source, &end_stream)) return;
    if (end_stream) {
      EndPasses();
      continue;
    }
    if (!of_source) {
      Answer(std::move(job));
      continue;
    }
    LookAt(std::move(job));
    bool told = false;
    {
      absl::MutexLock lock(&mutex_);
      told = std::exchange(want_room_, false);
    }
    if (told) hooks_.on_room();
  }
}

absl::Status Pipeline::Decode(PictureJob* job, cv::Mat* pixels, int64_t* capture_ns,
                              Analysis* analysis) const {
  const auto begin = std::chrono::steady_clock::now();
  *capture_ns = job->capture_ns;
  if (IsCompressed(job->form)) {
    const FramePlane& plane = job->form.planes[0];
    absl::StatusOr<Picture> picture =
        DecodePicture(job->octets.substr(plane.offset, plane.size), options_.limits, options_.zone);
    if (!picture.ok()) return picture.status();
    *pixels = std::move(picture->pixels);
    if (picture->taken.has_value() && (job->ask_picture || *capture_ns == 0)) {
      *capture_ns = absl::ToUnixNanos(*picture->taken);
    }
  } else {
    absl::StatusOr<cv::Mat> frame = ReadFrame(job->form, job->octets);
    if (!frame.ok()) return frame.status();
    *pixels = *std::move(frame);
  }
  // A camera may fill it again.
  job->octets = {};
  job->holder.reset();
  analysis->times.decode = MsSince(begin);
  return absl::OkStatus();
}

void Pipeline::Answer(PictureJob job) {
  if (job.deadline_ns != 0 && hooks_.monotonic_ns() > job.deadline_ns) {
    return EndInfer(job.ticket, Drop::kExpired, absl::DeadlineExceededError("too late"));
  }
  InferEnd end;
  end.ticket = job.ticket;
  end.status = Guarded([&] { return Infer(&job, &end); });
  if (end.status.ok()) return hooks_.on_infer_end(std::move(end));
  const bool unreadable = absl::IsInvalidArgument(end.status);
  EndInfer(job.ticket, unreadable ? Drop::kBadRequest : Drop::kFailed, end.status);
}

absl::Status Pipeline::Infer(PictureJob* job, InferEnd* end) {
  cv::Mat pixels;
  int64_t capture_ns = 0;
  Analysis analysis;
  absl::Status status = Decode(job, &pixels, &capture_ns, &analysis);
  if (!status.ok()) return status;
  Analyser::Request request;
  request.min_confidence = job->request.min_confidence;
  status = analyser_.Analyse(pixels, request, &analysis);
  if (!status.ok()) return status;
  EventOptions images = options_.events;
  images.annotated_image = job->request.annotated;
  images.cropped_plates = job->request.crops;
  std::vector<PlateEvent> events;
  if (job->request.stream.empty()) {
    events.push_back(EventOf(capture_ns, pixels, images, &analysis));
  } else {
    const int64_t at_ns = capture_ns != 0 ? capture_ns : hooks_.wall_ns();
    events = StreamOf(job->request.stream)->Add(at_ns, pixels, &analysis);
  }
  PlateEvent all = JoinEvents(std::move(events), capture_ns, analysis);
  end->result_json = ResultJson(all, {&analysis, job->request.alternatives});
  if (job->request.annotated && !all.annotated.empty()) {
    end->crops.emplace_back("image", std::move(all.annotated));
  }
  for (size_t i = 0; job->request.crops && i < all.plates.size(); ++i) {
    if (all.plates[i].crop.empty()) continue;
    end->crops.emplace_back(absl::StrCat("plate_", i), std::move(all.plates[i].crop));
  }
  hooks_.on_looked_at(analysis, /*of_source=*/false);
  return absl::OkStatus();
}

bool Pipeline::TooSoon(int64_t capture_ns) {
  if (options_.max_fps <= 0) return false;
  const auto step = static_cast<int64_t>(1e9 / options_.max_fps);
  // A clock that was set back begins anew.
  const bool soon = capture_ns < next_capture_ns_ && capture_ns >= next_capture_ns_ - 2 * step;
  if (soon) return true;
  const bool late = capture_ns < next_capture_ns_ || capture_ns - next_capture_ns_ > step;
  next_capture_ns_ = (late ? capture_ns : next_capture_ns_) + step;
  return false;
}

void Pipeline::LookAt(PictureJob job) {
  if (!job.ask_picture && TooSoon(job.capture_ns)) {
    return Refuse(job, Drop::kRate, absl::OkStatus());
  }
  bool readable = false;
  Analysis analysis;
  std::vector<PlateEvent> events;
  const absl::Status status = Guarded([&] { return See(&job, &readable, &analysis, &events); });
  if (!status.ok()) {
    const std::string of = job.name.empty() ? "" : absl::StrCat(job.name, ": ");
    return Refuse(job, readable ? Drop::kFailed : Drop::kUnreadable,
                  absl::Status(status.code(), absl::StrCat(of, status.message())));
  }
  if (options_.tracking) TellUntold();
  hooks_.on_looked_at(analysis, /*of_source=*/true);
  Tell(std::move(events), job.ended);
}

absl::Status Pipeline::See(PictureJob* job, bool* readable, Analysis* analysis,
                           std::vector<PlateEvent>* events) {
  cv::Mat pixels;
  int64_t capture_ns = 0;
  absl::Status status = Decode(job, &pixels, &capture_ns, analysis);
  if (!status.ok()) return status;
  *readable = true;
  Analyser::Request request;
  request.own_source = true;
  status = analyser_.Analyse(pixels, request, analysis);
  if (!status.ok()) return status;
  if (capture_ns == 0) capture_ns = hooks_.wall_ns();
  if (options_.tracking) {
    *events = stream_.Add(capture_ns, pixels, analysis);
  } else {
    PlateEvent event = EventOf(capture_ns, pixels, options_.events, analysis);
    if (!event.plates.empty()) events->push_back(std::move(event));
  }
  return absl::OkStatus();
}

void Pipeline::EndPasses() {
  std::vector<PlateEvent> events;
  const absl::Status status = Guarded([&] {
    events = stream_.End();
    return absl::OkStatus();
  });
  if (!status.ok()) hooks_.on_drop(Drop::kFailed, status);
  Tell(std::move(events), nullptr);
  TellUntold();
}

void Pipeline::TellUntold() {
  const PictureStream::Counters now = stream_.counters();
  hooks_.on_untold({now.repeats - untold_.repeats, now.doubtful - untold_.doubtful,
                    now.other_way - untold_.other_way});
  untold_ = now;
}

void Pipeline::Tell(std::vector<PlateEvent> events,
                    const std::function<void(const absl::Status&)>& ended) {
  if (events.empty()) {
    if (ended) ended(absl::OkStatus());
    return;
  }
  const auto together = std::make_shared<Together>(
      events.size(), ended ? ended : [](const absl::Status& /*status*/) {});
  for (PlateEvent& event : events) {
    event.camera_id = options_.events.camera_id;
    event.checkpoint_id = options_.events.checkpoint_id;
    hooks_.on_event(std::move(event),
                    [together](const absl::Status& status) { together->End(status); });
  }
}

PictureStream* Pipeline::StreamOf(const std::string& name) {
  const auto found = std::find_if(streams_.begin(), streams_.end(),
                                  [&](const NamedStream& one) { return one.name == name; });
  if (found != streams_.end()) {
    streams_.splice(streams_.begin(), streams_, found);
  } else {
    if (streams_.size() == kMostStreams) streams_.pop_back();
    EventOptions images = options_.events;
    images.annotated_image = images.cropped_plates = true;
    streams_.push_front({name, PictureStream(options_.tracker, options_.direction, images)});
  }
  return &streams_.front().stream;
}

void Pipeline::EndInfer(uint64_t ticket, Drop drop, absl::Status status) {
  hooks_.on_drop(drop, status);
  InferEnd end;
  end.ticket = ticket;
  end.drop = drop;
  end.status = std::move(status);
  hooks_.on_infer_end(std::move(end));
}

void Pipeline::Refuse(const PictureJob& job, Drop drop, const absl::Status& status) {
  hooks_.on_drop(drop, status);
  if (job.ended) job.ended(status);
}

}  // namespace viaduct::hailo_lpr
