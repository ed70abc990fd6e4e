// What a node tells its server of itself.
#include <utility>
#include <vector>

#include "host/node/gateway_facts.h"
#include "host/node/gateway_reporter.h"
#include "host/node/node.h"

namespace viaduct {

void Node::BuildReports() {
  GatewayFacts::Deps facts;
  facts.clock = &foundation_->clock;
  facts.instances = instances_.get();
  facts.dispatcher = dispatcher_.get();
  facts.spool = spool_.get();
  facts.transfers = transfers_.get();
  gateway_facts_ = std::make_unique<GatewayFacts>(facts);
  const absl::Duration interval = foundation_->config.gateway.report_interval;
  if (interval <= absl::ZeroDuration() || spool_ == nullptr) return;
  GatewayReporter::Deps deps;
  deps.node_id = foundation_->config.node.id;
  deps.clock = &foundation_->clock;
  deps.timers = &timers_;
  deps.executor = &pools_.reads;
  deps.log = foundation_->log.get();
  deps.spool = spool_.get();
  deps.roads = [this] { return gateway_facts_->Roads(); };
  deps.files = [this] { return gateway_facts_->Files(GatewayReport::kMaxFiles); };
  deps.submit = [this](Envelope report, std::function<void(absl::Status)> done) {
    Sender sender;
    sender.protocol = "gateway";
    sender.source = "report";
    sender.own_part = true;
    std::vector<Envelope> batch;
    batch.push_back(std::move(report));
    application_->IngestEnvelopes(
        std::move(batch), sender, [done = std::move(done)](std::vector<AcceptResult> results) {
          done(results.empty() ? absl::InternalError("no result came") : results.front().status);
        });
  };
  reporter_ = std::make_unique<GatewayReporter>(interval, std::move(deps));
}

}  // namespace viaduct
