#include "core/transfer/watch_folder.h"

#include <dirent.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/memory/memory.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/synchronization/mutex.h"
#include "core/base/descriptor.h"
#include "core/base/executor.h"
#include "core/base/string_view.h"
#include "core/transfer/remote_name.h"
#include "core/transfer/transfer.h"

namespace viaduct {
namespace {

constexpr char kComponent[] = "transfers";
constexpr int kLongestWaitMs = 1'000;
constexpr uint32_t kGone = IN_DELETE_SELF | IN_MOVE_SELF | IN_UNMOUNT | IN_IGNORED;
constexpr uint32_t kEvents =
    IN_CLOSE_WRITE | IN_MOVED_TO | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR;

// What the file has again after a restart: it is then known as sent.
std::string IdOf(const std::string& path, const std::string& stamp) {
  return UuidOfText(absl::StrCat(path, "|", stamp));
}

}  // namespace

struct WatchFolder::Results {
  void Wake() const {
    const uint64_t one = 1;
    if (write(wake.get(), &one, sizeof(one)) < 0) return;  // Full: it is awake.
  }

  const Descriptor wake{eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
  absl::Mutex mutex;
  std::vector<std::pair<std::string, absl::Status>> ended ABSL_GUARDED_BY(mutex);  // By name.
};

WatchFolder::WatchFolder(WatchFolderOptions options, const Clock* clock, Log* log, TakeFn take)
    : options_(std::move(options)),
      clock_(clock),
      log_(log),
      take_(std::move(take)),
      results_(std::make_shared<Results>()) {}

WatchFolder::~WatchFolder() {
  Stop();
  if (inotify_ >= 0) close(inotify_);
}

absl::StatusOr<std::unique_ptr<WatchFolder>> WatchFolder::Start(WatchFolderOptions options,
                                                                const Clock* clock, Log* log,
                                                                TakeFn take) {
  auto folder = absl::WrapUnique(new WatchFolder(std::move(options), clock, log, std::move(take)));
  if (folder->results_->wake.get() < 0) {
    return absl::ResourceExhaustedError(
        absl::StrCat("transfers.watch: cannot watch, ", std::strerror(errno)));
  }
  folder->thread_ = std::thread([raw = folder.get()] { raw->Loop(); });
  return folder;
}

void WatchFolder::Stop() {
  if (stopping_.exchange(true)) return;
  results_->Wake();
  if (thread_.joinable()) thread_.join();
}

void WatchFolder::Loop() {
  SetThreadName("transfer-watch");
  while (!stopping_.load()) {
    const int64_t now = clock_->MonotonicNanos();
    if (scanned_ns_ == 0 || now - scanned_ns_ >= RescanNanos()) {
      scanned_ns_ = now;
      Scan();
    }
    Settle();
    const int64_t settle_ms = std::max<int64_t>(10, absl::ToInt64Milliseconds(options_.settle) / 4);
    const int wait_ms = pending_.empty()
                            ? kLongestWaitMs
                            : static_cast<int>(std::min<int64_t>(settle_ms, kLongestWaitMs));
    pollfd sources[] = {{inotify_, POLLIN, 0}, {results_->wake.get(), POLLIN, 0}};
    if (poll(sources, 2, wait_ms) <= 0) continue;
    if ((sources[0].revents & POLLIN) != 0) ReadEvents();
    uint64_t times = 0;
    const bool woken = (sources[1].revents & POLLIN) != 0;
    if (woken && read(results_->wake.get(), &times, sizeof(times)) < 0) continue;
  }
}

void WatchFolder::ReadEvents() {
  alignas(inotify_event) char block[16 << 10];
  const ssize_t got = read(inotify_, block, sizeof(block));
  for (ssize_t at = 0; at < got;) {
    const auto* event = static_cast<const inotify_event*>(static_cast<const void*>(block + at));
    const bool ours = event->wd == watch_;
    if ((event->mask & IN_Q_OVERFLOW) != 0 || (ours && (event->mask & kGone) != 0)) scanned_ns_ = 0;
    if (ours && (event->mask & IN_IGNORED) != 0) watch_ = -1;
    if (ours && event->len > 0) Note(event->name);
    at += static_cast<ssize_t>(sizeof(inotify_event) + event->len);
  }
}

// Whatever has the path now is what is watched; what had it before is left.
absl::Status WatchFolder::Attach() {
  if (inotify_ < 0) inotify_ = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
  const int before = watch_;
  if (inotify_ >= 0) watch_ = inotify_add_watch(inotify_, options_.path.c_str(), kEvents);
  const int error = errno;
  if (before >= 0 && before != watch_) inotify_rm_watch(inotify_, before);
  if (watch_ >= 0) return absl::OkStatus();
  return absl::ResourceExhaustedError(
      absl::StrCat("new files are found by looks alone, the kernel does not tell of them, ",
                   std::strerror(error)));
}

void WatchFolder::Scan() {
  const absl::Status watched = Attach();  // Before it is looked through: nothing is missed.
  const absl::Status read = LookThrough();
  SetState(read.ok() ? watched : read);
}

absl::Status WatchFolder::LookThrough() {
  DIR* folder = opendir(options_.path.c_str());
  int error = errno;
  std::map<std::string, Stamp> still;
  while (folder != nullptr) {
    errno = 0;
    const dirent* entry = readdir(folder);
    error = errno;
    if (entry == nullptr) break;
    const std::string name = entry->d_name;
    if (name == "." || name == "..") continue;
    const auto known = known_.find(name);
    if (known != known_.end()) still.insert(*known);
    Note(name);
  }
  if (folder != nullptr) closedir(folder);
  if (folder == nullptr || error != 0) {
    return absl::FailedPreconditionError(
        absl::StrCat("the folder cannot be read, ", std::strerror(error)));
  }
  known_ = std::move(still);
  if (known_.size() < kMaxKnown) return absl::OkStatus();
  return absl::ResourceExhaustedError(
      absl::StrCat("new files are left, there are ", known_.size(), " that were sent"));
}

int64_t WatchFolder::RescanNanos() const {
  const bool troubled = !state().ok();
  return absl::ToInt64Nanoseconds(troubled ? std::min(options_.rescan, kTroubledRescan)
                                           : options_.rescan);
}

absl::Status WatchFolder::state() const {
  absl::MutexLock lock(&mutex_);
  return state_;
}

void WatchFolder::SetState(const absl::Status& state) {
  {
    absl::MutexLock lock(&mutex_);
    if (std::exchange(state_, state) == state) return;
  }
  if (state.ok()) {
    log_->Info(kComponent, "a folder is watched again", {{"folder", options_.path}});
    return;
  }
  log_->Error(kComponent, "a folder is not watched as it should be",
              {{"folder", options_.path}, {"reason", StdView(state.message())}});
}

bool WatchFolder::StampOf(const std::string& name, Stamp* stamp) {
  struct stat info {};
  if (lstat(absl::StrCat(options_.path, "/", name).c_str(), &info) != 0) return false;
  if (S_ISDIR(info.st_mode)) return false;
  if (!S_ISREG(info.st_mode)) {
    Complain(name, "not a regular file");
    return false;
  }
  stamp->device = info.st_dev;
  stamp->size = static_cast<uint64_t>(info.st_size);
  stamp->modified_ns = info.st_mtim.tv_sec * 1'000'000'000 + info.st_mtim.tv_nsec;
  stamp->inode = info.st_ino;
  return true;
}

void WatchFolder::Note(const std::string& name) {
  if (pending_.count(name) != 0 || pending_.size() >= kMaxPending) return;  // A scan finds it.
  if (const absl::Status good = CheckRemoteName(name); !good.ok()) {
    return Complain(name, "its name cannot be that of a file on the server");
  }
  Stamp stamp;
  if (!StampOf(name, &stamp)) return;
  const auto known = known_.find(name);
  if (known != known_.end() && known->second == stamp) return;
  Pending pending;
  pending.stamp = stamp;
  pending.since_ns = clock_->MonotonicNanos();
  pending_[name] = pending;
}

void WatchFolder::HearResults() {
  std::vector<std::pair<std::string, absl::Status>> ended;
  {
    absl::MutexLock lock(&results_->mutex);
    ended.swap(results_->ended);
  }
  for (const auto& [name, taken] : ended) {
    --under_way_;
    const auto found = pending_.find(name);
    if (found == pending_.end()) continue;
    Pending& pending = found->second;
    pending.under_way = false;
    if (taken.ok() || absl::IsNotFound(taken)) {
      // One that has gone was not taken: with its folder it may come back as it was.
      if (taken.ok()) known_[name] = pending.stamp;
      pending_.erase(found);
      Note(name);  // It may have changed meanwhile.
      continue;
    }
    const uint32_t doubled = std::min<uint32_t>(pending.refusals++, 16);
    // The queue says by itself that it is full.
    const bool full = absl::IsResourceExhausted(taken) || absl::IsUnavailable(taken);
    if (pending.refusals == kReportedRefusals && !full) Complain(name, StdView(taken.message()));
    const absl::Duration delay = std::min(kFirstDelay * (1 << doubled), kLongestDelay);
    pending.due_ns = clock_->MonotonicNanos() + absl::ToInt64Nanoseconds(delay);
  }
}

void WatchFolder::Settle() {
  HearResults();
  const int64_t now = clock_->MonotonicNanos();
  for (auto it = pending_.begin(); it != pending_.end() && under_way_ < kMaxUnderWay;) {
    Pending& pending = it->second;
    if (pending.under_way || pending.due_ns > now) {
      ++it;
      continue;
    }
    Stamp stamp;
    if (!StampOf(it->first, &stamp)) {
      it = pending_.erase(it);
      continue;
    }
    if (!(stamp == pending.stamp)) {
      pending = Pending();
      pending.stamp = stamp;
      pending.since_ns = now;
    } else if (absl::Nanoseconds(now - pending.since_ns) >= options_.settle &&
               known_.size() < kMaxKnown) {
      pending.under_way = true;
      ++under_way_;
      Take(it->first, stamp);
    }
    ++it;
  }
}

void WatchFolder::Take(const std::string& name, const Stamp& stamp) {
  WatchedFile file;
  file.folder = &options_;
  file.stamp = stamp;
  file.path = absl::StrCat(options_.path, "/", name);
  file.id = IdOf(file.path, absl::StrCat(stamp.size, "|", stamp.modified_ns, "|", stamp.inode));
  take_(file, [results = results_, name](absl::Status taken) {
    {
      absl::MutexLock lock(&results->mutex);
      results->ended.emplace_back(name, std::move(taken));
    }
    results->Wake();
  });
}

void WatchFolder::Complain(const std::string& name, std::string_view why) {
  if (reported_.size() >= kMaxReported || !reported_.insert(name).second) return;
  log_->Warning(kComponent, "a file of a watch folder is left where it is",
                {{"folder", options_.path}, {"file", absl::CHexEscape(name)}, {"reason", why}});
}

}  // namespace viaduct
