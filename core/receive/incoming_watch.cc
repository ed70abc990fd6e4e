#include "core/receive/incoming_watch.h"

#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/memory/memory.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/transfer/remote_name.h"

namespace viaduct {
namespace {

constexpr uint32_t kEvents = IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_CREATE | IN_ONLYDIR;
constexpr size_t kBlockBytes = 64 << 10;
constexpr int kMaxBlocks = 64;  // In one Read: a device that never stops does not hold it.

std::string DeviceOf(const std::string& name) { return name.substr(0, name.find('/')); }

}  // namespace

absl::StatusOr<std::unique_ptr<IncomingWatch>> IncomingWatch::Start(const IncomingFolder* folder,
                                                                    IncomingWatchOptions options) {
  const int inotify = ::inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
  if (inotify < 0) {
    return absl::ResourceExhaustedError(
        absl::StrCat("incoming: cannot watch, ", std::strerror(errno)));
  }
  return absl::WrapUnique(new IncomingWatch(folder, options, inotify));
}

IncomingScan IncomingWatch::Look(const FileFn& file) {
  unwatched_ = 0;
  IncomingVisitor visitor;
  visitor.folder = [this](const std::string& name, int descriptor) { Watch(name, descriptor); };
  visitor.file = file;
  return folder_->Scan("", visitor);
}

// By the descriptor: the name may be another folder's by now, or a link.
void IncomingWatch::Watch(const std::string& name, int descriptor) {
  const std::string device = DeviceOf(name);
  const auto taken = per_device_.find(device);
  const size_t of_device = taken == per_device_.end() ? 0 : taken->second;
  const bool full = names_.size() >= options_.max_watches ||
                    (!name.empty() && of_device >= options_.max_watches_per_device);
  // One that is watched already gets its name; the kernel makes no second watch of it.
  const std::string path = absl::StrCat("/proc/self/fd/", descriptor);
  const int watch = ::inotify_add_watch(inotify_.get(), path.c_str(), kEvents);
  if (watch < 0) {
    ++unwatched_;
    return;
  }
  if (full && !names_.contains(watch)) {
    ::inotify_rm_watch(inotify_.get(), watch);
    ++unwatched_;
    return;
  }
  Forget(watch);
  names_[watch] = name;
  ++per_device_[device];
}

void IncomingWatch::Forget(int watch) {
  const auto it = names_.find(watch);
  if (it == names_.end()) return;
  const auto taken = per_device_.find(DeviceOf(it->second));
  if (taken != per_device_.end() && --taken->second == 0) per_device_.erase(taken);
  names_.erase(it);
}

bool IncomingWatch::Read(const HintFn& hint) {
  alignas(inotify_event) char block[kBlockBytes];
  bool all = true;
  for (int i = 0; i < kMaxBlocks; ++i) {
    const ssize_t got = ::read(inotify_.get(), block, sizeof(block));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return all;
    for (ssize_t at = 0; at < got;) {
      const auto* event = static_cast<const inotify_event*>(static_cast<const void*>(block + at));
      all = Handle(*event, hint) && all;
      at += static_cast<ssize_t>(sizeof(inotify_event) + event->len);
    }
  }
  return all;
}

bool IncomingWatch::Handle(const inotify_event& event, const HintFn& hint) {
  if ((event.mask & IN_Q_OVERFLOW) != 0) return false;
  if ((event.mask & IN_IGNORED) != 0) {
    Forget(event.wd);
    return true;
  }
  const auto folder = names_.find(event.wd);
  if (folder == names_.end() || event.len == 0) return true;
  const std::string parent = folder->second;
  const std::string name =
      parent.empty() ? std::string(event.name) : absl::StrCat(parent, "/", event.name);
  if (!CheckRemoteName(name).ok()) return true;
  if ((event.mask & IN_ISDIR) != 0) {
    if ((event.mask & IN_MOVED_FROM) != 0) return false;
    if ((event.mask & (IN_CREATE | IN_MOVED_TO)) == 0) return true;
    IncomingVisitor visitor;
    visitor.folder = [this](const std::string& at, int descriptor) { Watch(at, descriptor); };
    visitor.file = [&hint](const IncomingEntry& entry) { hint(entry.name); };
    return folder_->Scan(name, visitor).complete;
  }
  if (!parent.empty() && (event.mask & (IN_CLOSE_WRITE | IN_MOVED_TO)) != 0) hint(name);
  return true;
}

}  // namespace viaduct
