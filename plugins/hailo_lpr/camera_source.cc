#include "plugins/hailo_lpr/camera_source.h"

#include <poll.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <system_error>

#include "absl/strings/str_cat.h"

namespace viaduct::hailo_lpr {
namespace {

using Json = nlohmann::json;

constexpr uint32_t kBgr = 0x34324752;  // "RG24": the name of DRM has blue in front.
constexpr int64_t kNsInMs = 1'000'000;
constexpr int kMostWaitMs = 60'000;
// One slot is for the camera to go on, or for the picture of a video that has no room: while that
// waits, its program may wait for us and does not stall.
constexpr size_t kMostWaiting = kCameraSlots - 1;
constexpr double kLeastJitter = 0.5;
constexpr double kMostJitter = 1.5;

constexpr const char* kKinds[] = {"none", "folder", "video", "v4l2", "rtsp", "libcamera"};

const char* NameOf(SourceKind kind) { return kKinds[static_cast<int>(kind)]; }

// %40 for @: what would end the user's part of an address.
std::string Escaped(const std::string& text) {
  std::string out;
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '-' || c == '_' || c == '.' || c == '~';
    if (plain) {
      out += c;
    } else {
      absl::StrAppend(&out, "%", absl::Hex(static_cast<unsigned char>(c), absl::kZeroPad2));
    }
  }
  return out;
}

std::string UrlWithUser(const CameraOptions& options) {
  if (options.username.empty()) return options.url;
  const size_t at = options.url.find("://") + 3;
  std::string user = Escaped(options.username);
  if (!options.password.empty()) absl::StrAppend(&user, ":", Escaped(options.password));
  return absl::StrCat(options.url.substr(0, at), user, "@", options.url.substr(at));
}

std::string PipelineOf(const CameraOptions& options) {
  if (!options.pipeline.empty()) return options.pipeline;
  std::string size;
  if (options.width > 0) absl::StrAppend(&size, ",width=", options.width);
  if (options.height > 0) absl::StrAppend(&size, ",height=", options.height);
  if (options.fps > 0) absl::StrAppend(&size, ",framerate=", options.fps, "/1");
  return absl::StrCat("libcamerasrc ! video/x-raw", size,
                      " ! videoconvert ! video/x-raw,format=BGR ! "
                      "appsink drop=true max-buffers=1 sync=false");
}

std::string TitleOf(SourceKind kind, const CameraOptions& options) {
  std::string of;
  if (kind == SourceKind::kVideo) of = options.file;
  if (kind == SourceKind::kV4l2) of = options.device;
  if (kind == SourceKind::kRtsp) of = options.url.substr(0, options.url.find('?'));
  return absl::StrCat(NameOf(kind), of.empty() ? "" : " ", of);
}

}  // namespace

std::string CameraProgram() {
  std::error_code error;
  const std::filesystem::path program = std::filesystem::read_symlink("/proc/self/exe", error);
  const std::filesystem::path prefix =
      error ? "/usr" : program.parent_path().parent_path().string();
  return (prefix / "libexec/viaduct/hailo-lpr-camera").string();
}

CameraSource::CameraSource(SourceKind kind, CameraOptions options, PictureLimits limits,
                           std::string program, SourceHooks hooks)
    : kind_(kind),
      options_(std::move(options)),
      limits_(limits),
      program_(std::move(program)),
      title_(TitleOf(kind_, options_)),
      hooks_(std::move(hooks)),
      pause_(options_.reconnect_after) {}

absl::Status CameraSource::Start() {
  const absl::Status opened = thread_.Open();
  if (!opened.ok()) return opened;
  Tell(SourceState::kOpening, absl::StrCat(title_, ": is being opened"));
  thread_.Start([this] { Run(); });
  return absl::OkStatus();
}

void CameraSource::Drain() {
  {
    absl::MutexLock lock(&mutex_);
    drain_ = true;
  }
  thread_.Wake();
}

void CameraSource::Stop() {
  {
    absl::MutexLock lock(&mutex_);
    drain_ = stop_ = true;
  }
  thread_.Wake();
  thread_.Stop();
}

bool CameraSource::draining() const {
  absl::MutexLock lock(&mutex_);
  return drain_;
}

void CameraSource::Run() {
  while (!draining()) {
    thread_.Clear();
    if (process_ == nullptr && !ended_ && hooks_.monotonic_ns() >= open_at_ns_) Open();
    if (process_ != nullptr) Hear();
    if (process_ != nullptr && !waiting_.has_value() && hooks_.monotonic_ns() >= stalls_at_ns_) {
      Lose(absl::StrCat("no picture for ", absl::FormatDuration(options_.stall_timeout)));
    }
    Await();
  }
  waiting_.reset();
  process_.reset();
}

