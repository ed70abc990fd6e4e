#include "tests/support/load.h"

#include <signal.h>
#include <sys/resource.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"

namespace viaduct::support {
namespace {

constexpr size_t kLogBufferBytes = 1 << 20;

double Millis(int64_t nanos) { return static_cast<double>(nanos) / 1e6; }

std::atomic<bool> stop_requested{false};
static_assert(std::atomic<bool>::is_always_lock_free, "set by a signal handler");

}  // namespace

void StopOnSignals() {
  struct sigaction action {};
  action.sa_handler = [](int) { stop_requested.store(true); };
  sigaction(SIGTERM, &action, nullptr);
  sigaction(SIGINT, &action, nullptr);
}

bool StopRequested() { return stop_requested.load(std::memory_order_relaxed); }

int64_t NowNanos() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

double ProcessCpuSeconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

std::string LoadResults::ToJson() const {
  const double per_second = seconds > 0 ? static_cast<double>(accepted) / seconds : 0;
  const nlohmann::json json = {
      {"made", made},
      {"accepted", accepted},
      {"refused", refused},
      {"retried", retried},
      {"connects", connects},
      {"disconnects", disconnects},
      {"timeouts", timeouts},
      {"bytes_sent", bytes_sent},
      {"seconds", seconds},
      {"per_second", per_second},
      {"idle_connect_seconds", idle_connect_seconds},
      {"generator_cpu_seconds", cpu_seconds},
      {"answers", answers},
      {"samples", samples},
      {"without_retry_after", without_retry_after},
      {"latency_ms",
       {{"mean", latency.MeanNanos() / 1e6},
        {"p50", Millis(latency.Quantile(0.50))},
        {"p90", Millis(latency.Quantile(0.90))},
        {"p99", Millis(latency.Quantile(0.99))},
        {"p999", Millis(latency.Quantile(0.999))},
        {"max", Millis(latency.max())}}},
  };
  return json.dump();
}

absl::Status LedgerLog::Open(const std::string& path) {
  if (path.empty()) return absl::OkStatus();
  file_.reset(std::fopen(path.c_str(), "we"));
  if (file_ == nullptr) {
    return absl::UnavailableError(
        absl::StrCat("ledger log: cannot open ", path, ", ", std::strerror(errno)));
  }
  std::setvbuf(file_.get(), nullptr, _IOFBF, kLogBufferBytes);
  return absl::OkStatus();
}

void LedgerLog::Claimed(const Message& m) {
  if (on()) std::fprintf(file_.get(), "claimed %s %s\n", m.id.c_str(), m.digest.c_str());
}

void LedgerLog::Accepted(std::string_view id) {
  if (!on()) return;
  std::fprintf(file_.get(), "accepted %.*s\n", static_cast<int>(id.size()), id.data());
}

absl::Status LedgerLog::Close() {
  if (!on()) return absl::OkStatus();
  if (std::fclose(file_.release()) == 0) return absl::OkStatus();
  return absl::DataLossError(absl::StrCat("ledger log: cannot write, ", std::strerror(errno)));
}

}  // namespace viaduct::support
