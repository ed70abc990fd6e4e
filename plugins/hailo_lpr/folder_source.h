// Pictures that somebody puts into a folder.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "plugins/common/waking_thread.h"
#include "plugins/hailo_lpr/options.h"
#include "plugins/hailo_lpr/picture_file.h"
#include "plugins/hailo_lpr/source.h"

namespace viaduct::hailo_lpr {

// Looks through the folder once, then hears of each file that is closed or moved in. No picture is
// dropped: they wait in the folder. Thread-safe.
class FolderSource final : public Source {
 public:
  static constexpr size_t kMostNames = 1024;  // Known and not yet read; the others are looked for.
  static constexpr size_t kMostUnderWay = 300;            // Read, and not yet disposed of.
  static constexpr int64_t kLookAgainNs = 5'000'000'000;  // For a folder or device that is away.

  FolderSource(FolderOptions options, PictureLimits limits, SourceHooks hooks)
      : options_(std::move(options)), limits_(limits), hooks_(std::move(hooks)) {}
  ~FolderSource() override { Stop(); }

  absl::Status Start() override;
  void OnRoom() override { thread_.Wake(); }
  void Drain() override;
  void Stop() override;

 private:
  struct Ended {
    std::string name;
    FileIdentity identity;
    absl::Status status;
  };

  void Run();
  bool Open();
  void Close();
  absl::Status CheckMoveTo();
  void Hear();
  void Scan();
  bool NextName(std::string* name, bool* closed);
  bool GiveNext();
  bool Settled(const std::string& name);
  void Later(int64_t at_ns, const std::string& name);
  void ReadOne(const std::string& name);
  void Dispose();
  void DisposeOf(const Ended& one);
  void Tell(SourceState state, const std::string& reason);
  void TellRunning();
  void Await();
  bool stopping() const;

  const FolderOptions options_;
  const PictureLimits limits_;
  const SourceHooks hooks_;
  WakingThread thread_;

  // Of the thread.
  int folder_ = -1;
  int move_to_ = -1;
  int watch_ = -1;    // inotify.
  bool scan_ = true;  // There may be files behind cursor_ that nobody has told of.
  std::string cursor_;
  std::deque<std::pair<std::string, bool>> names_;  // With: it was closed.
  std::multimap<int64_t, std::string> later_;       // By when they are looked at, monotonic.
  bool forgot_ = false;                             // later_ had no room: the folder will tell.
  std::set<std::string> again_;                     // Written anew while under way.
  int64_t look_again_ns_ = 0;                       // For the folder, monotonic.
  std::optional<PictureJob> next_;                  // Read, no room yet.
  std::string told_;                                // Of on_state.

  // With the callbacks of pictures.
  struct Shared {
    mutable absl::Mutex mutex;
    std::vector<Ended> ended ABSL_GUARDED_BY(mutex);
    std::set<std::string> under_way ABSL_GUARDED_BY(mutex);
    bool drain ABSL_GUARDED_BY(mutex) = false;
    bool stop ABSL_GUARDED_BY(mutex) = false;
  };
  Shared shared_;
};

}  // namespace viaduct::hailo_lpr
