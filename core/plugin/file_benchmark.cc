// Files through a plugin as the host gives them to it: as many at once as it takes. Prints one JSON
// object with the seconds from the first begin to the last done, those until the road was ready
// before it, and resident memory ready and idle, and at its peak.
//
//   file_benchmark PLUGIN_FOLDER JOBS.json
//
// JOBS.json: {"plugin": NAME, "config": {...}, "files": [{"path", "name", "sha256", "size"}, ...]}
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "core/base/clock.h"
#include "core/plugin/file_road.h"
#include "core/plugin/instances.h"

namespace viaduct {
namespace {

using Json = nlohmann::json;

constexpr absl::Duration kReadyLimit = absl::Seconds(60);
constexpr absl::Duration kLimit = absl::Minutes(10);

int64_t MemoryKib(const std::string& key) {
  std::ifstream status("/proc/self/status");
  std::string line;
  while (std::getline(status, line)) {
    if (line.rfind(key + ":", 0) == 0) return std::stoll(line.substr(key.size() + 1));
  }
  return 0;
}

FileJob JobOf(const Json& file) {
  FileJob job;
  job.local_path = file.at("path");
  job.remote_name = file.at("name");
  job.sha256 = file.at("sha256");
  job.size = file.at("size");
  return job;
}

// Lives on the main thread; what the road tells comes on any.
class Sender {
 public:
  explicit Sender(std::shared_ptr<FileRoad> road) : road_(std::move(road)) {}

  bool AwaitReady() {
    const absl::Time deadline = absl::Now() + kReadyLimit;
    while (road_->credit() == 0 && absl::Now() < deadline) absl::SleepFor(absl::Milliseconds(1));
    // What is begun reaches the plugin a moment later: its credit is counted here.
    capacity_ = road_->credit();
    return capacity_ > 0;
  }
  // False: one did not arrive, or all took too long.
  bool Send(const std::vector<FileJob>& jobs) {
    const absl::Time deadline = absl::Now() + kLimit;
    for (size_t begun = 0; begun < jobs.size(); ++begun) {
      if (!AwaitEnded(begun + 1, deadline) || !Begin(jobs[begun])) return false;
    }
    return AwaitEnded(jobs.size() + capacity_, deadline) && !failed();
  }

 private:
  // All but what the plugin takes at once.
  bool AwaitEnded(size_t begun, absl::Time deadline) {
    absl::MutexLock lock(&mutex_);
    const auto enough = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
      return ended_ + capacity_ >= begun;
    };
    return mutex_.AwaitWithDeadline(absl::Condition(&enough), deadline);
  }
  bool Begin(const FileJob& job) {
    return road_
        ->Begin(
            job, [](uint64_t, uint64_t) {}, [this](const FileResult& r) { OnDone(r); })
        .ok();
  }
  bool failed() {
    absl::MutexLock lock(&mutex_);
    return failed_;
  }
  void OnDone(const FileResult& result) {
    absl::MutexLock lock(&mutex_);
    ++ended_;
    if (result.outcome == Outcome::kDurable) return;
    failed_ = true;
    std::fprintf(stderr, "file_benchmark: %s\n", result.status.ToString().c_str());
  }

  const std::shared_ptr<FileRoad> road_;
  size_t capacity_ = 0;
  absl::Mutex mutex_;
  size_t ended_ ABSL_GUARDED_BY(mutex_) = 0;
  bool failed_ ABSL_GUARDED_BY(mutex_) = false;
};

int Measure(Instances* instances, const Json& wanted) {
  InstanceSpec spec;
  spec.name = spec.plugin = wanted.at("plugin");
  spec.config = *ConfigView::FromJson(wanted.at("config").dump());
  const absl::Time begin = absl::Now();
  const ApplyResult applied = instances->Apply({spec}, ApplyMode::kAllOrNothing);
  const bool settled = applied.status.ok() && instances->AwaitSettled(kReadyLimit);
  const auto road = instances->file_road(spec.name);
  if (!settled || !road.ok()) {
    const absl::Status& why = applied.status.ok() ? road.status() : applied.status;
    std::fprintf(stderr, "file_benchmark: %s\n", why.ToString().c_str());
    return 1;
  }
  Sender sender(*road);
  if (!sender.AwaitReady()) {
    std::fprintf(stderr, "file_benchmark: the road does not become ready\n");
    return 1;
  }
  const absl::Time ready = absl::Now();
  const int64_t idle_kib = MemoryKib("VmRSS");
  std::vector<FileJob> jobs;
  for (const Json& file : wanted.at("files")) jobs.push_back(JobOf(file));
  if (!sender.Send(jobs)) return 1;
  std::printf("{\"seconds\":%.6f,\"ready_seconds\":%.6f,\"idle_kib\":%lld,\"peak_kib\":%lld}\n",
              absl::ToDoubleSeconds(absl::Now() - ready), absl::ToDoubleSeconds(ready - begin),
              static_cast<long long>(idle_kib),             // NOLINT(google-runtime-int)
              static_cast<long long>(MemoryKib("VmHWM")));  // NOLINT(google-runtime-int)
  return 0;
}

int Main(const std::string& folder, const std::string& jobs_path) {
  std::ifstream file(jobs_path);
  const Json wanted = Json::parse(file);
  NullLog log;
  SystemClock clock;
  PluginRegistry::Options options;
  options.folders = {folder};
  options.cache_dir =
      (std::filesystem::temp_directory_path() / absl::StrCat("file-benchmark-", getpid())).string();
  PluginRegistry registry(options, &log);
  registry.Scan();
  int code = 0;
  {
    InstancesDeps deps;
    deps.plugins = &registry;
    deps.clock = &clock;
    deps.log = &log;
    Instances instances(deps, {});
    code = Measure(&instances, wanted);
  }
  std::filesystem::remove_all(options.cache_dir);
  return code;
}

}  // namespace
}  // namespace viaduct

int main(int argc, char** argv) {
  if (argc == 3) return viaduct::Main(argv[1], argv[2]);
  std::fprintf(stderr, "usage: file_benchmark PLUGIN_FOLDER JOBS.json\n");
  return 2;
}
