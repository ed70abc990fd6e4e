#include <algorithm>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <string>

#include "host_tables.h"
#include "viaduct/cpp/text.h"

namespace viaduct::check {
namespace {

constexpr size_t kMaxSeries = 256;
constexpr uint64_t kMaxBounds = 32;

template <typename Clock>
int64_t NowNs() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now().time_since_epoch())
      .count();
}

bool IsMetricName(const std::string& name) {
  return !name.empty() && name[0] >= 'a' && name[0] <= 'z' &&
         name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_") == std::string::npos;
}

// A task of the plugin on one of its lanes; an exception must not come out of it.
Worker::Task Task(Fixture& fixture, vd_task_fn task, void* user) {
  return [&fixture, task, user] {
    try {
      task(user);
    } catch (...) {
      fixture.Fail("a posted task or timer lets an exception out");
    }
  };
}

}  // namespace

const void* ServiceTables::Find(std::string_view id) {
  static constexpr vd_host_log_1 kLog = {&LogEnabled, &LogWrite};
  static constexpr vd_host_clock_1 kClock = {&MonotonicNs, &WallNs};
  static constexpr vd_host_post_1 kPost = {&Post};
  static constexpr vd_host_timer_1 kTimer = {&TimerArm, &TimerCancel};
  static constexpr vd_host_buffer_1 kBuffer = {&BufferMake};
  static constexpr vd_host_metrics_1 kMetrics = {&MetricAdd, &MetricIncrease, &MetricSet,
                                                 &MetricObserve};
  static constexpr vd_host_health_1 kHealth = {&HealthSet, &HealthFail};
  if (id == VD_HOST_LOG_1) return &kLog;
  if (id == VD_HOST_CLOCK_1) return &kClock;
  if (id == VD_HOST_POST_1) return &kPost;
  if (id == VD_HOST_TIMER_1) return &kTimer;
  if (id == VD_HOST_BUFFER_1) return &kBuffer;
  if (id == VD_HOST_METRICS_1) return &kMetrics;
  if (id == VD_HOST_HEALTH_1) return &kHealth;
  return nullptr;
}

uint32_t ServiceTables::LogEnabled(const vd_host* host, uint32_t level) {
  TestHost::Of(host).Expect(kAnyState, "log.enabled");
  return level >= VD_LOG_DEBUG ? 1 : 0;
}

void ServiceTables::LogWrite(const vd_host* host, uint32_t level, vd_str message,
                             const vd_attr* fields, uint64_t count) {
  TestHost& self = TestHost::Of(host);
  self.Expect(kAnyState, "log.write");
  if (level > VD_LOG_ERROR) self.fixture_.Fail("log.write: unknown level");
  std::string line = self.Read(message, "log.write");
  for (uint64_t i = 0; i < count; ++i) {
    line += " " + self.Read(fields[i].name, "log.write") + "=" +
            self.Read(fields[i].value, "log.write");
  }
  std::fprintf(stderr, "  log %u: %s\n", level, line.c_str());
}

int64_t ServiceTables::MonotonicNs(const vd_host* host) {
  TestHost::Of(host).Expect(kAnyState, "clock.monotonic_ns");
  return NowNs<std::chrono::steady_clock>();
}

int64_t ServiceTables::WallNs(const vd_host* host) {
  TestHost::Of(host).Expect(kAnyState, "clock.wall_ns");
  return NowNs<std::chrono::system_clock>();
}

int32_t ServiceTables::Post(const vd_host* host, uint32_t lane, vd_task_fn task, void* user) {
  TestHost& self = TestHost::Of(host);
  self.Expect(kStarted | kDraining, "post");
  if (task == nullptr) self.fixture_.Fail("post: no task");
  if (self.refusing_) return VD_FAILED_PRECONDITION;
  if (lane >= self.lane_count()) return VD_OUT_OF_RANGE;
  return self.lane(lane).Post(Task(self.fixture_, task, user)) ? VD_OK : VD_FAILED_PRECONDITION;
}

int32_t ServiceTables::TimerArm(const vd_host* host, uint32_t lane, int64_t delay_ns,
                                vd_task_fn task, void* user, uint64_t* out) {
  TestHost& self = TestHost::Of(host);
  self.Expect(kStarted | kDraining, "timer.arm");
  if (task == nullptr || out == nullptr) self.fixture_.Fail("timer.arm: no task or no place");
  if (self.refusing_) return VD_FAILED_PRECONDITION;
  if (lane >= self.lane_count()) return VD_OUT_OF_RANGE;
  const std::lock_guard<std::mutex> lock(self.mutex_);
  uint64_t number = 0;
  // At least 1 ns: what is due at once keeps to the order of posts, a timer need not.
  const std::chrono::nanoseconds delay(std::max<int64_t>(delay_ns, 1));
  if (!self.lane(lane).PostIn(delay, Task(self.fixture_, task, user), &number)) {
    return VD_FAILED_PRECONDITION;
  }
  *out = ++self.last_timer_;
  self.timers_[*out] = {lane, number};
  return VD_OK;
}

