// What the host's side of a delivery costs: batches of messages through a real library that
// confirms each at once. Prints nanoseconds per message of the whole round (build the batch, enter
// the lane, call, complete, tell the handler), the best and the median of several runs.
//
//   link_benchmark [--json]
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "core/base/clock.h"
#include "core/plugin/instances.h"

namespace viaduct {
namespace {

constexpr int kRuns = 51;
constexpr int kBatchesARun = 5000;

struct Result {
  double best_ns = 0;
  double median_ns = 0;
};

// CPU time of this thread: everything happens on it, and what neighbours take does not count.
int64_t ThreadNanos() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return int64_t{now.tv_sec} * 1000000000 + now.tv_nsec;
}

Result Measure(Link* link, size_t batch_size) {
  const std::string envelope(300, 'x');
  std::vector<OutboundMessage> batch(batch_size);
  for (size_t i = 0; i < batch_size; ++i) {
    batch[i].token = i + 1;
    batch[i].message_id = "0190a5d4-7f2e-7cc3-98c4-dc0c0c07398f";
    batch[i].edge_device_id = "CAM001";
    batch[i].envelope_json = envelope;
    batch[i].payload_json = std::string_view(envelope).substr(100, 150);
  }
  std::vector<double> runs;
  for (int run = 0; run < kRuns; ++run) {
    const int64_t begin = ThreadNanos();
    for (int i = 0; i < kBatchesARun; ++i) {
      if (link->Deliver(batch) != batch_size) return {};
    }
    const int64_t end = ThreadNanos();
    runs.push_back(static_cast<double>(end - begin) /
                   static_cast<double>(kBatchesARun * batch_size));
  }
  std::sort(runs.begin(), runs.end());
  return {runs.front(), runs[runs.size() / 2]};
}

int Main(bool json) {
  NullLog log;
  SystemClock clock;
  PluginRegistry::Options options;
  options.folders = {VIADUCT_TEST_PLUGINS "/good"};
  options.cache_dir =
      (std::filesystem::temp_directory_path() / absl::StrCat("link-benchmark-", getpid())).string();
  PluginRegistry registry(options, &log);
  registry.Scan();
  InstancesDeps deps;
  deps.plugins = &registry;
  deps.clock = &clock;
  deps.log = &log;
  Instances instances(deps, {});
  InstanceSpec spec;
  spec.name = spec.plugin = "quick";
  spec.config = *ConfigView::FromJson("{}");
  const ApplyResult applied = instances.Apply({spec}, ApplyMode::kAllOrNothing);
  if (!applied.status.ok() || !instances.AwaitSettled(absl::Seconds(10))) {
    std::fprintf(stderr, "link_benchmark: %s\n", applied.status.ToString().c_str());
    return 1;
  }
  const std::shared_ptr<Link> link = instances.links().at(0);
  uint64_t completed = 0;
  link->SetHandlers([&completed](absl::Span<const Completion> done) { completed += done.size(); },
                    nullptr);
  for (const size_t size : {size_t{1}, size_t{32}, size_t{128}}) {
    const Result result = Measure(link.get(), size);
    std::printf(json ? "{\"benchmark\":\"abi_deliver\",\"batch\":%zu,\"best_ns\":%.1f,"
                       "\"median_ns\":%.1f}\n"
                     : "deliver, batch of %3zu: %6.1f ns a message at best, median %6.1f\n",
                size, result.best_ns, result.median_ns);
  }
  link->SetHandlers(nullptr, nullptr);
  const uint64_t expected = uint64_t{kRuns} * kBatchesARun * (1 + 32 + 128);
  std::filesystem::remove_all(options.cache_dir);
  if (completed == expected) return 0;
  std::fprintf(stderr, "link_benchmark: %llu completions instead of %llu\n",
               static_cast<unsigned long long>(completed),  // NOLINT(google-runtime-int)
               static_cast<unsigned long long>(expected));  // NOLINT(google-runtime-int)
  return 1;
}

}  // namespace
}  // namespace viaduct

int main(int argc, char** argv) {
  return viaduct::Main(argc > 1 && std::string_view(argv[1]) == "--json");
}
