#include "host/node/objections.h"

#include <algorithm>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "core/config/encryption_options.h"
#include "core/config/open_listeners.h"
#include "core/config/vision_options.h"
#include "core/security/key_ring.h"
#include "host/node/storage.h"
#include "viaduct/abi/frame.h"

namespace viaduct {

std::vector<InstanceSpec> SpecsOf(const NodeConfig& config) {
  std::vector<InstanceSpec> specs;
  specs.reserve(config.instances.size());
  for (const auto& instance : config.instances) {
    InstanceSpec spec;
    spec.name = instance.name;
    spec.plugin = instance.plugin;
    spec.config = instance.config;
    spec.unavailable_reason = instance.unavailable_reason;
    spec.start = instance.start == InstanceStart::kAuto ? StartPolicy::kAuto : StartPolicy::kManual;
    spec.on_start_failure = instance.on_start_failure == StartFailure::kRetry
                                ? StartFailurePolicy::kRetry
                                : StartFailurePolicy::kFail;
    specs.push_back(std::move(spec));
  }
  return specs;
}

AskFn AskThrough(Instances* instances) {
  return [instances](const NodeConfig& config) {
    std::vector<Objection> objections;
    for (auto& mistake : instances->Validate(SpecsOf(config))) {
      absl::string_view text = mistake.status.message();
      // A finding says by itself where the mistake is.
      absl::ConsumePrefix(&text, "configure: ");
      absl::ConsumePrefix(&text, absl::StrCat(mistake.pointer, ": "));
      std::string said(text);
      objections.push_back(
          {std::move(mistake.instance), std::move(mistake.pointer), std::move(said)});
    }
    return objections;
  };
}

std::vector<Objection> ObjectToOpenListeners(const NodeConfig& config, const std::string& mode) {
  std::vector<Objection> objections;
  if (!mode.empty()) return objections;  // They are asked, or nobody is meant to be.
  for (const OpenListener& one : OpenListeners(config)) {
    objections.push_back({one.instance, "/listen",
                          "listen: others would reach it before the section auth is in force; "
                          "restart the node with auth first",
                          "open_to_all"});
  }
  return objections;
}

std::vector<Objection> ObjectToMove(const NodeConfig& config, const std::string& data_dir) {
  const auto normal = [](const std::string& path) {
    return std::filesystem::path(path + "/").lexically_normal();
  };
  if (normal(config.node.data_dir) == normal(data_dir)) return {};
  return {{"", "/node/data_dir",
           absl::StrCat("data_dir: the state of this node is in \"", data_dir, "\", not in \"",
                        config.node.data_dir,
                        "\"; to move it, stop the node, move the folder and start it with a file"),
           "not_allowed"}};
}

std::vector<Objection> ObjectToFeeds(const NodeConfig& config, const PluginRegistry& plugins) {
  std::vector<Objection> objections;
  const auto check = [&](const std::string& name, const char* id, std::string pointer) {
    for (const InstanceOptions& instance : config.instances) {
      if (instance.name != name) continue;
      const absl::StatusOr<PluginInfo> info = plugins.Describe(instance.plugin);
      if (!info.ok() || info->interfaces.empty()) return;  // It is shown as failed for that.
      const auto& ids = info->interfaces;
      if (std::find(ids.begin(), ids.end(), id) != ids.end()) return;
      objections.push_back({"", std::move(pointer),
                            absl::StrCat("instance \"", name, "\": its plugin \"", instance.plugin,
                                         "\" does not offer ", id)});
      return;
    }
  };
  const std::vector<FeedOptions> feeds = ReadFeeds(config);
  for (size_t i = 0; i < feeds.size(); ++i) {
    const std::string feed = absl::StrCat("/vision/feeds/", i);
    check(feeds[i].source, VD_SOURCE_1, absl::StrCat(feed, "/source"));
    for (size_t k = 0; k < feeds[i].infer.size(); ++k) {
      check(feeds[i].infer[k], VD_INFER_1, absl::StrCat(feed, "/infer/", k));
    }
  }
  return objections;
}

std::vector<Objection> ObjectToKeys(const NodeConfig& config, bool reads) {
  const std::optional<EncryptionOptionsConfig> encryption = ReadEncryptionOptions(config);
  std::vector<Objection> objections;
  const auto need_keys = [&](bool wanted, const char* pointer) {
    if (!wanted || encryption.has_value()) return;
    objections.push_back({"", pointer, "there are no keys, encryption.keys names none"});
  };
  need_keys(config.spool.encrypt, "/spool/encrypt");
  need_keys(config.store.encrypt_images, "/store/encrypt_images");
  if (!encryption.has_value() || !reads) return objections;
  const absl::Status keys = security::KeyRing::Load(encryption->keys).status();
  if (!keys.ok()) objections.push_back({"", "/encryption/keys", std::string(keys.message())});
  return objections;
}

std::vector<Objection> ObjectToStore(const NodeConfig& config) {
  if (!config.store.postgresql.has_value()) return {};
  const absl::Status status = CheckPostgresAddress(AddressOf(*config.store.postgresql));
  if (status.ok()) return {};
  return {{"", "/store/postgresql/url", std::string(status.message())}};
}

}  // namespace viaduct
