// A metric of the node itself, without which it runs all the same.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "core/observe/metrics.h"

namespace viaduct {

// 0, which is ignored wherever it is used, where it cannot be had.
inline MetricNumber AddMetric(Metrics* metrics, MetricKind kind, const char* name, const char* help,
                              std::vector<std::pair<std::string, std::string>> labels = {}) {
  MetricSpec spec;
  spec.kind = kind;
  spec.name = name;
  spec.help = help;
  spec.labels = std::move(labels);
  return metrics->Add(spec).value_or(0);
}

}  // namespace viaduct
