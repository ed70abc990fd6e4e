#include "plugins/hailo_lpr/folder_source.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <tuple>

#include "absl/strings/str_cat.h"

namespace viaduct::hailo_lpr {
namespace {

constexpr uint32_t kJpeg = 0x4745504a;  // "JPEG": what it really is, its octets say.
constexpr uint32_t kEvents = IN_CLOSE_WRITE | IN_MOVED_TO | IN_DELETE_SELF | IN_MOVE_SELF;
constexpr uint32_t kGone = IN_DELETE_SELF | IN_MOVE_SELF | IN_UNMOUNT | IN_IGNORED;
constexpr int64_t kNsInMs = 1'000'000;
constexpr int kMostWaitMs = 5'000;  // Then the folder is looked at.

int OpenFolder(const std::string& path) {
  return open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

bool IsGone(int folder) {
  struct stat facts {};
  return fstat(folder, &facts) != 0 || facts.st_nlink == 0;
}

}  // namespace

absl::Status FolderSource::Start() {
  const absl::Status sound = CheckMoveTo();
  if (!sound.ok()) return sound;
  const absl::Status opened = thread_.Open();
  if (!opened.ok()) return opened;
  thread_.Start([this] { Run(); });
  return absl::OkStatus();
}

// Moving to another file system would be copying.
absl::Status FolderSource::CheckMoveTo() {
  if (options_.after != After::kMove) return absl::OkStatus();
  struct stat to {};
  struct stat from {};
  if (stat(options_.move_to.c_str(), &to) != 0 || !S_ISDIR(to.st_mode)) {
    return absl::NotFoundError(absl::StrCat("move_to: no folder, ", options_.move_to));
  }
  if (stat(options_.path.c_str(), &from) == 0 && from.st_dev != to.st_dev) {
    return absl::FailedPreconditionError(
        absl::StrCat("move_to: on another file system than path, ", options_.move_to));
  }
  return absl::OkStatus();
}

void FolderSource::Drain() {
  {
    absl::MutexLock lock(&shared_.mutex);
    shared_.drain = true;
  }
  thread_.Wake();
}

void FolderSource::Stop() {
  {
    absl::MutexLock lock(&shared_.mutex);
    shared_.stop = true;
  }
  thread_.Wake();
  thread_.Stop();
}

bool FolderSource::stopping() const {
  absl::MutexLock lock(&shared_.mutex);
  return shared_.stop;
}

void FolderSource::Run() {
  while (!stopping()) {
    thread_.Clear();
    if (folder_ >= 0 || (hooks_.monotonic_ns() >= look_again_ns_ && Open())) {
      Hear();
      Dispose();
      while (GiveNext()) Dispose();
    }
    Await();
  }
  Dispose();
  Close();
}

void FolderSource::Tell(SourceState state, const std::string& reason) {
  if (std::exchange(told_, reason) != reason) hooks_.on_state(state, reason);
}

void FolderSource::TellRunning() {
  Tell(SourceState::kRunning, absl::StrCat("folder: watches ", options_.path));
}

bool FolderSource::Open() {
  folder_ = OpenFolder(options_.path);
  const int error = errno;
  move_to_ = options_.after == After::kMove ? OpenFolder(options_.move_to) : -1;
  const bool moves = options_.after != After::kMove || move_to_ >= 0;
  watch_ = folder_ < 0 || !moves ? -1 : inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
  if (watch_ >= 0 && inotify_add_watch(watch_, options_.path.c_str(), kEvents) >= 0) {
    scan_ = true;
    cursor_.clear();
    names_.clear();
    forgot_ = false;
    TellRunning();
    return true;
  }
  const std::string why = folder_ < 0 ? std::strerror(error)
                          : !moves    ? absl::StrCat("no folder, ", options_.move_to)
                                      : absl::StrCat("cannot be watched, ", std::strerror(errno));
  Tell(SourceState::kTrouble, absl::StrCat("folder: ", options_.path, ": ", why));
  Close();
  look_again_ns_ = hooks_.monotonic_ns() + kLookAgainNs;
  return false;
}

void FolderSource::Close() {
  for (int* fd : {&folder_, &move_to_, &watch_}) {
    if (*fd >= 0) close(std::exchange(*fd, -1));
  }
}

// What inotify has told; with too much of it the folder is looked through again.
void FolderSource::Hear() {
  alignas(inotify_event) std::array<char, 16 << 10> buffer;
  bool gone = false;
  while (true) {
    const ssize_t got = read(watch_, buffer.data(), buffer.size());
    if (got <= 0) break;
    for (const char* at = buffer.data(); at < buffer.data() + got;) {
      inotify_event event;
      std::memcpy(&event, at, sizeof(event));
      const std::string name = event.len > 0 ? at + sizeof(event) : "";
      at += sizeof(event) + event.len;
      gone = gone || (event.mask & kGone) != 0;
      const bool full = names_.size() >= kMostNames;
      if ((event.mask & IN_Q_OVERFLOW) != 0 || (full && IsPictureName(name))) {
        scan_ = true;
        cursor_.clear();
      } else if (IsPictureName(name)) {
        names_.emplace_back(name, /*closed=*/true);
      }
    }
  }
  // A folder that is held open by us is gone without a word.
  gone = gone || IsGone(folder_);
  const bool no_place = move_to_ >= 0 && IsGone(move_to_);
  if (!gone && !no_place) return;
  const std::string& which = gone ? options_.path : options_.move_to;
  Tell(SourceState::kTrouble, absl::StrCat("folder: ", which, ": is gone"));
  Close();
  look_again_ns_ = hooks_.monotonic_ns() + kLookAgainNs;
}

// The next names behind the cursor, in their order.
void FolderSource::Scan() {
  const int copy = openat(folder_, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR* folder = copy < 0 ? nullptr : fdopendir(copy);
  if (folder == nullptr) {
    if (copy >= 0) close(copy);
    return;
  }
  std::set<std::string> first;
  while (const dirent* entry = readdir(folder)) {
    const std::string name = entry->d_name;
    if (name <= cursor_ || !IsPictureName(name)) continue;
    first.insert(name);
    if (first.size() > kMostNames) first.erase(std::prev(first.end()));
  }
  closedir(folder);
  scan_ = first.size() == kMostNames;
  if (!first.empty()) cursor_ = *first.rbegin();
  for (const std::string& name : first) names_.emplace_back(name, /*closed=*/false);
}

// False: nothing can be given now.
bool FolderSource::GiveNext() {
  {
    absl::MutexLock lock(&shared_.mutex);
    const bool full = shared_.under_way.size() >= kMostUnderWay;
    if (shared_.stop || shared_.drain || full) return false;
  }
  if (folder_ < 0) return false;
  if (next_.has_value()) {
    if (!hooks_.take(*next_, kMostUnderWay)) return false;
    next_.reset();
    return true;
  }
  std::string name;
  bool closed = false;
  if (!NextName(&name, &closed)) return false;
  if (closed || Settled(name)) ReadOne(name);
  return true;
}

// False: somebody may still be writing it; it is looked at again later, or when it is closed.
bool FolderSource::Settled(const std::string& name) {
  const absl::StatusOr<FileIdentity> file = IdentityOf(folder_, name);
  if (!file.ok()) return false;
  const absl::Duration left = absl::FromUnixNanos(file->changed_ns) + options_.settle -
                              absl::FromUnixNanos(hooks_.wall_ns());
  // A time to come says nothing.
  if (left <= absl::ZeroDuration() || left > options_.settle) return true;
  Later(hooks_.monotonic_ns() + absl::ToInt64Nanoseconds(left), name);
  return false;
}

void FolderSource::Later(int64_t at_ns, const std::string& name) {
  if (later_.size() < kMostNames) {
    later_.emplace(at_ns, name);
  } else {
    forgot_ = true;
  }
}

// A name that may be given now.
bool FolderSource::NextName(std::string* name, bool* closed) {
  if (!later_.empty() && later_.begin()->first <= hooks_.monotonic_ns()) {
    *name = later_.begin()->second;
    *closed = false;
    later_.erase(later_.begin());
    return true;
  }
  if (later_.empty() && std::exchange(forgot_, false)) {
    scan_ = true;
    cursor_.clear();
  }
  if (names_.empty() && scan_) Scan();
  if (names_.empty()) return false;
  std::tie(*name, *closed) = std::move(names_.front());
  names_.pop_front();
  return true;
}

void FolderSource::ReadOne(const std::string& name) {
  {
    absl::MutexLock lock(&shared_.mutex);
    if (shared_.under_way.count(name) > 0) {
      again_.insert(name);  // It was written anew.
      return;
    }
  }
  absl::StatusOr<PictureFile> file = ReadPictureFile(folder_, name, limits_.max_bytes);
  if (absl::IsNotFound(file.status())) return;
  if (!file.ok()) {
    hooks_.on_unreadable(file.status());
    // No descriptor, a disk that fails: that may pass.
    if (absl::IsUnavailable(file.status())) Later(hooks_.monotonic_ns() + kLookAgainNs, name);
    return;
  }
  const auto octets = std::make_shared<const std::string>(std::move(file->octets));
  PictureJob job;
  job.form.fourcc = kJpeg;
  job.form.plane_count = 1;
  job.form.planes[0].size = octets->size();
  job.octets = *octets;
  job.holder = octets;
  job.name = name;
  job.capture_ns = file->identity.changed_ns;
  job.ask_picture = true;
  job.ended = [this, name, identity = file->identity](const absl::Status& status) {
    {
      absl::MutexLock lock(&shared_.mutex);
      shared_.ended.push_back({name, identity, status});
    }
    thread_.Wake();
  };
  {
    absl::MutexLock lock(&shared_.mutex);
    shared_.under_way.insert(name);
  }
  next_ = std::move(job);
}

void FolderSource::Dispose() {
  std::vector<Ended> ended;
  {
    absl::MutexLock lock(&shared_.mutex);
    ended.swap(shared_.ended);
    for (const Ended& one : ended) shared_.under_way.erase(one.name);
  }
  for (const Ended& one : ended) {
    DisposeOf(one);
    if (again_.erase(one.name) > 0) names_.emplace_back(one.name, /*closed=*/true);
  }
}

void FolderSource::DisposeOf(const Ended& one) {
  // It was not looked at, and will be after the next start.
  if (absl::IsCancelled(one.status) || folder_ < 0) return;
  // What runs the models is away, or there was no memory.
  if (absl::IsUnavailable(one.status) || absl::IsResourceExhausted(one.status)) {
    return Later(hooks_.monotonic_ns() + kLookAgainNs, one.name);
  }
  // A model that fails, an event that was refused: it stays, and is read after the next start.
  if (!one.status.ok() && !absl::IsInvalidArgument(one.status)) return;
  absl::Status done;
  if (options_.after == After::kMove) {
    done = MoveFile(folder_, one.name, one.identity, move_to_);
  } else if (options_.after == After::kDelete && one.status.ok()) {
    done = RemoveFile(folder_, one.name, one.identity);
  }
  if (done.ok()) return TellRunning();
  // One that somebody took away, or wrote anew, is no matter: the new one is told of as well.
  if (absl::IsNotFound(done) || absl::IsAborted(done)) return;
  Tell(SourceState::kTrouble, std::string(done.message()));
}

void FolderSource::Await() {
  int64_t wake_ns = hooks_.monotonic_ns() + kMostWaitMs * kNsInMs;
  if (folder_ < 0) wake_ns = look_again_ns_;
  if (!later_.empty()) wake_ns = std::min(wake_ns, later_.begin()->first);
  const int64_t left = (wake_ns - hooks_.monotonic_ns()) / kNsInMs + 1;
  const int timeout = static_cast<int>(std::clamp<int64_t>(left, 0, kMostWaitMs));
  std::array<pollfd, 2> wanted = {{{thread_.descriptor(), POLLIN, 0}, {watch_, POLLIN, 0}}};
  poll(wanted.data(), wanted.size(), timeout);
}

}  // namespace viaduct::hailo_lpr