int32_t ServiceTables::TimerCancel(const vd_host* host, uint64_t timer) {
  TestHost& self = TestHost::Of(host);
  self.Expect(kStarted | kDraining, "timer.cancel");
  const std::lock_guard<std::mutex> lock(self.mutex_);
  const auto found = self.timers_.find(timer);
  if (found == self.timers_.end()) return VD_NOT_FOUND;
  const auto [lane, number] = found->second;
  self.timers_.erase(found);
  return self.lane(lane).Cancel(number) ? VD_OK : VD_NOT_FOUND;
}

vd_buffer* ServiceTables::BufferMake(const vd_host* host, uint64_t size) {
  TestHost& self = TestHost::Of(host);
  self.Expect(kAnyState, "buffer.make");
  constexpr uint64_t kMost = 256u << 20;
  if (size > kMost) return nullptr;
  return self.MakeBuffer(std::string(static_cast<size_t>(size), '\0'));
}

int32_t ServiceTables::MetricAdd(const vd_host* host, const vd_metric* metric, uint32_t* out) {
  TestHost& self = TestHost::Of(host);
  self.Expect(kCreated | kConfigured, "metrics.add");
  self.ExpectRecord(metric->struct_size, sizeof(vd_metric), "vd_metric");
  const std::string name = self.Read(metric->name, "metrics.add");
  if (!IsMetricName(name)) self.fixture_.Fail("metrics.add: bad name \"" + name + "\"");
  if (self.Read(metric->help, "metrics.add").empty()) {
    self.fixture_.Fail("metrics.add: " + name + " has no help text");
  }
  if (metric->kind < VD_METRIC_COUNTER || metric->kind > VD_METRIC_HISTOGRAM) {
    self.fixture_.Fail("metrics.add: " + name + " is of no known kind");
  }
  const bool ascending = std::is_sorted(metric->bounds, metric->bounds + metric->bound_count);
  if (metric->bound_count > kMaxBounds || !ascending) {
    self.fixture_.Fail("metrics.add: the bounds of " + name + " are too many or not ascending");
  }
  std::string key = name;
  for (uint64_t i = 0; i < metric->label_count; ++i) {
    key += "," + self.Read(metric->labels[i].name, "metrics.add") + "=" +
           self.Read(metric->labels[i].value, "metrics.add");
  }
  const std::lock_guard<std::mutex> lock(self.mutex_);
  if (self.series_.size() >= kMaxSeries) return VD_RESOURCE_EXHAUSTED;
  const auto [known, fresh] =
      self.series_numbers_.emplace(key, static_cast<uint32_t>(self.series_numbers_.size() + 1));
  if (fresh) self.series_[known->second].kind = metric->kind;
  *out = known->second;
  return VD_OK;
}

uint32_t ServiceTables::KindOf(TestHost& host, uint32_t metric) {
  host.Expect(kAnyState, "metrics");
  const std::lock_guard<std::mutex> lock(host.mutex_);
  const auto found = host.series_.find(metric);
  return found == host.series_.end() ? 0 : found->second.kind;
}

void ServiceTables::MetricIncrease(const vd_host* host, uint32_t metric, double delta) {
  TestHost& self = TestHost::Of(host);
  const uint32_t kind = KindOf(self, metric);
  if (kind != VD_METRIC_COUNTER && kind != VD_METRIC_GAUGE) {
    self.fixture_.Fail("metrics.increase: not a counter or gauge, " + std::to_string(metric));
  }
  if (kind == VD_METRIC_COUNTER && !(delta >= 0)) {
    self.fixture_.Fail("metrics.increase: a counter can not go down");
  }
}

void ServiceTables::MetricSet(const vd_host* host, uint32_t metric, double) {
  TestHost& self = TestHost::Of(host);
  if (KindOf(self, metric) != VD_METRIC_GAUGE) {
    self.fixture_.Fail("metrics.set: not a gauge, " + std::to_string(metric));
  }
}

void ServiceTables::MetricObserve(const vd_host* host, uint32_t metric, double) {
  TestHost& self = TestHost::Of(host);
  if (KindOf(self, metric) != VD_METRIC_HISTOGRAM) {
    self.fixture_.Fail("metrics.observe: not a histogram, " + std::to_string(metric));
  }
}

void ServiceTables::HealthSet(const vd_host* host, uint32_t state, vd_str reason) {
  TestHost& self = TestHost::Of(host);
  self.Expect(kStarted | kDraining, "health.set");
  const std::string text = self.Read(reason, "health.set");
  if (state < VD_HEALTH_HEALTHY || state > VD_HEALTH_UNHEALTHY) {
    self.fixture_.Fail("health.set: unknown state " + std::to_string(state));
  }
  if (state != VD_HEALTH_HEALTHY && text.empty()) {
    self.fixture_.Fail("health.set: no reason for not being healthy");
  }
}

void ServiceTables::HealthFail(const vd_host* host, int32_t code, vd_str reason) {
  TestHost& self = TestHost::Of(host);
  self.Expect(kStarted | kDraining, "health.fail");
  self.fixture_.Fail("the instance gives itself up, code " + std::to_string(code) + ": " +
                     self.Read(reason, "health.fail"));
}

}  // namespace viaduct::check
