#include "host/node/alert_readings.h"

#include <sys/stat.h>
#include <sys/statvfs.h>

#include <algorithm>
#include <set>
#include <utility>

namespace viaduct {

bool IsStopped(InstanceState state) {
  return state == InstanceState::kStopped || state == InstanceState::kCreated ||
         state == InstanceState::kConfigured;
}

std::optional<double> DownReading(const InstanceInfo& instance, const LinkStats* link) {
  if (instance.state == InstanceState::kFailed) return 1;
  if (instance.state != InstanceState::kStarted) return std::nullopt;
  if (instance.health == InstanceHealth::kUnhealthy) return 1;
  if (link == nullptr) return std::nullopt;
  if (link->breaker == BreakerState::kOpen || !link->ready) return 1;
  // Half open, the next message decides, unless the plugin says that the peer is there.
  if (link->breaker == BreakerState::kClosed || instance.health == InstanceHealth::kHealthy) {
    return 0;
  }
  return std::nullopt;
}

void AlertReadings::AddLinks(const std::vector<InstanceInfo>& instances,
                             const std::vector<LinkStats>& links, int64_t now_ns,
                             std::vector<AlertReading>* out) {
  std::map<std::string, ErrorWindow> kept;
  for (const InstanceInfo& instance : instances) {
    if (!instance.link || IsStopped(instance.state)) continue;
    const auto found = std::find_if(links.begin(), links.end(), [&](const LinkStats& link) {
      return link.name == instance.name;
    });
    const LinkStats* link = found == links.end() ? nullptr : &*found;
    out->push_back({AlertKind::kLinkDown, instance.name, DownReading(instance, link)});
    ErrorWindow& window = kept[instance.name];
    window = std::move(windows_[instance.name]);
    if (link != nullptr) {
      // What the node took back says nothing about the link.
      const uint64_t failed = link->retried + link->rejected + link->expired + link->timed_out;
      window.Add(link->confirmed, failed, error_window_, now_ns);
    }
    out->push_back({AlertKind::kLinkErrors, instance.name, window.Share(min_messages_)});
  }
  windows_ = std::move(kept);
}

void AddSpoolReadings(const SpoolInfo& info, std::vector<AlertReading>* out) {
  const double age = info.messages == 0 ? 0 : absl::ToDoubleSeconds(info.oldest_age);
  out->push_back({AlertKind::kBacklogAge, "", age});
  if (info.max_bytes > 0 && info.max_messages > 0) {
    // Whatever counts against the bounds, dead letters too; the bound that is closer.
    const auto share = [](uint64_t used, uint64_t most) {
      return static_cast<double>(used) / static_cast<double>(most);
    };
    out->push_back({AlertKind::kBacklogBytes, "",
                    std::max(share(info.bytes + info.rejected_bytes, info.max_bytes),
                             share(info.messages + info.rejected, info.max_messages))});
  }
  out->push_back({AlertKind::kDeadLetters, "", static_cast<double>(info.rejected)});
}

void AddTransferReadings(const TransferCounts& counts, uint64_t max_bytes,
                         std::vector<AlertReading>* out) {
  const uint64_t failed = counts.files[static_cast<size_t>(TransferState::kFailed)];
  out->push_back({AlertKind::kFailedFiles, "", static_cast<double>(failed)});
  if (max_bytes == 0) return;
  out->push_back({AlertKind::kFilesBytes, "",
                  static_cast<double>(counts.held_bytes) / static_cast<double>(max_bytes)});
}

void AddQuotaReadings(const std::vector<std::string>& over_quota, std::vector<AlertReading>* out) {
  for (const std::string& device : over_quota) {
    out->push_back({AlertKind::kDeviceQuota, device, 1});
  }
}

void AddDiskReadings(const std::vector<std::string>& paths, std::vector<AlertReading>* out) {
  std::set<dev_t> seen;
  for (size_t i = 0; i < paths.size(); ++i) {
    struct stat status {};
    // What is not there yet is looked at when it is.
    const bool there = stat(paths[i].c_str(), &status) == 0;
    if (i > 0 && (!there || !seen.insert(status.st_dev).second)) continue;
    if (there) seen.insert(status.st_dev);
    struct statvfs disk {};
    std::optional<double> free;
    if (statvfs(paths[i].c_str(), &disk) == 0 && disk.f_blocks > 0) {
      free = static_cast<double>(disk.f_bavail) / static_cast<double>(disk.f_blocks);
    }
    out->push_back({AlertKind::kDiskFree, i == 0 ? "" : paths[i], free});
  }
}

}  // namespace viaduct
