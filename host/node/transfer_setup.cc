#include "host/node/transfer_setup.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "core/config/transfer_options.h"
#include "core/plugin/file_road.h"

namespace viaduct {
namespace {

// Thread-safe.
class InstanceFileRoad final : public TransferRoad {
 public:
  explicit InstanceFileRoad(std::shared_ptr<FileRoad> road) : road_(std::move(road)) {}
  bool ready() const override { return road_->ready(); }
  size_t credit() const override { return road_->credit(); }
  absl::StatusOr<uint64_t> Begin(FileJob job, FileProgressFn progress, FileDoneFn done) override {
    return road_->Begin(std::move(job), std::move(progress), std::move(done));
  }
  void Cancel(uint64_t ticket) override { road_->Cancel(ticket); }
  absl::Status Discard(FileLeftover leftover) override {
    return road_->Discard(std::move(leftover));
  }

 private:
  const std::shared_ptr<FileRoad> road_;
};

LinkQuality QualityNamed(const std::string& name) {
  for (const LinkQuality quality :
       {LinkQuality::kPoor, LinkQuality::kFair, LinkQuality::kGood, LinkQuality::kExcellent}) {
    if (LinkQualityName(quality) == name) return quality;
  }
  return LinkQuality::kUnknown;
}

TransferSchedulerOptions SchedulerOf(const TransferOptionsConfig& config, const NodeConfig& node) {
  TransferSchedulerOptions options;
  options.files = config.parallel_files;
  options.bytes = config.parallel_bytes;
  options.large_from = config.large_from;
  options.large = config.parallel_large;
  options.bytes_per_second = config.bytes_per_second;
  options.max_attempts = config.max_attempts;
  options.failures_to_open = config.breaker_failures;
  options.retry = {config.retry.initial_delay, config.retry.max_delay, config.retry.multiplier,
                   config.retry.jitter};
  options.falls_back = node.gateway.fallback.enabled;
  options.fallback = node.gateway.fallback.order;
  options.measured = node.gateway.selection.network_aware;
  TransferSchedule& schedule = options.schedule;
  for (const auto& [from, to] : config.windows) schedule.windows.push_back({from, to});
  schedule.min_quality = QualityNamed(config.min_quality);
  schedule.unmetered_only = config.unmetered_only;
  schedule.urgent = config.urgent;
  schedule.zone = node.node.timezone;
  return options;
}

WatchFolderOptions WatchOf(const WatchOptionsConfig& config) {
  WatchFolderOptions options;
  options.path = config.path;
  options.device = config.device;
  options.priority = ParsePriority(config.priority).value_or(Priority::kNormal);
  options.kind = config.kind;
  options.remove = config.remove;
  options.settle = config.settle;
  options.rescan = config.rescan;
  return options;
}

}  // namespace

TransfersOptions MakeTransfersOptions(const NodeConfig& node) {
  const TransferOptionsConfig config = ReadTransferOptions(node);
  TransfersOptions options;
  options.node_id = node.node.id;
  options.folder = config.folder;
  options.roots = config.roots;
  options.max_file_bytes = config.max_file_bytes;
  options.min_free_bytes = config.min_free_bytes;
  options.queue.max_files = config.max_files;
  options.queue.max_bytes = config.max_bytes;
  options.queue.max_finished = config.history;
  options.engine.scheduler = SchedulerOf(config, node);
  options.engine.server_confirms = config.server_confirms;
  options.engine.confirm_timeout = config.confirm_timeout;
  options.engine.stall_timeout = config.stall_timeout;
  options.care = {config.keep, config.min_free_bytes};
  for (const WatchOptionsConfig& watch : config.watch) options.watch.push_back(WatchOf(watch));
  return options;
}

bool ServerConfirmsFiles(const NodeConfig& config) {
  return ReadTransferOptions(config).server_confirms;
}

bool AnnouncesFiles(const NodeConfig& config) { return ReadTransferOptions(config).announce; }

ImageFileOptions MakeImageFileOptions(const NodeConfig& node) {
  const TransferOptionsConfig config = ReadTransferOptions(node);
  ImageFileOptions options;
  if (config.images == "file") options.route = ImageRoute::kFile;
  if (config.images == "auto") options.route = ImageRoute::kAuto;
  options.from_bytes = config.images_from;
  if (node.limits.max_message_bytes > 0) options.max_message_bytes = node.limits.max_message_bytes;
  return options;
}

std::vector<RoadEntry> FileRoadsOf(const Instances& instances,
                                   const std::vector<Roads::Configured>& configured) {
  std::vector<RoadEntry> roads;
  for (const Roads::Configured& one : configured) {
    const auto road = instances.file_road(one.name);
    if (!road.ok()) continue;
    roads.push_back({one.name, one.traits.plugin, one.traits.metered,
                     std::make_shared<InstanceFileRoad>(*road)});
  }
  return roads;
}

std::string AnnouncementJson(const Transfer& transfer, const std::string& node_id) {
  const nlohmann::json message = {
      {"type", "file_transfer_request"},
      {"transfer_id", transfer.id},
      {"camera_id", transfer.device},
      {"message_id", transfer.message_id},
      {"kind", transfer.kind},
      {"index", transfer.index},
      {"name", transfer.remote_name},
      {"size", transfer.size},
      {"sha256", transfer.sha256},
      {"timestamp", FormatTimestamp(transfer.captured)},
      {"node_id", node_id},
  };
  return message.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

void NetworkView::SetRoads(const std::vector<RoadEntry>& roads) {
  std::vector<RoadMonitor::Road> probed;
  for (const RoadEntry& entry : roads) {
    probed.push_back({entry.name, entry.metered, [road = entry.road] { return road->ready(); }});
  }
  roads_->SetRoads(std::move(probed));
}

RoadQuality NetworkView::Of(const std::string& road) {
  Look();
  const std::optional<LinkReading> own = roads_->Read(road);
  absl::MutexLock lock(&mutex_);
  const auto found = links_.find(road);
  if (found != links_.end()) return found->second;
  return own.has_value() ? RoadQuality{own->quality, own->score} : best_;
}

RoadQuality NetworkView::Best() {
  Look();
  absl::MutexLock lock(&mutex_);
  return best_;
}

bool NetworkView::AnyReady() {
  Look();
  absl::MutexLock lock(&mutex_);
  return any_ready_;
}

void NetworkView::Look() {
  const int64_t now = clock_->MonotonicNanos();
  {
    absl::MutexLock lock(&mutex_);
    const bool fresh = looked_ns_ != 0 && absl::Nanoseconds(now - looked_ns_) < kFresh;
    if (fresh) return;
    looked_ns_ = now;
  }
  std::map<std::string, RoadQuality> links;
  RoadQuality best;
  bool any = false;
  for (const LinkStats& link : dispatcher_->Stats()) {
    const RoadQuality quality{link.reading.quality, link.reading.score};
    links[link.name] = quality;
    any = any || link.ready;
    if (link.ready && quality.quality >= best.quality) best = quality;
  }
  absl::MutexLock lock(&mutex_);
  links_ = std::move(links);
  best_ = best;
  any_ready_ = any;
}

}  // namespace viaduct
