#include <string>

#include "core/vision/vision.h"
#include "host/services/snapshot.h"

namespace viaduct {
namespace {

namespace pb = control::v1;

void FillLine(const InferLineStats& line, pb::FeedStats* out) {
  out->set_offered(line.offered);
  for (size_t i = 0; i < kNoResults; ++i) {
    if (line.without[i] == 0) continue;
    pb::FeedDrop* drop = out->add_drops();
    drop->set_reason(std::string(NoResultName(static_cast<NoResult>(i))));
    drop->set_pictures(line.without[i]);
  }
  out->set_results(line.results);
  FillHistogram(line.latency, out->mutable_latency());
  out->set_waiting(line.waiting);
  out->set_in_flight(line.given);
  for (const InferLineStats::Pair& pair : line.pairs) {
    pb::FeedInstance* instance = out->add_instances();
    instance->set_instance(pair.instance);
    instance->set_given(pair.given);
    instance->set_results(pair.results);
    FillHistogram(pair.inference, instance->mutable_inference());
  }
}

}  // namespace

void FillFeeds(const Vision& vision, pb::Snapshot* out) {
  for (const FeedStats& feed : vision.Stats()) {
    pb::FeedStats* shown = out->add_feeds();
    shown->set_source(feed.options.source);
    shown->set_source_ready(feed.source_ready);
    shown->set_infer_ready(feed.infer_ready);
    FillLine(feed.line, shown);
    shown->set_detections(feed.detections);
    shown->set_empty(feed.empty);
    shown->set_refused(feed.refused);
    shown->set_unsent(feed.unsent);
    shown->set_images_left_out(feed.images_left_out);
  }
  for (const InferLineStats& line : vision.Asked()) FillLine(line, out->add_feeds());
}

}  // namespace viaduct
