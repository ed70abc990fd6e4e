// A camera or a video: opened by a program of its own, watched, and opened again.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "plugins/common/waking_thread.h"
#include "plugins/hailo_lpr/camera_process.h"
#include "plugins/hailo_lpr/options.h"
#include "plugins/hailo_lpr/source.h"

namespace viaduct::hailo_lpr {

// The program that belongs to the one that runs: <its folder>/../libexec/viaduct/hailo-lpr-camera.
std::string CameraProgram();

// Thread-safe.
class CameraSource final : public Source {
 public:
  CameraSource(SourceKind kind, CameraOptions options, PictureLimits limits, std::string program,
               SourceHooks hooks);
  ~CameraSource() override { Stop(); }

  absl::Status Start() override;
  void OnRoom() override { thread_.Wake(); }
  void Drain() override;
  void Stop() override;

 private:
  void Run();
  void Open();
  void Hear();
  void AwaitPicture();
  bool Take(const CameraMessage& message);
  PictureJob JobOf(const CameraMessage& message);
  void Lose(const std::string& why);
  void End();
  void Await();
  std::string Order() const;
  void Tell(SourceState state, const std::string& reason);
  bool draining() const;

  const SourceKind kind_;
  const CameraOptions options_;
  const PictureLimits limits_;
  const std::string program_;
  const std::string title_;  // For people, without a secret.
  const SourceHooks hooks_;
  WakingThread thread_;

  // Of the thread. Times are monotonic.
  std::unique_ptr<CameraProcess> process_;
  std::optional<PictureJob> waiting_;  // Of a video that is read fast: no room yet.
  std::mt19937_64 random_{std::random_device{}()};
  absl::Duration pause_;
  int64_t open_at_ns_ = 0;
  int64_t stalls_at_ns_ = 0;
  uint64_t pictures_ = 0;  // Since it was opened.
  int64_t last_capture_ns_ = 0;
  bool ended_ = false;
  std::string told_;

  mutable absl::Mutex mutex_;
  bool drain_ ABSL_GUARDED_BY(mutex_) = false;
  bool stop_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace viaduct::hailo_lpr
