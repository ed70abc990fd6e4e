// What the testbed does on its own account: what its config says it does wrong, and what tests
// order.
#include <fcntl.h>
#include <unistd.h>

#include <memory>
#include <stdexcept>

#include "core/plugin/testing/testbed.h"

namespace {

void Hang(const std::string& fifo) {
  char byte = 0;
  const int fd = open(fifo.c_str(), O_RDONLY | O_CLOEXEC);  // Until the test opens it for writing.
  if (read(fd, &byte, 1) < 0) close(fd);
  close(fd);
}

int32_t CallHost(vd_instance* self, uint64_t token, const std::string& path,
                 const std::string& body) {
  const vd_attr credential{Str("api_key"), Str("s3cret")};
  vd_call call{};
  call.struct_size = sizeof(call);
  call.token = token;
  call.protocol = Str("http");
  call.method = Str("GET");
  call.path = Str(path);
  call.body = {static_cast<const uint8_t*>(static_cast<const void*>(body.data())), body.size()};
  call.peer = Str("192.0.2.7:51234");
  call.credentials = &credential;
  call.credential_count = 1;
  const std::lock_guard<std::mutex> lock(CallLock());
  return Ask<vd_host_call_1>(self, VD_HOST_CALL_1)->call(self->host, &call);
}

struct PostedTask {
  vd_instance* self;
  std::string what;
};

void RunTask(void* user) {
  const std::unique_ptr<PostedTask> task(static_cast<PostedTask*>(user));
  Misbehave(task->self, "task");
  Note(task->self, "task " + task->what);
}

int32_t PushFrame(vd_instance* self, uint64_t ticket, uint64_t plane_size) {
  vd_buffer* const buffer = Ask<vd_host_buffer_1>(self, VD_HOST_BUFFER_1)->make(self->host, 64);
  std::memset(buffer->data, 'p', 64);
  vd_frame frame{};
  frame.struct_size = sizeof(frame);
  frame.fourcc = VD_FOURCC_JPEG;
  frame.width = 8;
  frame.height = 8;
  frame.plane_count = 1;
  frame.descriptor = -1;
  frame.planes[0].size = plane_size;
  frame.buffer = buffer;
  frame.ticket = ticket;
  frame.source = Str("front");
  const int32_t code = Ask<vd_host_source_1>(self, VD_HOST_SOURCE_1)->push(self->host, &frame);
  buffer->unref(buffer);
  return code;
}

// ---- commands
// ------------------------------------------------------------------------------------

int32_t DoLog(vd_instance* self, uint64_t) {
  Ask<vd_host_log_1>(self, VD_HOST_LOG_1)
      ->write(self->host, VD_LOG_INFO, Str("hello from the testbed"), nullptr, 0);
  return 0;
}

int32_t DoSubmit(vd_instance* self, uint64_t number) {
  uint64_t taken = 0;
  SubmitSome(self, number, &taken);
  return static_cast<int32_t>(taken);
}

int32_t DoCall(vd_instance* self, uint64_t number) { return CallHost(self, number, "/hello", ""); }

int32_t DoCallWithBody(vd_instance* self, uint64_t number) {
  return CallHost(self, 1, "/hello", std::string(number, 'x'));
}

int32_t DoPost(vd_instance* self, uint64_t number) {
  auto task = std::make_unique<PostedTask>(PostedTask{self, std::to_string(number)});
  const auto* const post = Ask<vd_host_post_1>(self, VD_HOST_POST_1);
  const int32_t code = post->post(self->host, 0, &RunTask, task.get());
  if (code == VD_OK) static_cast<void>(task.release());
  return code;
}

int32_t DoTimer(vd_instance* self, uint64_t number) {
  auto task = std::make_unique<PostedTask>(PostedTask{self, "timer"});
  uint64_t timer = 0;
  const auto* const timers = Ask<vd_host_timer_1>(self, VD_HOST_TIMER_1);
  const int64_t delay = static_cast<int64_t>(number) * 1000000;
  const int32_t code = timers->arm(self->host, 0, delay, &RunTask, task.get(), &timer);
  if (code == VD_OK) static_cast<void>(task.release());
  return code;
}

// Timers that are still far away at the end; how many it got.
int32_t DoTimers(vd_instance* self, uint64_t number) {
  const auto* const timers = Ask<vd_host_timer_1>(self, VD_HOST_TIMER_1);
  constexpr int64_t kHour = int64_t{3600} * 1000 * 1000 * 1000;
  const auto never = [](void*) {};
  uint64_t timer = 0;
  int32_t got = 0;
  while (number-- > 0 && timers->arm(self->host, 0, kHour, never, nullptr, &timer) == VD_OK) {
    ++got;
  }
  return got;
}

int32_t DoTimerCancelled(vd_instance* self, uint64_t) {
  PostedTask task{self, "never"};
  uint64_t timer = 0;
  const auto* const timers = Ask<vd_host_timer_1>(self, VD_HOST_TIMER_1);
  timers->arm(self->host, 0, 0, &RunTask, &task, &timer);
  return timers->cancel(self->host, timer);
}

int32_t DoFail(vd_instance* self, uint64_t) {
  SayFailed(self, "the modem is on fire");
  return 0;
}

int32_t DoDegraded(vd_instance* self, uint64_t) {
  Ask<vd_host_health_1>(self, VD_HOST_HEALTH_1)
      ->set(self->host, VD_HEALTH_DEGRADED, Str("the line is noisy"));
  return 0;
}

int32_t DoMetric(vd_instance* self, uint64_t) {
  uint32_t added = 0;
  return AddMetric(self, "late", &added);
}

int32_t DoRoom(vd_instance* self, uint64_t number) {
  self->credit = static_cast<uint32_t>(number);
  Ask<vd_host_deliver_1>(self, VD_HOST_DELIVER_1)->on_room(self->host, 0);
  return 0;
}

// Ends the messages held, with `number` as outcome.
int32_t DoFinish(vd_instance* self, uint64_t number) {
  std::vector<uint64_t> held;
  {
    const std::lock_guard<std::mutex> lock(self->mutex);
    held.swap(self->held);
  }
  Complete(self, held, static_cast<uint32_t>(number));
  return 0;
}

int32_t DoPush(vd_instance* self, uint64_t number) { return PushFrame(self, number, 64); }
int32_t DoPushBad(vd_instance* self, uint64_t number) { return PushFrame(self, number, 65); }

int32_t DoAbuse(vd_instance* self, uint64_t) {
  Abuse(self);
  return 0;
}

int32_t DoThrow(vd_instance*, uint64_t) { throw std::runtime_error("thrown in on_call"); }

}  // namespace

