#include "host/node/backup_runner.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/string_view.h"

namespace viaduct {
namespace {

constexpr char kComponent[] = "backup";

}  // namespace

void BackupRunner::Run::End() {
  const absl::MutexLock lock(&mutex_);
  if (!ended_.HasBeenNotified()) ended_.Notify();
}

BackupRunner::BackupRunner(BackupOptionsConfig options, backup::BackupsOptions backups, Deps deps)
    : options_(std::move(options)),
      deps_(std::move(deps)),
      backups_(std::move(backups), deps_.clock) {}

void BackupRunner::Start() {
  if (options_.every == absl::InfiniteDuration()) return;
  deps_.health->Set(kComponent, HealthState::kHealthy);
  Arm(std::min(kFirstLook, options_.every));
}

void BackupRunner::Stop() {
  const absl::MutexLock lock(&mutex_);
  stopped_ = true;
  if (current_ != nullptr) current_->End();
}

absl::StatusOr<backup::BackupManifest> BackupRunner::Create(const std::shared_ptr<Run>& run,
                                                            const backup::Backups::ToldFn& told) {
  {
    const absl::MutexLock lock(&mutex_);
    if (stopped_) return absl::CancelledError("backup: the node is stopping");
    current_ = run;
  }
  absl::StatusOr<backup::BackupManifest> made = backups_.Create(deps_.fill, told, &run->ended_);
  if (made.ok()) {
    deps_.log->Info(kComponent, "made",
                    {{"name", made->name},
                     {"files", absl::StrCat(made->files)},
                     {"bytes", absl::StrCat(made->bytes)},
                     {"shared", absl::StrCat(made->shared_files)}});
  }
  const absl::MutexLock lock(&mutex_);
  if (current_ == run) current_ = nullptr;
  return made;
}

void BackupRunner::Arm(absl::Duration after) {
  deps_.timers->ArmAfter(after, [this] {
    if (!deps_.pool->Submit([this] { RunByItself(); })) Arm(kLookAgain);
  });
}

// By the age of the newest one: a node that restarts often makes no more of them for that.
absl::Duration BackupRunner::UntilNext() const {
  const absl::StatusOr<std::vector<backup::BackupEntry>> entries =
      backup::ListBackups(options_.path);
  if (!entries.ok()) return absl::ZeroDuration();
  for (auto each = entries->rbegin(); each != entries->rend(); ++each) {
    if (!each->manifest.ok()) continue;
    const absl::Duration age = deps_.clock->Now() - each->manifest->began;
    // One from the future: a clock was wrong, then or now.
    return age < absl::ZeroDuration() ? absl::ZeroDuration() : options_.every - age;
  }
  return absl::ZeroDuration();
}

void BackupRunner::RunByItself() {
  const absl::Duration wait = UntilNext();
  if (wait > absl::ZeroDuration()) return Arm(wait);
  const auto made = Create(std::make_shared<Run>(), nullptr);
  absl::Status status = made.status();
  if (status.ok()) status = backup::PruneBackups(options_.path, options_.keep, false).status();
  Tell(status);
  Arm(status.ok() ? options_.every : std::min(kLookAgain, options_.every));
}

void BackupRunner::Tell(const absl::Status& status) {
  if (status.ok()) return deps_.health->Set(kComponent, HealthState::kHealthy);
  if (absl::IsCancelled(status)) return;
  deps_.health->Set(kComponent, HealthState::kDegraded, absl::StrCat("backup: ", status.message()));
  deps_.log->Error(kComponent, "cannot be made", {{"reason", StdView(status.message())}});
}

}  // namespace viaduct
