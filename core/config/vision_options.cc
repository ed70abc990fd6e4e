#include "core/config/vision_options.h"

#include <nlohmann/json.hpp>
#include <tuple>

#include "core/config/members.h"

namespace viaduct {
namespace {

using nlohmann::json;

FeedResults ReadResults(const std::string& text) {
  if (text == "all") return FeedResults::kAll;
  return text == "none" ? FeedResults::kNone : FeedResults::kFound;
}

FeedOptions ReadFeed(const json& section, const NodeConfig& config) {
  FeedOptions feed;
  feed.source = section.value("source", "");
  feed.infer = section.value("infer", std::vector<std::string>());
  const json options = section.value("options", json::object());
  if (!options.empty()) {
    feed.options_json = options.dump(-1, ' ', false, json::error_handler_t::replace);
  }
  feed.waiting = section.value("waiting", size_t{1});
  feed.deadline = members::Time(section, "deadline");
  feed.results = ReadResults(section.value("results", ""));
  feed.device = section.value("device", "");
  if (feed.device.empty()) feed.device = config.node.id;
  feed.checkpoint = section.value("checkpoint", "");
  feed.priority = section.value("priority", "normal");
  return feed;
}

}  // namespace

bool FeedOptions::operator==(const FeedOptions& other) const {
  const auto all = [](const FeedOptions& f) {
    return std::tie(f.source, f.infer, f.options_json, f.waiting, f.deadline, f.results, f.device,
                    f.checkpoint, f.priority);
  };
  return all(*this) == all(other);
}

std::vector<FeedOptions> ReadFeeds(const NodeConfig& config) {
  const json section = members::SectionOf(config, "vision");
  std::vector<FeedOptions> feeds;
  if (!section.is_object()) return feeds;
  for (const json& feed : section.value("feeds", json::array())) {
    feeds.push_back(ReadFeed(feed, config));
  }
  return feeds;
}

}  // namespace viaduct
