// viaduct.control.v1.Fleet.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "core/base/executor_strand.h"
#include "core/lpr/fleet.h"
#include "core/store/store.h"
#include "host/rpc/broadcast.h"
#include "host/services/deps.h"
#include "viaduct/control/v1/fleet.grpc.pb.h"

namespace viaduct {

// Thread-safe.
class FleetService final : public control::v1::Fleet::CallbackService {
 public:
  static constexpr uint32_t kDefaultPage = 100;
  static constexpr uint32_t kMaxPage = 1000;
  static constexpr int kMaxScannedPages = 8;     // Of the store, for one answer.
  static constexpr size_t kMaxPending = 16'384;  // Nodes that wait to be sent to one watcher.
  static constexpr size_t kMaxPrefixBytes = 128;
  static constexpr absl::Duration kDefaultTimeout = absl::Seconds(10);

  // Each change that is told to watchers; on a thread of the executor, never two at once.
  using ToldFn = std::function<void(const control::v1::FleetNode&)>;

  // `store` may be null: then the node knows only who can be reached.
  FleetService(const ServiceDeps* deps, Fleet* fleet, Store* store, ToldFn told);

  grpc::ServerUnaryReactor* ListNodes(grpc::CallbackServerContext* context,
                                      const control::v1::FleetListNodesRequest* request,
                                      control::v1::FleetListNodesResponse* response) override;
  grpc::ServerUnaryReactor* SendControl(grpc::CallbackServerContext* context,
                                        const control::v1::FleetSendControlRequest* request,
                                        control::v1::FleetSendControlResponse* response) override;
  grpc::ServerWriteReactor<control::v1::FleetWatchNodesResponse>* WatchNodes(
      grpc::CallbackServerContext* context,
      const control::v1::FleetWatchNodesRequest* request) override;

  // fleet_files.cc
  grpc::ServerUnaryReactor* ListFiles(grpc::CallbackServerContext* context,
                                      const control::v1::FleetListFilesRequest* request,
                                      control::v1::FleetListFilesResponse* response) override;

  // There may be news of devices. Returns at once.
  void OnNews();
  // Ends every order and every watch.
  void Stop(const grpc::Status& why);

 private:
  using Watchers = rpc::Broadcast<control::v1::FleetWatchNodesResponse, std::string>;
  // False: enough.
  using EachFn = std::function<bool(const control::v1::FleetNode&)>;
  struct Scan {
    std::string after;  // The last id that was looked at.
    std::string prefix;
    int max_pages = kMaxScannedPages;
    bool more = true;  // There may be others behind `after`.
  };

  absl::Status ForEachNode(Scan* scan, const EachFn& each) const;
  absl::Status ForEachReachable(const Scan& scan, const EachFn& each) const;
  control::v1::FleetNode NodeOf(const DeviceRow& row) const;
  // False: neither the store nor the roads have it.
  bool ReadNode(const std::string& device_id, control::v1::FleetNode* node) const;
  static void AddRoads(const DeviceState& state, control::v1::FleetNode* node);
  absl::Status CheckKnown(const std::string& device_id) const;
  // One call of SendControl.
  class OrderCall;
  void Give(Order order, const std::string& author, const std::shared_ptr<OrderCall>& call);
  void QueueState(const std::string& prefix, const Watchers::StreamPtr& stream);
  void Tell(const std::string& device_id);

  const ServiceDeps* const deps_;
  Fleet* const fleet_;
  Store* const store_;
  const ToldFn told_;
  Watchers watchers_;  // With the prefix of each.
  // On the strand alone: what was last told of a device, so that only what differs is told.
  std::map<std::string, std::string> last_told_;
  const std::shared_ptr<Strand> strand_;
};

}  // namespace viaduct
