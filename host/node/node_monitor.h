// Looks at spool, links, store and process now and then, and says in health and metrics what it
// sees.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "absl/time/time.h"
#include "core/base/clock.h"
#include "core/base/executor.h"
#include "core/base/executor_timer_queue.h"
#include "core/gateway/dispatcher.h"
#include "core/lpr/image_file_sink.h"
#include "core/lpr/privacy.h"
#include "core/lpr/sealing.h"
#include "core/lpr/store_sink.h"
#include "core/observe/health_tree.h"
#include "core/observe/metrics.h"
#include "core/plugin/instances.h"
#include "core/receive/receiver.h"
#include "core/spool/spool.h"
#include "core/store/store.h"
#include "core/transfer/transfers.h"
#include "core/vision/vision.h"
#include "host/node/control_certificates.h"
#include "host/node/gateway_facts.h"
#include "host/node/link_metrics.h"
#include "host/node/spool_monitor.h"
#include "host/node/vision_monitor.h"

namespace viaduct {

// Thread-safe. Timers and executor must have been stopped when it is destroyed.
class NodeMonitor {
 public:
  static constexpr absl::Duration kInterval = absl::Seconds(1);

  struct Deps {
    TimerQueue* timers = nullptr;
    Executor* executor = nullptr;
    HealthTree* health = nullptr;
    Metrics* metrics = nullptr;
    Spool* spool = nullptr;  // May be null.
    Store* store = nullptr;  // May be null.
    Instances* instances = nullptr;
    Dispatcher* dispatcher = nullptr;            // May be null.
    Transfers* transfers = nullptr;              // May be null.
    const ImageFileSink* image_files = nullptr;  // Null as the transfers.
    Receiver* receiver = nullptr;                // May be null.
    const Vision* vision = nullptr;
    ControlCertificates* certificates = nullptr;  // May be null.
    const Clock* clock = nullptr;
    const Sealing* sealing = nullptr;       // May be null.
    const StoreSink* store_sink = nullptr;  // Null as the store.
    const Privacy* privacy = nullptr;
    GatewayFacts* gateway = nullptr;
  };

  explicit NodeMonitor(Deps deps);

  // Looks at once, then each interval.
  void Start();

 private:
  void Look();
  void Arm();
  void LookAtStore();
  void LookAtLinks();
  void AddTransferMetrics();
  void LookAtTransfers();
  void AddReceiverMetrics();
  void AddProtectionMetrics();
  void LookAtProtection();
  void LookAtReceiver();
  void LookAtCertificates();

  const Deps deps_;
  LinkMetrics links_;
  VisionMonitor vision_;
  std::optional<SpoolMonitor> spool_;
  MetricNumber resident_ = 0;
  std::array<MetricNumber, kTransferStates> transfer_files_{};
  MetricNumber transfer_bytes_ = 0;
  MetricNumber transfer_held_ = 0;
  std::array<MetricNumber, 5> transfer_totals_{};
  TransferTotals transfers_seen_;
  uint64_t image_files_seen_ = 0;
  std::array<MetricNumber, 5> receiver_totals_{};
  ReceiverInfo received_;  // As it was seen last.
  MetricNumber incoming_waiting_ = 0;
  MetricNumber incoming_files_ = 0;
  MetricNumber incoming_unannounced_ = 0;
  MetricNumber incoming_over_quota_ = 0;
  MetricNumber certificate_expiry_ = 0;
  // A total of this process, as it was seen last.
  struct Seen {
    MetricNumber number = 0;
    uint64_t seen = 0;
  };
  void CountUp(uint64_t now, Seen* total);
  std::array<Seen, 5> sealing_totals_{};  // Sealed, opened, refused, passed, unreadable.
  std::array<Seen, 2> privacy_totals_{};  // Rows, images.
  MetricNumber store_queued_ = 0;
  MetricNumber store_bytes_ = 0;
  MetricNumber store_up_ = 0;
};

}  // namespace viaduct
