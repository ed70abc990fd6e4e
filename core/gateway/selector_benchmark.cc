// What the choice of a link costs: every strategy over 3 and over 64 links that have all been
// measured. Prints nanoseconds a message, the median of several runs.
//
//   selector_benchmark [--json]
#include <time.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/gateway/adaptive_selector.h"
#include "core/gateway/selection_rules.h"
#include "core/gateway/standard_rules.h"

namespace viaduct {
namespace {

constexpr int kRuns = 21;
constexpr int kChoicesARun = 100'000;

// CPU time of this thread: what neighbours take does not count.
int64_t ThreadNanos() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

struct Roads {
  explicit Roads(size_t count) : models(count), names(count), views(count) {
    constexpr const char* kPlugins[] = {"websocket", "rest", "mqtt"};
    for (size_t i = 0; i < count; ++i) {
      for (uint64_t bytes = 100; bytes < 10'000; bytes += 100) {
        models[i].OnConfirmed(bytes, 0.01 * static_cast<double>(i + 1));
      }
      names[i] = absl::StrCat(kPlugins[i % 3], i < 3 ? "" : absl::StrCat("-", i));
      views[i].name = names[i];
      views[i].plugin = kPlugins[i % 3];
      views[i].ready = true;
      views[i].room = views[i].backlog_room = 1'000;
      views[i].quality = LinkQuality::kGood;
      views[i].score = 0.7;
      views[i].model = &models[i];
      views[i].measured_ns = 1;
    }
  }
  std::vector<LinkModel> models;
  std::vector<std::string> names;
  std::vector<LinkView> views;
};

double Measure(Selector* selector, const Roads& roads) {
  std::vector<double> runs;
  int64_t taken = 0;
  for (int run = 0; run < kRuns; ++run) {
    SelectorMessage message;
    const int64_t begin = ThreadNanos();
    for (int i = 0; i < kChoicesARun; ++i) {
      message.bytes = 200 + static_cast<size_t>(i) % 20'000;
      message.priority = static_cast<Priority>(i % 3);
      message.now_ns = 1'000'000'000 + i;
      taken += selector->Pick(message, roads.views).link >= 0 ? 1 : 0;
    }
    runs.push_back(static_cast<double>(ThreadNanos() - begin) / kChoicesARun);
  }
  std::sort(runs.begin(), runs.end());
  return taken == int64_t{kRuns} * kChoicesARun ? runs[runs.size() / 2] : -1;
}

int Main(bool json) {
  struct Strategy {
    const char* name;
    std::unique_ptr<Selector> selector;
  };
  int failed = 0;
  for (const size_t links : {size_t{3}, kMaxLinks}) {
    const Roads roads(links);
    Strategy strategies[] = {
        {"adaptive", std::make_unique<AdaptiveSelector>()},
        {"size_priority", std::make_unique<RuleSelector>(SizePriorityRules())},
        {"connectivity_score", std::make_unique<RuleSelector>(ConnectivityScoreRules())},
        {"round_robin", std::make_unique<BalancingSelector>()}};
    for (const Strategy& strategy : strategies) {
      const double nanos = Measure(strategy.selector.get(), roads);
      failed += nanos < 0 ? 1 : 0;
      std::printf(json ? "{\"benchmark\":\"%s\",\"links\":%zu,\"median_ns\":%.1f}\n"
                       : "%-18s over %2zu links: %6.1f ns a message\n",
                  strategy.name, links, nanos);
    }
  }
  return failed == 0 ? 0 : 1;
}

}  // namespace
}  // namespace viaduct

int main(int argc, char** argv) {
  return viaduct::Main(argc > 1 && std::string_view(argv[1]) == "--json");
}
