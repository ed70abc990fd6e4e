// What the rules of the alerts are asked about, as it is now.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/config/alert_options.h"
#include "core/gateway/link_stats.h"
#include "core/observe/alerts.h"
#include "core/plugin/instance.h"
#include "core/spool/spool.h"
#include "core/transfer/transfer_queue.h"
#include "host/node/error_window.h"

namespace viaduct {

// Keeps what is needed of the past. Thread-compatible.
class AlertReadings {
 public:
  explicit AlertReadings(const AlertOptions& options)
      : error_window_(options.error_window), min_messages_(options.min_messages) {}

  // Roads that were stopped on purpose have no reading. Monotonic.
  void AddLinks(const std::vector<InstanceInfo>& instances, const std::vector<LinkStats>& links,
                int64_t now_ns, std::vector<AlertReading>* out);

 private:
  const absl::Duration error_window_;
  const uint64_t min_messages_;
  std::map<std::string, ErrorWindow> windows_;
};

void AddSpoolReadings(const SpoolInfo& info, std::vector<AlertReading>* out);
void AddTransferReadings(const TransferCounts& counts, uint64_t max_bytes,
                         std::vector<AlertReading>* out);
// Of devices that had more than they may.
void AddQuotaReadings(const std::vector<std::string>& over_quota, std::vector<AlertReading>* out);
// Share of each file system that a program without privileges may still use; none where it cannot
// be asked. The first of `paths` is the data folder, whose subject is empty; another counts where
// it is on a file system of its own, and is the subject.
void AddDiskReadings(const std::vector<std::string>& paths, std::vector<AlertReading>* out);

// It was, or is not yet, started: on purpose.
bool IsStopped(InstanceState state);
// 1: the road does not reach its peer; 0: it does; none: nothing can be said. `link` is null where
// the dispatcher does not have it.
std::optional<double> DownReading(const InstanceInfo& instance, const LinkStats* link);

}  // namespace viaduct
