// Keeps the dispatcher's links the same as the instances that offer one.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "core/gateway/dispatcher.h"
#include "core/gateway/network_monitor.h"
#include "core/observe/log.h"
#include "core/plugin/instances.h"

namespace viaduct {

// Thread-safe.
class Roads {
 public:
  // All outlive the roads.
  Roads(Dispatcher* dispatcher, Instances* instances, Log* log)
      : dispatcher_(dispatcher), instances_(instances), log_(log) {}

  struct Configured {
    std::string name;  // Of an instance.
    LinkTraits traits;
  };

  // The dispatcher has the links of all instances, in the order of `configured`, with their traits.
  void Sync(const std::vector<Configured>& configured);
  // Measures the road of that name, for the network monitor; see NetworkMonitor::ProbeFn.
  bool Probe(const std::string& name, absl::Duration limit, uint32_t payload_bytes,
             NetworkMonitor::DoneFn done);
  // Takes every link away.
  void Clear();

 private:
  struct Road {
    LinkId id = 0;
    std::shared_ptr<Link> link;
    LinkTraits traits;
  };

  void SetOrder(const std::vector<Configured>& configured) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  Dispatcher* const dispatcher_;
  Instances* const instances_;
  Log* const log_;
  absl::Mutex mutex_;  // One Sync at a time.
  std::vector<Road> roads_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace viaduct
