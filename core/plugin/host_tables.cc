// The function tables that a plugin sees, by id. Each thunk checks what can be checked and goes on
// to a side of the incarnation.
#include <string>
#include <utility>

#include "core/plugin/abi_values.h"
#include "core/plugin/deliver_side.h"
#include "core/plugin/file_side.h"
#include "core/plugin/host_side.h"
#include "core/plugin/inbound_side.h"
#include "core/plugin/incarnation.h"
#include "core/plugin/infer_side.h"
#include "core/plugin/out_call_side.h"
#include "core/plugin/probe_side.h"
#include "core/plugin/source_side.h"

namespace viaduct {
namespace {

constexpr size_t kMaxLogMessage = 4096;
constexpr uint64_t kMaxLogFields = 32;
constexpr uint64_t kMaxPointerBytes = 4096;
constexpr size_t kMaxHealthReason = 512;

// ---- log
// -----------------------------------------------------------------------------------------

LogLevel LevelOf(uint32_t level) {
  return static_cast<LogLevel>(std::min<uint32_t>(level, VD_LOG_ERROR));
}

uint32_t LogEnabled(const vd_host* host, uint32_t level) {
  HostEntry entry(host);
  if (!entry) return 0;
  return entry->services().log->Enabled(LevelOf(level), entry->host_side().component()) ? 1 : 0;
}

void LogWrite(const vd_host* host, uint32_t level, vd_str message, const vd_attr* fields,
              uint64_t field_count) {
  HostEntry entry(host);
  if (!entry) return;
  if (field_count > kMaxLogFields || (message.data == nullptr && message.size > 0)) {
    return entry->CountRefused();
  }
  AbiReader reader(entry->limits());
  const Attributes copied = reader.List(fields, field_count);
  if (!reader.ok()) entry->CountRefused();
  entry->host_side().WriteLog(LevelOf(level), ShortText(message, kMaxLogMessage), copied);
}

constexpr vd_host_log_1 kLog = {&LogEnabled, &LogWrite};

// ---- clock
// ---------------------------------------------------------------------------------------

int64_t MonotonicNs(const vd_host* host) {
  HostEntry entry(host);
  return entry ? entry->services().clock->MonotonicNanos() : SystemClock().MonotonicNanos();
}

int64_t WallNs(const vd_host* host) {
  HostEntry entry(host);
  return absl::ToUnixNanos(entry ? entry->services().clock->Now() : SystemClock().Now());
}

constexpr vd_host_clock_1 kClock = {&MonotonicNs, &WallNs};

// ---- post and timers
// -----------------------------------------------------------------------------

int32_t CountBad(const HostEntry& entry, int32_t code) {
  if (code == VD_INVALID_ARGUMENT || code == VD_OUT_OF_RANGE) entry->CountRefused();
  return code;
}

int32_t Post(const vd_host* host, uint32_t lane, vd_task_fn task, void* user) {
  HostEntry entry(host);
  if (!entry) return VD_FAILED_PRECONDITION;
  return CountBad(entry, entry->host_side().Post(lane, task, user));
}

constexpr vd_host_post_1 kPost = {&Post};

int32_t Arm(const vd_host* host, uint32_t lane, int64_t delay_ns, vd_task_fn task, void* user,
            uint64_t* out) {
  HostEntry entry(host);
  if (!entry) return VD_FAILED_PRECONDITION;
  return CountBad(entry, entry->host_side().Arm(lane, delay_ns, task, user, out));
}

int32_t CancelTimer(const vd_host* host, uint64_t timer) {
  HostEntry entry(host);
  return entry ? entry->host_side().Cancel(timer) : VD_NOT_FOUND;
}

constexpr vd_host_timer_1 kTimer = {&Arm, &CancelTimer};

// ---- buffers
// -------------------------------------------------------------------------------------

vd_buffer* Make(const vd_host* host, uint64_t size) {
  HostEntry entry(host);
  return entry ? MakeBuffer(entry->host_side().buffers(), size) : nullptr;
}

constexpr vd_host_buffer_1 kBuffer = {&Make};

// ---- metrics
// -------------------------------------------------------------------------------------

int32_t AddMetric(const vd_host* host, const vd_metric* metric, uint32_t* out) {
  HostEntry entry(host);
  if (!entry) return VD_FAILED_PRECONDITION;
  return CountBad(entry, entry->host_side().AddMetric(metric, out));
}

// No HostEntry: it would mark the thread, and nothing here ever calls a plugin.
template <typename F>
void Update(const vd_host* host, uint32_t metric, F update) {
  Incarnation* const self = Incarnation::Of(host);
  if (self == nullptr || self->services().metrics == nullptr) return;
  if (const uint32_t number = self->host_side().MetricOf(metric); number != 0) {
    update(self->services().metrics, number);
  }
}

void IncreaseMetric(const vd_host* host, uint32_t metric, double delta) {
  Update(host, metric, [delta](Metrics* metrics, uint32_t n) { metrics->Increase(n, delta); });
}

void SetMetric(const vd_host* host, uint32_t metric, double value) {
  Update(host, metric, [value](Metrics* metrics, uint32_t n) { metrics->Set(n, value); });
}

void ObserveMetric(const vd_host* host, uint32_t metric, double value) {
  Update(host, metric, [value](Metrics* metrics, uint32_t n) { metrics->Observe(n, value); });
}

constexpr vd_host_metrics_1 kMetrics = {&AddMetric, &IncreaseMetric, &SetMetric, &ObserveMetric};

// ---- health
// --------------------------------------------------------------------------------------

void SetHealth(const vd_host* host, uint32_t state, vd_str reason) {
  HostEntry entry(host);
  if (!entry) return;
  if (!entry->answering() || state < VD_HEALTH_HEALTHY || state > VD_HEALTH_UNHEALTHY) {
    return entry->CountRefused();
  }
  entry->Health(static_cast<InstanceHealth>(state), ShortText(reason, kMaxHealthReason));
}

void FailHealth(const vd_host* host, int32_t code, vd_str reason) {
  HostEntry entry(host);
  if (!entry) return;
  if (!entry->answering()) return entry->CountRefused();
  std::string text = ShortText(reason, kMaxHealthReason);
  if (text.empty()) text = "the plugin gave no reason";
  entry->Fail(StatusOf(code == VD_OK ? VD_UNKNOWN : code, text));
}

constexpr vd_host_health_1 kHealth = {&SetHealth, &FailHealth};

// ---- config
// --------------------------------------------------------------------------------------

// Looks something up: the view's error as a code, the value through `put`.
template <typename Get, typename Put>
int32_t Read(const vd_config* config, vd_str pointer, const void* out, Get get, Put put) {
  const CallScope scope;
  const auto view = HostSide::ViewOf(config);
  if (view == nullptr) return VD_FAILED_PRECONDITION;
  if (out == nullptr || (pointer.data == nullptr && pointer.size > 0) ||
      pointer.size > kMaxPointerBytes) {
    return VD_INVALID_ARGUMENT;
  }
  const auto value = get(*view, std::string_view(pointer.data, pointer.size));
  if (!value.ok()) return CodeOf(value.status());
  put(*value);
  return VD_OK;
}

uint32_t ConfigTypeOf(const vd_config* config, vd_str pointer) {
  const CallScope scope;
  const auto view = HostSide::ViewOf(config);
  if (view == nullptr || (pointer.data == nullptr && pointer.size > 0) ||
      pointer.size > kMaxPointerBytes) {
    return VD_CONFIG_MISSING;
  }
  return static_cast<uint32_t>(view->type(std::string_view(pointer.data, pointer.size)));
}

int32_t GetString(const vd_config* config, vd_str pointer, vd_str* out) {
  return Read(
      config, pointer, out, [](const ConfigView& v, std::string_view p) { return v.GetString(p); },
      [out](std::string_view text) { *out = ToAbi(text); });
}

int32_t GetInteger(const vd_config* config, vd_str pointer, int64_t* out) {
  return Read(
      config, pointer, out, [](const ConfigView& v, std::string_view p) { return v.GetInteger(p); },
      [out](int64_t value) { *out = value; });
}

int32_t GetNumber(const vd_config* config, vd_str pointer, double* out) {
  return Read(
      config, pointer, out, [](const ConfigView& v, std::string_view p) { return v.GetNumber(p); },
      [out](double value) { *out = value; });
}

int32_t GetBoolean(const vd_config* config, vd_str pointer, uint32_t* out) {
  return Read(
      config, pointer, out, [](const ConfigView& v, std::string_view p) { return v.GetBoolean(p); },
      [out](bool value) { *out = value ? 1 : 0; });
}

int32_t GetSize(const vd_config* config, vd_str pointer, uint64_t* out) {
  return Read(
      config, pointer, out, [](const ConfigView& v, std::string_view p) { return v.GetSize(p); },
      [out](uint64_t value) { *out = value; });
}

int32_t GetJson(const vd_config* config, vd_str pointer, vd_str* out) {
  return Read(
      config, pointer, out, [](const ConfigView& v, std::string_view p) { return v.GetJson(p); },
      [out](std::string_view text) { *out = ToAbi(text); });
}

constexpr vd_host_config_1 kConfig = {&ConfigTypeOf, &GetString, &GetInteger, &GetNumber,
                                      &GetBoolean,   &GetSize,   &GetJson};

}  // namespace

const void* HostSide::Query(const vd_host* host, vd_str id) {
  // Also for one that was given up: its tables refuse, but a thread of it may still ask for them.
  if (!Incarnation::IsHandle(host) || id.data == nullptr) return nullptr;
  const struct {
    std::string_view id;
    const void* table;
  } tables[] = {
      {VD_HOST_LOG_1, &kLog},
      {VD_HOST_CLOCK_1, &kClock},
      {VD_HOST_POST_1, &kPost},
      {VD_HOST_TIMER_1, &kTimer},
      {VD_HOST_BUFFER_1, &kBuffer},
      {VD_HOST_METRICS_1, &kMetrics},
      {VD_HOST_HEALTH_1, &kHealth},
      {VD_HOST_CONFIG_1, &kConfig},
      {VD_HOST_DELIVER_1, DeliverSide::Table()},
      {VD_HOST_SUBMIT_1, InboundSide::SubmitTable()},
      {VD_HOST_CALL_1, InboundSide::CallTable()},
      {VD_HOST_FILE_1, FileSide::Table()},
      {VD_HOST_PROBE_1, ProbeSide::Table()},
      {VD_HOST_SOURCE_1, SourceSide::Table()},
      {VD_HOST_INFER_1, InferSide::Table()},
  };
  const std::string_view wanted(id.data, id.size);
  for (const auto& entry : tables) {
    if (entry.id == wanted) return entry.table;
  }
  return nullptr;
}

}  // namespace viaduct
