#include "core/config/transfer_options.h"

#include <nlohmann/json.hpp>

#include "core/config/members.h"

namespace viaduct {
namespace {

using members::Below;
using members::Bytes;
using members::Time;
using nlohmann::json;

// "22:30"; the schema has checked its form.
int MinuteIn(const json& section, const char* key) {
  const std::string text = section.value(key, "00:00");
  return (text[0] - '0') * 600 + (text[1] - '0') * 60 + (text[3] - '0') * 10 + (text[4] - '0');
}

WatchOptionsConfig ReadWatch(const json& section, const std::string& data_dir) {
  WatchOptionsConfig watch;
  watch.path = Below(data_dir, section.value("path", ""));
  watch.device = section.value("device", "");
  watch.priority = section.value("priority", "normal");
  watch.kind = section.value("kind", "file");
  watch.remove = section.value("after", "keep") == "delete";
  watch.settle = Time(section, "settle");
  watch.rescan = Time(section, "rescan");
  return watch;
}

void ReadBounds(const json& section, TransferOptionsConfig* options) {
  options->max_files = section.value("max_files", uint64_t{0});
  options->max_bytes = Bytes(section, "max_bytes");
  options->max_file_bytes = Bytes(section, "max_file_bytes");
  options->min_free_bytes = Bytes(section, "min_free_bytes");
  const json parallel = section.value("parallel", json::object());
  options->parallel_files = parallel.value("files", 1u);
  options->parallel_bytes = Bytes(parallel, "bytes");
  options->large_from = Bytes(parallel, "large_from");
  options->parallel_large = parallel.value("large", 1u);
  options->bytes_per_second = Bytes(section, "bandwidth");
}

void ReadSchedule(const json& section, TransferOptionsConfig* options) {
  for (const json& window : section.value("windows", json::array())) {
    options->windows.emplace_back(MinuteIn(window, "from"), MinuteIn(window, "to"));
  }
  options->min_quality = section.value("min_quality", "unknown");
  options->unmetered_only = section.value("unmetered_only", false);
  options->urgent = section.value("urgent", false);
}

void ReadPatience(const json& section, TransferOptionsConfig* options) {
  const json retry = section.value("retry", json::object());
  options->retry = {Time(retry, "initial_delay"), Time(retry, "max_delay"),
                    retry.value("multiplier", 2.0), retry.value("jitter", 0.2)};
  options->breaker_failures = section.value("breaker_failures", 1u);
  options->max_attempts = section.value("max_attempts", 1u);
  options->stall_timeout = Time(section, "stall_timeout");
  options->server_confirms = section.value("confirm", "road") == "server";
  options->confirm_timeout = Time(section, "confirm_timeout");
}

}  // namespace

TransferOptionsConfig ReadTransferOptions(const NodeConfig& config) {
  TransferOptionsConfig options;
  json section = members::SectionOf(config, "transfers");
  if (section.is_null()) section = json::object();
  const std::string& data_dir = config.node.data_dir;
  options.folder = Below(data_dir, section.value("folder", "transfers"));
  for (const json& root : section.value("roots", json::array())) {
    options.roots.push_back(root.get<std::string>());
  }
  options.announce = section.value("announce", true);
  options.images = section.value("images", "inline");
  options.images_from = Bytes(section, "images_from");
  ReadBounds(section, &options);
  ReadSchedule(section.value("schedule", json::object()), &options);
  ReadPatience(section, &options);
  const json retention = section.value("retention", json::object());
  options.keep = Time(retention, "keep");
  options.history = retention.value("history", uint64_t{0});
  for (const json& watch : section.value("watch", json::array())) {
    options.watch.push_back(ReadWatch(watch, data_dir));
  }
  return options;
}

}  // namespace viaduct