void Misbehave(const vd_instance* self, const char* where) {
  const auto mode = self->modes.find(where);
  if (mode == self->modes.end()) return;
  if (mode->second == "throw") throw std::runtime_error(std::string("thrown in ") + where);
  if (mode->second == "hang") Hang(self->fifo);
}
bool IsMode(const vd_instance* self, const char* where, const char* what) {
  const auto mode = self->modes.find(where);
  return mode != self->modes.end() && mode->second == what;
}

void Note(vd_instance* self, const std::string& what) {
  const std::lock_guard<std::mutex> lock(self->mutex);
  self->seen += what + "\n";
}

std::mutex& CallLock() {
  static std::mutex lock;
  return lock;
}

int32_t SubmitSome(vd_instance* self, uint64_t count, uint64_t* taken) {
  std::vector<vd_inbound> items(count);
  for (uint64_t i = 0; i < count; ++i) {
    items[i] = vd_inbound{};
    items[i].struct_size = sizeof(vd_inbound);
    items[i].token = i + 1;
    items[i].route = Str("/api/detection");
    items[i].content = {static_cast<const uint8_t*>(static_cast<const void*>("{}")), 2};
    items[i].peer = Str("192.0.2.7:51234");
  }
  const vd_inbound_list list{items.data(), sizeof(vd_inbound), count};
  const std::lock_guard<std::mutex> lock(CallLock());
  return Ask<vd_host_submit_1>(self, VD_HOST_SUBMIT_1)->submit(self->host, 0, &list, taken);
}

int32_t AddMetric(vd_instance* self, const char* name, uint32_t* number) {
  vd_metric metric{};
  metric.struct_size = sizeof(metric);
  metric.kind = VD_METRIC_COUNTER;
  metric.name = Str(name);
  metric.help = Str("Commands that the testbed has carried out.");
  return Ask<vd_host_metrics_1>(self, VD_HOST_METRICS_1)->add(self->host, &metric, number);
}

void Complete(vd_instance* self, const std::vector<uint64_t>& tokens, uint32_t outcome) {
  std::vector<vd_completion> items(tokens.size());
  for (size_t i = 0; i < tokens.size(); ++i) {
    items[i] = vd_completion{};
    items[i].struct_size = sizeof(vd_completion);
    items[i].outcome = outcome;
    items[i].token = tokens[i];
    items[i].code = outcome == VD_OUTCOME_DURABLE ? VD_OK : VD_UNAVAILABLE;
    items[i].retry_after_ns = outcome == VD_OUTCOME_RETRY ? 5000000000 : 0;
    items[i].detail = Str("said the testbed");
  }
  const vd_completion_list list{items.data(), sizeof(vd_completion), items.size()};
  Ask<vd_host_deliver_1>(self, VD_HOST_DELIVER_1)->complete(self->host, &list);
}

void SayFailed(vd_instance* self, const char* reason) {
  Ask<vd_host_health_1>(self, VD_HOST_HEALTH_1)->fail(self->host, VD_UNAVAILABLE, Str(reason));
}

int32_t Obey(vd_instance* self, const std::string& command, uint64_t number) {
  static constexpr struct {
    const char* command;
    int32_t (*obey)(vd_instance* self, uint64_t number);
  } kCommands[] = {
      {"log", &DoLog},          {"submit", &DoSubmit},
      {"call", &DoCall},        {"call_with_body", &DoCallWithBody},
      {"post", &DoPost},        {"timer", &DoTimer},
      {"timers", &DoTimers},    {"timer_cancelled", &DoTimerCancelled},
      {"fail", &DoFail},        {"degraded", &DoDegraded},
      {"metric", &DoMetric},    {"room", &DoRoom},
      {"finish", &DoFinish},    {"push", &DoPush},
      {"push_bad", &DoPushBad}, {"abuse", &DoAbuse},
      {"throw", &DoThrow},
  };
  Ask<vd_host_metrics_1>(self, VD_HOST_METRICS_1)->increase(self->host, self->metric, 1);
  for (const auto& known : kCommands) {
    if (command == known.command) return known.obey(self, number);
  }
  return 0;
}
