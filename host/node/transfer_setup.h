// The files of a node as the configuration wants them, and their roads.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "core/config/node_config.h"
#include "core/gateway/dispatcher.h"
#include "core/gateway/road_monitor.h"
#include "core/lpr/image_file_sink.h"
#include "core/plugin/instances.h"
#include "core/transfer/transfers.h"
#include "host/node/roads.h"

namespace viaduct {

TransfersOptions MakeTransfersOptions(const NodeConfig& config);
// True: the server, not the road, says when a file has arrived.
bool ServerConfirmsFiles(const NodeConfig& config);
bool AnnouncesFiles(const NodeConfig& config);
ImageFileOptions MakeImageFileOptions(const NodeConfig& config);

// The roads of all instances that offer viaduct.file/1, in the order of `configured`.
std::vector<RoadEntry> FileRoadsOf(const Instances& instances,
                                   const std::vector<Roads::Configured>& configured);

// The message that tells the server of a file, see docs/TRANSFERS.md; its id is that of TellingId.
std::string AnnouncementJson(const Transfer& transfer, const std::string& node_id);

// What the links of the node say of its network, asked at most once a second, and what the roads
// for files have measured themselves. Thread-safe.
class NetworkView {
 public:
  static constexpr absl::Duration kFresh = absl::Seconds(1);

  // Both outlive it.
  NetworkView(Dispatcher* dispatcher, const Clock* clock, std::unique_ptr<RoadMonitor> roads)
      : dispatcher_(dispatcher), clock_(clock), roads_(std::move(roads)) {}
  // The roads for files, which are probed from Start on.
  void SetRoads(const std::vector<RoadEntry>& roads);
  void Start() { roads_->Start(); }
  // Of the link of that name; else what its own probes have found; else of the best link that is
  // ready: the roads of files share its network.
  RoadQuality Of(const std::string& road);
  // Of the best link that is ready.
  RoadQuality Best();
  // Whether there is a link that is ready.
  bool AnyReady();

 private:
  void Look();

  Dispatcher* const dispatcher_;
  const Clock* const clock_;
  const std::unique_ptr<RoadMonitor> roads_;
  absl::Mutex mutex_;
  int64_t looked_ns_ ABSL_GUARDED_BY(mutex_) = 0;
  std::map<std::string, RoadQuality> links_ ABSL_GUARDED_BY(mutex_);
  RoadQuality best_ ABSL_GUARDED_BY(mutex_);
  bool any_ready_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace viaduct
