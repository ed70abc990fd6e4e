#include "host/node/gateway_setup.h"

#include <utility>

#include "core/gateway/adaptive_selector.h"
#include "core/gateway/selection_rules.h"
#include "core/gateway/standard_rules.h"

namespace viaduct {
namespace {

std::unique_ptr<Selector> MakeRules(RuleSelector::Options rules, const GatewayOptions& gateway) {
  rules.falls_back = gateway.fallback.enabled;
  rules.fallback = gateway.fallback.order;
  rules.measured = gateway.selection.network_aware;
  return std::make_unique<RuleSelector>(std::move(rules));
}

std::unique_ptr<Selector> MakeStrategy(const GatewayOptions& gateway) {
  if (!gateway.selection.auto_select) return std::make_unique<ConfiguredOrderSelector>();
  switch (gateway.selection.strategy) {
    case SelectionStrategy::kSizePriority:
      return MakeRules(SizePriorityRules(), gateway);
    case SelectionStrategy::kConnectivityScore:
      return MakeRules(ConnectivityScoreRules(), gateway);
    case SelectionStrategy::kRoundRobin:
      return std::make_unique<BalancingSelector>();
    case SelectionStrategy::kAdaptive:
      break;
  }
  if (gateway.selection.network_aware) return std::make_unique<AdaptiveSelector>();
  return MakeRules(SizePriorityRules(), gateway);
}

}  // namespace

std::unique_ptr<Selector> MakeSelector(const GatewayOptions& gateway) {
  std::unique_ptr<Selector> selector = MakeStrategy(gateway);
  if (gateway.selection.priority_based) return selector;
  return std::make_unique<EqualPrioritySelector>(std::move(selector));
}

SpoolOptions MakeSpoolOptions(const NodeConfig& config) {
  SpoolOptions options;
  options.path = config.spool.path;
  options.max_bytes = config.spool.max_bytes;
  options.max_messages = config.spool.max_messages;
  options.min_free_bytes = config.spool.min_free_bytes;
  options.when_full = config.spool.when_full == SpoolFull::kRejectNew
                          ? WhenFull::kRejectNew
                          : WhenFull::kDropOldestLowPriority;
  options.time_to_live = {config.spool.detection_time_to_live, config.spool.health_time_to_live,
                          config.spool.config_time_to_live, config.spool.control_time_to_live};
  options.dead_letter_share = config.spool.dead_letter_share;
  options.encrypt = config.spool.encrypt;
  options.max_rejects = config.gateway.max_rejects;
  options.live_age = config.gateway.backlog.after;
  options.ordered = config.gateway.ordered;
  return options;
}

DispatcherOptions MakeDispatcherOptions(const GatewayOptions& gateway) {
  DispatcherOptions options;
  if (gateway.window > 0) options.window = gateway.window;
  if (gateway.batch > 0) options.batch = gateway.batch;
  options.retry = {gateway.retry.initial_delay, gateway.retry.max_delay, gateway.retry.multiplier,
                   gateway.retry.jitter};
  options.failures_to_open = gateway.breaker_failures;
  options.fallback = gateway.fallback.enabled;
  options.max_attempts = gateway.fallback.max_attempts;
  options.retry_budget.share = gateway.retry_budget.share;
  options.retry_budget.per_second = gateway.retry_budget.per_second;
  options.hedged_share = gateway.hedged_share;
  options.backlog_per_second = gateway.backlog.per_second;
  return options;
}

NetworkMonitor::Options MakeMonitorOptions(const GatewayOptions& gateway) {
  NetworkMonitor::Options options;
  options.enabled = gateway.probe.enabled && gateway.selection.network_aware;
  options.interval = gateway.probe.interval;
  options.retry_interval = gateway.probe.retry_interval;
  options.timeout = gateway.probe.timeout;
  return options;
}

std::vector<Roads::Configured> ConfiguredRoads(const NodeConfig& config) {
  std::vector<Roads::Configured> roads;
  for (const InstanceOptions& instance : config.instances) {
    roads.push_back(
        {instance.name, {instance.plugin, instance.link_metered, instance.link_cost_per_mb}});
  }
  return roads;
}

}  // namespace viaduct
