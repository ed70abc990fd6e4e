// How a node drains and ends.
#include <algorithm>
#include <utility>

#include "core/lpr/privacy.h"
#include "core/vision/vision.h"
#include "host/node/alert_monitor.h"
#include "host/node/backup_runner.h"
#include "host/node/file_answers.h"
#include "host/node/grpc_server.h"
#include "host/node/node.h"
#include "host/node/node_monitor.h"
#include "host/node/node_services.h"
#include "host/node/webhook.h"

namespace viaduct {
namespace {

namespace pb = control::v1;

constexpr absl::Duration kServerPatience = absl::Seconds(1);
constexpr absl::Duration kPoolPatience = absl::Seconds(10);

}  // namespace

NodeActions::Drained Node::Drain(absl::Duration limit) {
  const absl::Time deadline = foundation_->clock.Now() + limit;
  SetState(pb::NODE_STATE_DRAINING);
  vision_->Drain(limit);  // While its detections are still taken.
  gate_->Close();
  if (transfers_ != nullptr) transfers_->Pause();
  NodeActions::Drained drained;
  drained.complete = true;
  for (const auto& info : instances_->List()) {
    const absl::Duration left = std::max(deadline - foundation_->clock.Now(), absl::ZeroDuration());
    // What is only about to start would do so after all has ended.
    const bool started = info.state == InstanceState::kStarted;
    const absl::Status ended =
        started ? instances_->Drain(info.name, left) : instances_->Stop(info.name);
    if (!ended.ok()) drained.complete = false;
  }
  if (spool_ != nullptr) drained.spooled = spool_->Info().messages;
  SetState(pb::NODE_STATE_DRAINED);
  return drained;
}

size_t Node::Stop(absl::Duration limit) {
  if (std::exchange(stopped_, true)) return 0;
  if (alerts_ != nullptr) alerts_->Stop();
  if (hub_ != nullptr) SetState(pb::NODE_STATE_STOPPING);
  if (vision_ != nullptr) vision_->Drain(limit);
  if (gate_ != nullptr) gate_->Close();
  if (dispatcher_ != nullptr) dispatcher_->Stop(limit);
  if (transfers_ != nullptr) transfers_->Stop();
  if (privacy_ != nullptr) privacy_->Stop();
  if (backups_ != nullptr) backups_->Stop();
  if (instances_ != nullptr) instances_->SetLinksChanged(nullptr);
  if (vision_ != nullptr) vision_->Stop();
  if (roads_ != nullptr) roads_->Clear();
  if (subscribers_ != nullptr) subscribers_->Stop();
  size_t left_behind = instances_ != nullptr ? instances_->StopAll(limit) : 0;
  // Nobody calls it any more; checks of passwords under way hand on to what is taken down below.
  if (access_ != nullptr) left_behind += static_cast<size_t>(access_->StopGuard(kPoolPatience));
  if (services_ != nullptr) {
    const grpc::Status stopping(grpc::StatusCode::UNAVAILABLE, "the node is stopping");
    services_->fleet.Stop(stopping);
    services_->transfers.CloseAll(stopping);
  }
  // Watches go before the server, so that each is told why.
  if (hub_ != nullptr) hub_->Stop();
  if (feed_ != nullptr) {
    feed_->CloseAll(grpc::Status(grpc::StatusCode::UNAVAILABLE, "the node is stopping"));
  }
  timers_.Stop();
  if (webhook_ != nullptr) left_behind += static_cast<size_t>(webhook_->Stop(kPoolPatience));
  if (server_ != nullptr) server_->Stop(kServerPatience);
  left_behind += static_cast<size_t>(pools_.Stop(kPoolPatience));
  if (left_behind > 0) {
    // A thread that hangs in a plugin may still use what it was given; only the data is closed.
    if (transfers_ != nullptr) transfers_->Close();
    if (spool_ != nullptr) spool_->Close();
    return left_behind;
  }
  server_.reset();
  backups_.reset();
  config_.reset();
  monitor_.reset();
  alerts_.reset();
  hub_.reset();
  roads_.reset();
  dispatcher_.reset();
  instances_.reset();
  vision_.reset();
  network_.reset();  // Probes have ended with their instances.
  if (receiver_ != nullptr) receiver_->Stop();
  image_file_sink_.reset();
  if (spool_ != nullptr) spool_->Close();
  transfers_.reset();  // Every road and the spool have said what they had to say.
  // The sink waits until the store has answered it; the application writes its last log rows.
  others_.reset();
  store_sink_.reset();
  receiver_.reset();
  fleet_calls_.reset();
  privacy_.reset();
  application_.reset();
  store_.reset();
  services_.reset();  // It was told of devices until here.
  return 0;
}

}  // namespace viaduct
