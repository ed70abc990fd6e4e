// What taking over a new configuration would do to each instance and section.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/config/node_config.h"

namespace viaduct {

enum class EffectKind : uint8_t {
  kNone,
  kApply,    // Taken over while it runs.
  kRestart,  // The instance is stopped and made anew.
  kAdd,
  kRemove,
  kNodeRestart,  // Only a restart of the whole process takes it over.
};

struct Effect {
  std::string subject;  // "instance/<name>", or a section or key of the node: "log", "spool".
  EffectKind kind = EffectKind::kNone;
  std::string text;  // Which keys; never their values.
};

// Instances first, in the order of `next` and then those that go; then the node's sections that
// changed. Every instance has an entry, also those with no change.
std::vector<Effect> PlanChange(const NodeConfig& current, const NodeConfig& next);

bool NeedsNodeRestart(const std::vector<Effect>& plan);

}  // namespace viaduct