std::string CameraSource::Order() const {
  const absl::Time begin = options_.recorded_at.value_or(absl::FromUnixNanos(hooks_.wall_ns()));
  // A video that begins again goes on in time.
  const bool again = options_.recorded_at.has_value() && last_capture_ns_ != 0;
  const Json order = {{"kind", NameOf(kind_)},
                      {"url", UrlWithUser(options_)},
                      {"device", options_.device},
                      {"pipeline", PipelineOf(options_)},
                      {"file", options_.file},
                      {"width", options_.width},
                      {"height", options_.height},
                      {"fps", options_.fps},
                      {"real_time", options_.real_time},
                      {"begin_ns", again ? last_capture_ns_ : absl::ToUnixNanos(begin)},
                      {"timeout_ms", absl::ToInt64Milliseconds(options_.stall_timeout)}};
  return order.dump(-1, ' ', false, Json::error_handler_t::replace);
}

void CameraSource::Open() {
  const auto slot_bytes = static_cast<size_t>(limits_.max_pixels) * kBytesPerPixel;
  absl::StatusOr<std::unique_ptr<CameraProcess>> started =
      CameraProcess::Start(program_, Order(), slot_bytes);
  if (!started.ok()) return Lose(std::string(started.status().message()));
  process_ = *std::move(started);
  pictures_ = 0;
  AwaitPicture();
}

void CameraSource::AwaitPicture() {
  stalls_at_ns_ = hooks_.monotonic_ns() + absl::ToInt64Nanoseconds(options_.stall_timeout);
}

void CameraSource::Hear() {
  if (waiting_.has_value()) {
    if (!hooks_.take(*waiting_, kMostWaiting)) return;
    waiting_.reset();
    AwaitPicture();  // Only now there is a slot for it.
  }
  while (process_ != nullptr && !draining()) {
    const absl::StatusOr<std::optional<CameraMessage>> next = process_->Next();
    if (!next.ok()) return Lose(std::string(next.status().message()));
    if (!next->has_value()) return;
    const CameraMessage& message = **next;
    if (message.word == CameraWord::kFailed) return Lose(message.text);
    if (message.word == CameraWord::kEnd) return End();
    if (!Take(message)) return;
  }
}

// The slot is free again when the last copy of the job is gone.
PictureJob CameraSource::JobOf(const CameraMessage& message) {
  PictureJob job;
  job.form.fourcc = kBgr;
  job.form.width = static_cast<uint32_t>(message.width);
  job.form.height = static_cast<uint32_t>(message.height);
  job.form.plane_count = 1;
  job.form.planes[0].size = uint64_t{kBytesPerPixel} * job.form.width * job.form.height;
  const std::shared_ptr<CameraMemory> memory = process_->memory();
  job.octets = memory->Slot(message.slot);
  job.holder = std::shared_ptr<const void>(
      memory.get(), [memory, slot = message.slot](const void*) { memory->Release(slot); });
  job.capture_ns = message.capture_ns;
  return job;
}

// False: no room, for now.
bool CameraSource::Take(const CameraMessage& message) {
  AwaitPicture();
  pause_ = options_.reconnect_after;
  last_capture_ns_ = message.capture_ns;
  ++pictures_;
  Tell(SourceState::kRunning, absl::StrCat(title_, ": gives pictures"));
  if (message.lost > 0) hooks_.on_lost(message.lost);
  PictureJob job = JobOf(message);
  if (kind_ != SourceKind::kVideo || options_.real_time) {
    hooks_.take_newest(std::move(job), kMostWaiting);
    return true;
  }
  if (hooks_.take(job, kMostWaiting)) return true;
  waiting_ = std::move(job);
  return false;
}

void CameraSource::Lose(const std::string& why) {
  process_.reset();
  waiting_.reset();
  hooks_.end_stream();
  std::uniform_real_distribution<double> jitter(kLeastJitter, kMostJitter);
  const absl::Duration pause = pause_ * jitter(random_);
  pause_ = std::min(2 * pause_, options_.reconnect_at_most);
  open_at_ns_ = hooks_.monotonic_ns() + absl::ToInt64Nanoseconds(pause);
  Tell(SourceState::kTrouble, absl::StrCat(title_, ": ", why));
}

void CameraSource::End() {
  process_.reset();
  hooks_.end_stream();
  if (options_.loop) {
    open_at_ns_ = hooks_.monotonic_ns();
    return;
  }
  ended_ = true;
  Tell(SourceState::kEnded, absl::StrCat(title_, ": has ended after ", pictures_, " pictures"));
}

void CameraSource::Tell(SourceState state, const std::string& reason) {
  if (std::exchange(told_, reason) != reason) hooks_.on_state(state, reason);
}

void CameraSource::Await() {
  int64_t wake_ns = hooks_.monotonic_ns() + kMostWaitMs * kNsInMs;
  const bool hears = process_ != nullptr && !waiting_.has_value();
  if (hears) wake_ns = std::min(wake_ns, stalls_at_ns_);
  if (process_ == nullptr && !ended_) wake_ns = std::min(wake_ns, open_at_ns_);
  const int64_t left = (wake_ns - hooks_.monotonic_ns()) / kNsInMs + 1;
  const int timeout = static_cast<int>(std::clamp<int64_t>(left, 0, kMostWaitMs));
  std::array<pollfd, 2> wanted = {
      {{thread_.descriptor(), POLLIN, 0}, {hears ? process_->descriptor() : -1, POLLIN, 0}}};
  poll(wanted.data(), wanted.size(), timeout);
}

}  // namespace viaduct::hailo_lpr
