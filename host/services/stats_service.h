// viaduct.control.v1.Stats.
#pragma once

#include <atomic>
#include <memory>

#include "host/services/deps.h"
#include "viaduct/control/v1/stats.grpc.pb.h"

namespace viaduct {

// Thread-safe.
class StatsService final : public control::v1::Stats::CallbackService {
 public:
  static constexpr absl::Duration kDefaultInterval = absl::Seconds(1);
  static constexpr absl::Duration kMinInterval = absl::Milliseconds(100);
  static constexpr absl::Duration kMaxInterval = absl::Hours(1);
  static constexpr int kMaxWatches = 64;
  static constexpr uint64_t kMaxExplainedBytes = uint64_t{1} << 40;

  explicit StatsService(const ServiceDeps* deps)
      : deps_(deps), epoch_(deps->clock->Now()), watches_(std::make_shared<std::atomic<int>>(0)) {}

  grpc::ServerUnaryReactor* Snapshot(grpc::CallbackServerContext* context,
                                     const control::v1::StatsSnapshotRequest* request,
                                     control::v1::StatsSnapshotResponse* response) override;
  grpc::ServerWriteReactor<control::v1::StatsWatchResponse>* Watch(
      grpc::CallbackServerContext* context, const control::v1::StatsWatchRequest* request) override;
  grpc::ServerUnaryReactor* Explain(grpc::CallbackServerContext* context,
                                    const control::v1::StatsExplainRequest* request,
                                    control::v1::StatsExplainResponse* response) override;
  grpc::ServerUnaryReactor* ListAlerts(grpc::CallbackServerContext* context,
                                       const control::v1::StatsListAlertsRequest* request,
                                       control::v1::StatsListAlertsResponse* response) override;
  grpc::ServerWriteReactor<control::v1::StatsWatchAlertsResponse>* WatchAlerts(
      grpc::CallbackServerContext* context,
      const control::v1::StatsWatchAlertsRequest* request) override;

 private:
  const ServiceDeps* const deps_;
  const absl::Time epoch_;
  const std::shared_ptr<std::atomic<int>> watches_;  // Shared with the streams that count down.
};

}  // namespace viaduct
