#include "core/config/plan.h"

#include <algorithm>
#include <array>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace viaduct {
namespace {

using nlohmann::json;

// What of the node's own sections is taken over while it runs; everything else needs a restart.
constexpr std::array<std::string_view, 4> kLiveKeys = {"log.level", "log.levels", "fleet.accept",
                                                       "vision.feeds"};

std::string DumpConfig(const InstanceOptions& instance) {
  const auto text = instance.config->GetJson("");
  return text.ok() ? std::string(*text) : "";
}

// "timeout, tls.key": the members that differ, with their paths.
void Differences(const json& a, const json& b, const std::string& path,
                 std::vector<std::string>* out) {
  if (a == b) return;
  if (!a.is_object() || !b.is_object()) {
    out->push_back(path);
    return;
  }
  std::set<std::string> keys;
  for (const auto& [key, value] : a.items()) keys.insert(key);
  for (const auto& [key, value] : b.items()) keys.insert(key);
  for (const std::string& key : keys) {
    Differences(a.value(key, json()), b.value(key, json()),
                path.empty() ? key : absl::StrCat(path, ".", key), out);
  }
}

std::vector<std::string> Differences(const std::string& a, const std::string& b) {
  const json before = json::parse(a, nullptr, false);
  const json after = json::parse(b, nullptr, false);
  std::vector<std::string> out;
  if (!before.is_discarded() && !after.is_discarded()) Differences(before, after, "", &out);
  return out;
}

Effect PlanInstance(const InstanceOptions& current, const InstanceOptions& next) {
  Effect effect;
  effect.subject = absl::StrCat("instance/", next.name);
  std::vector<std::string> restart;
  if (current.plugin != next.plugin) restart.push_back("plugin");
  if (current.unavailable_reason != next.unavailable_reason) restart.push_back("plugin's state");
  for (const std::string& key : Differences(DumpConfig(current), DumpConfig(next))) {
    restart.push_back(absl::StrCat("config.", key));
  }
  std::vector<std::string> apply;
  if (current.start != next.start) apply.push_back("start");
  if (current.on_start_failure != next.on_start_failure) apply.push_back("on_start_failure");
  if (current.link_metered != next.link_metered) apply.push_back("link.metered");
  if (current.link_cost_per_mb != next.link_cost_per_mb) apply.push_back("link.cost_per_mb");
  if (!restart.empty()) {
    effect.kind = EffectKind::kRestart;
    restart.insert(restart.end(), apply.begin(), apply.end());
    effect.text = absl::StrCat("changed: ", absl::StrJoin(restart, ", "));
  } else if (!apply.empty()) {
    effect.kind = EffectKind::kApply;
    effect.text = absl::StrCat("changed: ", absl::StrJoin(apply, ", "));
  }
  return effect;
}

const InstanceOptions* FindInstance(const NodeConfig& config, const std::string& name) {
  for (const InstanceOptions& instance : config.instances) {
    if (instance.name == name) return &instance;
  }
  return nullptr;
}

void PlanInstances(const NodeConfig& current, const NodeConfig& next, std::vector<Effect>* plan) {
  for (const InstanceOptions& instance : next.instances) {
    const InstanceOptions* before = FindInstance(current, instance.name);
    if (before != nullptr) {
      plan->push_back(PlanInstance(*before, instance));
    } else {
      plan->push_back({absl::StrCat("instance/", instance.name), EffectKind::kAdd,
                       absl::StrCat("new, plugin ", instance.plugin)});
    }
  }
  for (const InstanceOptions& instance : current.instances) {
    if (FindInstance(next, instance.name) != nullptr) continue;
    plan->push_back({absl::StrCat("instance/", instance.name), EffectKind::kRemove, "removed"});
  }
}

bool IsLive(const std::string& key) {
  return std::any_of(kLiveKeys.begin(), kLiveKeys.end(), [&](std::string_view live) {
    return key.compare(0, live.size(), live) == 0 &&
           (key.size() == live.size() || key[live.size()] == '.');
  });
}

}  // namespace

std::vector<Effect> PlanChange(const NodeConfig& current, const NodeConfig& next) {
  std::vector<Effect> plan;
  PlanInstances(current, next, &plan);
  std::map<std::string, std::pair<std::vector<std::string>, bool>> sections;
  for (const std::string& key : Differences(current.sections_json, next.sections_json)) {
    auto& [keys, live] =
        sections.try_emplace(key.substr(0, key.find('.')), std::vector<std::string>(), true)
            .first->second;
    keys.push_back(key);
    live = live && IsLive(key);
  }
  for (const auto& [section, changed] : sections) {
    plan.push_back({section, changed.second ? EffectKind::kApply : EffectKind::kNodeRestart,
                    absl::StrCat("changed: ", absl::StrJoin(changed.first, ", "))});
  }
  return plan;
}

bool NeedsNodeRestart(const std::vector<Effect>& plan) {
  return std::any_of(plan.begin(), plan.end(),
                     [](const Effect& effect) { return effect.kind == EffectKind::kNodeRestart; });
}

}  // namespace viaduct
