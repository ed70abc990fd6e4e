// What the kernel tells of the folder into which devices put files. All of it are hints: a scan of
// the whole folder finds what was not told.
#pragma once

#include <sys/inotify.h>

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "core/base/descriptor.h"
#include "core/receive/incoming_folder.h"

namespace viaduct {

struct IncomingWatchOptions {
  size_t max_watches = 8192;            // Folders; what is beyond is found by scans alone.
  size_t max_watches_per_device = 512;  // One device takes no other one's.
};

// Thread-compatible.
class IncomingWatch {
 public:
  using FileFn = std::function<void(const IncomingEntry& entry)>;
  using HintFn = std::function<void(const std::string& name)>;

  // RESOURCE_EXHAUSTED: the kernel has no more. `folder` outlives it.
  static absl::StatusOr<std::unique_ptr<IncomingWatch>> Start(const IncomingFolder* folder,
                                                              IncomingWatchOptions options);

  int descriptor() const { return inotify_.get(); }  // Readable when there is something to Read.

  // Looks through everything and watches what folders it finds, each before it is looked through,
  // so that nothing comes between.
  IncomingScan Look(const FileFn& file);
  // `hint` gets the names of files that may be complete, also of what comes with a new folder.
  // Does not wait. False: events were lost or a folder was moved, look through everything.
  bool Read(const HintFn& hint);

  size_t watches() const { return names_.size(); }
  size_t unwatched() const { return unwatched_; }  // Folders of the last Look without a watch.

 private:
  IncomingWatch(const IncomingFolder* folder, IncomingWatchOptions options, int inotify)
      : folder_(folder), options_(options), inotify_(inotify) {}
  bool Handle(const inotify_event& event, const HintFn& hint);
  void Watch(const std::string& name, int descriptor);
  void Forget(int watch);

  const IncomingFolder* const folder_;
  const IncomingWatchOptions options_;
  const Descriptor inotify_;
  size_t unwatched_ = 0;
  absl::flat_hash_map<int, std::string> names_;          // Folders by the kernel's number.
  absl::flat_hash_map<std::string, size_t> per_device_;  // Watches.
};

}  // namespace viaduct
