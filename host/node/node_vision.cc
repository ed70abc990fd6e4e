// What of a node has to do with pictures.
#include <utility>

#include "core/config/vision_options.h"
#include "core/plugin/frames.h"
#include "core/vision/vision.h"
#include "host/node/node.h"
#include "viaduct/abi/frame.h"

namespace viaduct {

void Node::BuildVision() {
  Vision::Deps deps;
  deps.clock = &foundation_->clock;
  deps.log = foundation_->log.get();
  deps.source = [this](std::string_view name) { return instances_->frame_source(name); };
  deps.inferer = [this](std::string_view name) { return instances_->inferer(name); };
  deps.inferers = [this] {
    std::vector<std::string> names;
    for (const InstanceInfo& info : instances_->List()) {
      if (Offers(info, VD_INFER_1)) names.push_back(info.name);
    }
    return names;
  };
  deps.ingest = [this](std::vector<Envelope> batch, Sink::AcceptFn done) {
    Sender sender;
    sender.protocol = "vision";
    sender.source = "feeds";
    sender.own_part = true;
    application_->IngestEnvelopes(std::move(batch), sender, std::move(done));
  };
  if (foundation_->config.limits.max_message_bytes > 0) {
    deps.max_message_bytes = foundation_->config.limits.max_message_bytes;
  }
  vision_ = std::make_unique<Vision>(std::move(deps));
}

void Node::SyncFeeds() { vision_->Apply(ReadFeeds(config_->running())); }

}  // namespace viaduct
