// What of a node has to do with the files that it sends.
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "core/base/string_view.h"
#include "host/node/gateway_setup.h"
#include "host/node/node.h"
#include "host/node/node_services.h"
#include "host/node/transfer_setup.h"
#include "host/rpc/convert.h"

namespace viaduct {

absl::Status Node::OpenTransfers() {
  const NodeConfig& config = foundation_->config;
  if (!config.node.sink_uplink) return absl::OkStatus();
  Transfers::Deps deps;
  deps.clock = &foundation_->clock;
  deps.log = foundation_->log.get();
  deps.quality = [this](const std::string& road) { return network_view_->Of(road); };
  deps.heard = [this] { return network_view_->AnyReady(); };
  deps.changed = [this](const Transfer& transfer) { services_->transfers.OnChanged(transfer); };
  if (AnnouncesFiles(config)) {
    deps.announce = [this](const Transfer& transfer, std::function<void(absl::Status)> told) {
      AnnounceFile(transfer, std::move(told));
    };
  }
  VD_ASSIGN_OR_RETURN(transfers_, Transfers::Open(MakeTransfersOptions(config), std::move(deps)));
  ImageFileSink::Deps images;
  images.transfers = transfers_.get();
  images.next = uplink_sink_.get();
  if (seal_sink_ != nullptr) images.next = seal_sink_.get();
  images.log = foundation_->log.get();
  images.network = [this] {
    const TransferCounts counts = transfers_->Counts();
    ImageNetwork network;
    network.quality = network_view_->Best().quality;
    network.file_road = transfers_->engine()->AnyRoadReady();
    network.full = counts.full || counts.disk_full || counts.failed;
    return network;
  };
  image_file_sink_ =
      std::make_unique<ImageFileSink>(MakeImageFileOptions(config), std::move(images));
  return absl::OkStatus();
}

// The same way as a detection: durable on this node, then over whatever road leads to the server.
void Node::AnnounceFile(const Transfer& transfer, std::function<void(absl::Status)> told) {
  gateway::v1::Envelope message;
  message.set_message_id(TellingId(transfer));
  message.set_edge_device_id(transfer.device);
  message.set_data_type(gateway::v1::DATA_TYPE_CONTROL);
  *message.mutable_timestamp() = rpc::ToProto(transfer.captured);
  message.mutable_metadata()->set_priority(ToProto(transfer.priority));
  message.set_payload_json(AnnouncementJson(transfer, foundation_->config.node.id));
  rpc::Violations violations;
  std::vector<Arrival> batch;
  batch.emplace_back(services_->reader.Read(&message, "envelope", &violations));
  if (!violations.empty()) {
    return told(rpc::FromGrpc(violations.ToStatus("file_transfer_request")));
  }
  gate_->Accept(std::move(batch), [told = std::move(told)](std::vector<AcceptResult> results) {
    told(results.empty() ? absl::InternalError("transfers: no result came")
                         : results.front().status);
  });
}

absl::Status Node::StartTransfers() {
  if (transfers_ == nullptr) return absl::OkStatus();
  SyncFileRoads();
  VD_RETURN_IF_ERROR(transfers_->Start());
  network_view_->Start();
  CareForTransfers();
  return absl::OkStatus();
}

void Node::SyncFileRoads() {
  if (transfers_ == nullptr) return;
  const std::vector<RoadEntry> roads =
      FileRoadsOf(*instances_, ConfiguredRoads(config_->running()));
  network_view_->SetRoads(roads);
  transfers_->engine()->SetRoads(roads);
}

void Node::CareForTransfers() {
  timers_.ArmAfter(Transfers::kCareEvery, [this] {
    const bool taken = pools_.reads.Submit([this] {
      transfers_->Care();
      CareForTransfers();
    });
    if (!taken) CareForTransfers();  // No time now.
  });
}

}  // namespace viaduct
