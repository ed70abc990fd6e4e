// Application::Handle of a detection body until its reply, with a SQLite store on a real disk: how
// many a second, how much CPU each, and the latency. Durability class C.
//   ingest_benchmark [folder] [records] [in flight] [cameras]
#include <stdlib.h>
#include <sys/resource.h>

#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/synchronization/mutex.h"
#include "core/base/clock.h"
#include "core/lpr/application.h"
#include "core/lpr/store_sink.h"
#include "core/observe/log.h"
#include "core/store/sqlite_store.h"

namespace viaduct {
namespace {

double CpuSeconds() {
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

std::string Body(int n, int cameras) {
  const absl::Time captured = absl::FromUnixMillis(1705314600000 + n / cameras * 40);
  return absl::StrFormat(
      R"({"type":"detection_result","camera_id":"CAM%03d","checkpoint_id":"CP%02d","timestamp":"%s",)"
      R"("vehicles_count":1,"plates_count":1,"ocr_results":[{"text":"%dAB%04d","confidence":0.93,)"
      R"("bbox":[100,200,260,240]}],"vehicle_detections":[{"bbox":[50,80,400,380],"score":0.91,)"
      R"("label":"car"}],"plate_detections":[{"bbox":[100,200,260,240],"score":0.88}],)"
      R"("processing_time_ms":%d})",
      n % cameras, n % cameras % 8,
      absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", captured, absl::UTCTimeZone()), n % 9, n % 10000,
      20 + n % 30);
}

// How many requests are on their way, and what they took.
class Window {
 public:
  explicit Window(int size) : free_(size) {}
  void Enter() {
    const absl::MutexLock lock(&mutex_);
    mutex_.Await(absl::Condition(
        +[](int* free) { return *free > 0; }, &free_));
    --free_;
  }
  void Leave(int64_t latency_ns, bool ok) {
    const absl::MutexLock lock(&mutex_);
    ++free_;
    failed_ += ok ? 0 : 1;
    latencies_.push_back(latency_ns);
  }
  void AwaitAll(int size) {
    const absl::MutexLock lock(&mutex_);
    while (free_ < size) changed_.WaitWithTimeout(&mutex_, absl::Milliseconds(1));
  }
  int failed() const { return failed_; }
  double Quantile(double q) {
    std::sort(latencies_.begin(), latencies_.end());
    const auto at = static_cast<size_t>(q * static_cast<double>(latencies_.size() - 1));
    return static_cast<double>(latencies_[at]) / 1e6;
  }

 private:
  absl::Mutex mutex_;
  absl::CondVar changed_;
  int free_;
  int failed_ = 0;
  std::vector<int64_t> latencies_;
};

int Run(const std::string& folder, int records, int in_flight, int cameras) {
  SystemClock clock;
  NullLog log;
  SqliteStoreOptions options;
  options.path = absl::StrCat(folder, "/bench.db");
  auto store = OpenSqliteStore(options, &clock, &log);
  if (!store.ok()) {
    std::fprintf(stderr, "%s\n", store.status().ToString().c_str());
    return 1;
  }
  StoreSink sink(StoreSinkOptions(), store->get(), nullptr, &clock, &log);
  ApplicationParts parts;
  parts.clock = &clock;
  parts.log = &log;
  parts.sink = &sink;
  parts.store = store->get();
  Application application(ApplicationOptions{"bench"}, parts);
  std::vector<std::string> bodies;
  for (int i = 0; i < records; ++i) bodies.push_back(Body(i, cameras));

  Window window(in_flight);
  const double cpu = CpuSeconds();
  const int64_t begun = clock.MonotonicNanos();
  for (std::string& body : bodies) {
    CallRequest request;
    request.protocol = "http";
    request.method = "POST";
    request.path = "/api/detection";
    request.body = std::move(body);
    window.Enter();
    const int64_t sent = clock.MonotonicNanos();
    application.Handle(std::move(request), [&window, &clock, sent](const CallReply& reply) {
      window.Leave(clock.MonotonicNanos() - sent, reply.status == 200);
    });
  }
  window.AwaitAll(in_flight);
  const double seconds = static_cast<double>(clock.MonotonicNanos() - begun) / 1e9;
  const double cpu_us = (CpuSeconds() - cpu) * 1e6 / records;
  const StoreHealth health = (*store)->Health();
  std::printf(
      "%d records, %d in flight, %d cameras: %.0f records/s, %.2f us CPU each, p50 %.3f ms, p99 "
      "%.3f ms, %.1f records per group, %.0f bytes on disk each, %d failed\n",
      records, in_flight, cameras, records / seconds, cpu_us, window.Quantile(0.5),
      window.Quantile(0.99),
      static_cast<double>(health.committed_records) / static_cast<double>(health.committed_groups),
      static_cast<double>(health.bytes) / records, window.failed());
  return window.failed() == 0 ? 0 : 1;
}

}  // namespace
}  // namespace viaduct

int main(int argc, char** argv) {
  char folder[] = "/tmp/viaduct-ingest-XXXXXX";
  const std::string where = argc > 1 && argv[1][0] != '\0' ? argv[1] : mkdtemp(folder);
  const int records = argc > 2 ? std::atoi(argv[2]) : 200'000;
  const int in_flight = argc > 3 ? std::atoi(argv[3]) : 64;
  const int cameras = argc > 4 ? std::atoi(argv[4]) : 50;
  return viaduct::Run(where, std::max(1, records), std::max(1, in_flight), std::max(1, cameras));
}
