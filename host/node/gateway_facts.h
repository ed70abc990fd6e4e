// How the roads of this node are: what its pages show, and what it tells its server.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "core/base/clock.h"
#include "core/gateway/dispatcher.h"
#include "core/lpr/gateway_report.h"
#include "core/plugin/instances.h"
#include "core/spool/spool.h"
#include "core/transfer/transfers.h"
#include "host/node/error_window.h"

namespace viaduct {

// Thread-safe.
class GatewayFacts {
 public:
  struct Deps {  // All outlive it.
    const Clock* clock = nullptr;
    Instances* instances = nullptr;
    Dispatcher* dispatcher = nullptr;  // May be null, as the next two: there are no roads.
    Spool* spool = nullptr;
    Transfers* transfers = nullptr;
  };

  explicit GatewayFacts(Deps deps) : deps_(deps) {}

  // Notes what went over each road, `links` being those of the dispatcher now. To be called now and
  // then: what is recent is as of the last time.
  void Look(const std::vector<LinkStats>& links);

  // Roads, their last switches and what waits; no files. In the order of the configuration, then
  // those that are not started.
  GatewayReport Roads() const;
  // Some that are not finished: those on a road, then those that wait longest. Reads the disk.
  std::vector<FileReport> Files(size_t most) const;
  static FileReport FileOf(const Transfer& transfer);

 private:
  void AddRecent(GatewayReport* report) const;

  const Deps deps_;
  mutable absl::Mutex mutex_;
  std::map<std::string, ErrorWindow> recent_ ABSL_GUARDED_BY(mutex_);  // By road.
};

}  // namespace viaduct
