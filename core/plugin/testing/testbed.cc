// testbed.so: a plugin for the tests of the host side. It offers every interface and does, well or
// badly, what its config and the calls of the host (on_call, the path is the command) tell it to.
// Written against the bare ABI, so that what the tests see is the host's doing alone.
#include "core/plugin/testing/testbed.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <stdexcept>
#include <thread>

namespace {

int32_t Fail(vd_error* error, int32_t code, const char* message, const char* pointer = "") {
  if (error != nullptr) {
    error->code = code;
    std::strncpy(error->message, message, sizeof(error->message) - 1);
    std::strncpy(error->pointer, pointer, sizeof(error->pointer) - 1);
  }
  return code;
}

void Hang(const std::string& fifo) {
  char byte = 0;
  const int fd = open(fifo.c_str(), O_RDONLY | O_CLOEXEC);  // Until the test opens it for writing.
  if (read(fd, &byte, 1) < 0) close(fd);
  close(fd);
}

// "throw", "hang" or nothing at this place.
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

// ---- life cycle
// ----------------------------------------------------------------------------------

int32_t Create(const vd_host* host, vd_str name, vd_instance** out, vd_error* error) {
  if (Text(name) == "fails-create") return Fail(error, VD_RESOURCE_EXHAUSTED, "no memory today");
  if (Text(name) == "throws-create") throw 17;
  if (Text(name) == "null-create") return VD_OK;
  vd_instance* const self = std::make_unique<vd_instance>().release();
  self->host = host;
  self->name = Text(name);
  *out = self;
  return VD_OK;
}

int32_t AddMetric(vd_instance* self, const char* name, uint32_t* number) {
  vd_metric metric{};
  metric.struct_size = sizeof(metric);
  metric.kind = VD_METRIC_COUNTER;
  metric.name = Str(name);
  metric.help = Str("Commands that the testbed has carried out.");
  return Ask<vd_host_metrics_1>(self, VD_HOST_METRICS_1)->add(self->host, &metric, number);
}

int32_t Configure(vd_instance* self, const vd_config* config, vd_error* error) {
  const auto* const read = Ask<vd_host_config_1>(self, VD_HOST_CONFIG_1);
  for (const char* where :
       {"configure", "start", "stop", "drain", "deliver", "destroy", "task", "credit", "done"}) {
    vd_str mode{};
    const std::string pointer = std::string("/") + where;
    if (read->get_string(config, Str(pointer), &mode) == VD_OK) self->modes[where] = Text(mode);
  }
  vd_str fifo{};
  if (read->get_string(config, Str("/fifo"), &fifo) == VD_OK) self->fifo = Text(fifo);
  int64_t credit = 0;
  if (read->get_integer(config, Str("/credit"), &credit) == VD_OK) {
    self->credit = static_cast<uint32_t>(credit);
  }
  Misbehave(self, "configure");
  if (IsMode(self, "configure", "fail")) {
    return Fail(error, VD_INVALID_ARGUMENT, "not in this house", "/configure");
  }
  return AddMetric(self, "orders", &self->metric);
}

// Held while the host is called: the host must not come back on this stack.
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

// A message whose on_done is under way when start has failed.
int32_t SubmitAndFail(vd_instance* self, vd_error* error) {
  uint64_t taken = 0;
  SubmitSome(self, 1, &taken);
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(5);
  while (!self->in_done && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
  return Fail(error, VD_UNAVAILABLE, "the port is taken");
}

int32_t Start(vd_instance* self, uint32_t, vd_error* error) {
  Misbehave(self, "start");
  if (IsMode(self, "start", "fail")) return Fail(error, VD_UNAVAILABLE, "the port is taken");
  if (IsMode(self, "start", "fail_while_file") && access(self->fifo.c_str(), F_OK) == 0) {
    return Fail(error, VD_UNAVAILABLE, "the port is taken");
  }
  if (IsMode(self, "start", "submit_and_fail")) return SubmitAndFail(self, error);
  if (IsMode(self, "start", "metric")) {
    uint32_t number = 0;
    return AddMetric(self, "starts", &number);
  }
  if (IsMode(self, "start", "health")) {
    Ask<vd_host_health_1>(self, VD_HOST_HEALTH_1)
        ->set(self->host, VD_HEALTH_DEGRADED, Str("the peer is away"));
  }
  return VD_OK;
}

int32_t Drain(vd_instance* self, int64_t, vd_error*) {
  Misbehave(self, "drain");
  return VD_OK;
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

void Stop(vd_instance* self) {
  Misbehave(self, "stop");
  if (IsMode(self, "stop", "fail")) SayFailed(self, "the modem does not hang up");
  std::vector<uint64_t> held;
  {
    const std::lock_guard<std::mutex> lock(self->mutex);
    held.swap(self->held);
  }
  if (!IsMode(self, "stop", "keep")) Complete(self, held, VD_OUTCOME_CANCELLED);
}

void Destroy(vd_instance* self) {
  Misbehave(self, "destroy");
  const std::unique_ptr<vd_instance> gone(self);
}

// ---- deliver
// -------------------------------------------------------------------------------------

uint32_t Credit(vd_instance* self, uint32_t) {
  Misbehave(self, "credit");
  return self->credit;
}

int32_t Deliver(vd_instance* self, uint32_t, const vd_message_list* batch, uint64_t* taken) {
  Misbehave(self, "deliver");
  if (IsMode(self, "deliver", "refuse")) return VD_UNAVAILABLE;
  if (IsMode(self, "deliver", "too_many")) {
    *taken = batch->count + 5;
    return VD_OK;
  }
  std::vector<uint64_t> tokens;
  const uint64_t count = std::min<uint64_t>(batch->count, self->credit);
  for (uint64_t i = 0; i < count; ++i) tokens.push_back(batch->items[i].token);
  if (IsMode(self, "deliver", "untaken")) {  // Completes all, but says it took half.
    Complete(self, tokens, VD_OUTCOME_DURABLE);
    *taken = count / 2;
    return VD_OK;
  }
  *taken = count;
  if (IsMode(self, "deliver", "hold")) {
    const std::lock_guard<std::mutex> lock(self->mutex);
    for (const uint64_t token : tokens) self->held.push_back(token);
    return VD_OK;
  }
  Complete(self, tokens, VD_OUTCOME_DURABLE);
  if (IsMode(self, "deliver", "twice")) Complete(self, tokens, VD_OUTCOME_DURABLE);
  return VD_OK;
}

void CancelMessages(vd_instance*, uint32_t, const uint64_t*, uint64_t) {}

// ---- submit and call
// -----------------------------------------------------------------------------

void Note(vd_instance* self, const std::string& what) {
  const std::lock_guard<std::mutex> lock(self->mutex);
  self->seen += what + "\n";
}

void OnDone(vd_instance* self, const vd_completion_list* list) {
  self->in_done = true;
  Misbehave(self, "done");
  for (uint64_t i = 0; i < list->count; ++i) {
    Note(self, "done " + std::to_string(list->items[i].token) + " outcome " +
                   std::to_string(list->items[i].outcome));
  }
}
void OnRoom(vd_instance* self, uint32_t lane) { Note(self, "room " + std::to_string(lane)); }

void OnReply(vd_instance* self, const vd_reply* reply) {
  const std::lock_guard<std::mutex> lock(CallLock());
  Note(self, "reply " + std::to_string(reply->token) + " status " + std::to_string(reply->status) +
                 " body " +
                 std::string(static_cast<const char*>(static_cast<const void*>(reply->body.data)),
                             reply->body.size));
}

void Answer(vd_instance* self, uint64_t token, int32_t status, const std::string& body) {
  vd_reply reply{};
  reply.struct_size = sizeof(reply);
  reply.status = status;
  reply.token = token;
  reply.body = {static_cast<const uint8_t*>(static_cast<const void*>(body.data())), body.size()};
  Ask<vd_host_call_1>(self, VD_HOST_CALL_1)->reply(self->host, &reply);
}

int32_t CallHost(vd_instance* self, uint64_t token, const std::string& path,
                 const std::string& body = "") {
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

// One command of a test; its result is the status of the answer.
int32_t Obey(vd_instance* self, const std::string& command, uint64_t number) {
  Ask<vd_host_metrics_1>(self, VD_HOST_METRICS_1)->increase(self->host, self->metric, 1);
  if (command == "log") {
    Ask<vd_host_log_1>(self, VD_HOST_LOG_1)
        ->write(self->host, VD_LOG_INFO, Str("hello from the testbed"), nullptr, 0);
  } else if (command == "submit") {
    uint64_t taken = 0;
    SubmitSome(self, number, &taken);
    return static_cast<int32_t>(taken);
  } else if (command == "call") {
    return CallHost(self, number, "/hello");
  } else if (command == "call_with_body") {
    return CallHost(self, 1, "/hello", std::string(number, 'x'));
  } else if (command == "post") {
    auto task = std::make_unique<PostedTask>(PostedTask{self, std::to_string(number)});
    const auto* const post = Ask<vd_host_post_1>(self, VD_HOST_POST_1);
    const int32_t code = post->post(self->host, 0, &RunTask, task.get());
    if (code == VD_OK) static_cast<void>(task.release());
    return code;
  } else if (command == "timer") {
    auto task = std::make_unique<PostedTask>(PostedTask{self, "timer"});
    uint64_t timer = 0;
    const auto* const timers = Ask<vd_host_timer_1>(self, VD_HOST_TIMER_1);
    const int64_t delay = static_cast<int64_t>(number) * 1000000;
    const int32_t code = timers->arm(self->host, 0, delay, &RunTask, task.get(), &timer);
    if (code == VD_OK) static_cast<void>(task.release());
    return code;
  } else if (command == "timers") {  // That are still far away at the end; how many it got.
    const auto* const timers = Ask<vd_host_timer_1>(self, VD_HOST_TIMER_1);
    constexpr int64_t kHour = int64_t{3600} * 1000 * 1000 * 1000;
    uint64_t timer = 0;
    int32_t got = 0;
    const auto never = [](void*) {};
    while (number-- > 0 && timers->arm(self->host, 0, kHour, never, nullptr, &timer) == VD_OK) {
      ++got;
    }
    return got;
  } else if (command == "timer_cancelled") {
    PostedTask task{self, "never"};
    uint64_t timer = 0;
    const auto* const timers = Ask<vd_host_timer_1>(self, VD_HOST_TIMER_1);
    timers->arm(self->host, 0, 0, &RunTask, &task, &timer);
    return timers->cancel(self->host, timer);
  } else if (command == "fail") {
    SayFailed(self, "the modem is on fire");
  } else if (command == "degraded") {
    Ask<vd_host_health_1>(self, VD_HOST_HEALTH_1)
        ->set(self->host, VD_HEALTH_DEGRADED, Str("the line is noisy"));
  } else if (command == "metric") {
    uint32_t added = 0;
    return AddMetric(self, "late", &added);
  } else if (command == "room") {
    self->credit = static_cast<uint32_t>(number);
    Ask<vd_host_deliver_1>(self, VD_HOST_DELIVER_1)->on_room(self->host, 0);
  } else if (command == "finish") {  // Ends the messages held, with `number` as outcome.
    std::vector<uint64_t> held;
    {
      const std::lock_guard<std::mutex> lock(self->mutex);
      held.swap(self->held);
    }
    Complete(self, held, static_cast<uint32_t>(number));
  } else if (command == "push") {
    return PushFrame(self, number, 64);
  } else if (command == "push_bad") {
    return PushFrame(self, number, 65);
  } else if (command == "abuse") {
    Abuse(self);
  } else if (command == "throw") {
    throw std::runtime_error("thrown in on_call");
  }
  return 0;
}

int32_t OnCall(vd_instance* self, uint32_t, const vd_call* call) {
  const std::string path = Text(call->path);
  if (path == "nobody") return VD_NOT_FOUND;
  if (path == "silence") return VD_OK;
  if (path == "seen") {
    std::string seen;
    {
      const std::lock_guard<std::mutex> lock(self->mutex);
      seen = self->seen;
    }
    Answer(self, call->token, 200, seen);
    return VD_OK;
  }
  const std::string number(static_cast<const char*>(static_cast<const void*>(call->body.data)),
                           call->body.size);
  const int32_t result = Obey(self, path, number.empty() ? 0 : std::stoull(number));
  Answer(self, call->token, 200, std::to_string(result));
  if (path == "answer_twice") Answer(self, call->token, 200, "again");
  return VD_OK;
}
void OnCancel(vd_instance* self, uint32_t, uint64_t) { Note(self, "cancel"); }

// ---- file, probe, frames
// -------------------------------------------------------------------------

uint32_t JobCredit(vd_instance*) { return 2; }

int32_t Begin(vd_instance* self, uint32_t, const vd_file_job* job, vd_error* error) {
  const std::string name = Text(job->remote_name);
  if (name == "refused") return Fail(error, VD_INVALID_ARGUMENT, "not a name for this server");
  if (name == "held") {
    Ask<vd_host_file_1>(self, VD_HOST_FILE_1)->progress(self->host, job->token, 10, 7);
    return VD_OK;
  }
  Ask<vd_host_file_1>(self, VD_HOST_FILE_1)->progress(self->host, job->token, job->size, job->size);
  vd_file_result result{};
  result.struct_size = sizeof(result);
  result.outcome = VD_OUTCOME_DURABLE;
  result.token = job->token;
  result.durable_offset = job->size;
  result.sha256 = job->sha256;
  Ask<vd_host_file_1>(self, VD_HOST_FILE_1)->done(self->host, &result);
  Ask<vd_host_file_1>(self, VD_HOST_FILE_1)->done(self->host, &result);  // Twice: counted.
  return VD_OK;
}
void CancelFile(vd_instance* self, uint32_t, uint64_t token) {
  vd_file_result result{};
  result.struct_size = sizeof(result);
  result.outcome = VD_OUTCOME_CANCELLED;
  result.token = token;
  result.durable_offset = 7;
  result.code = VD_CANCELLED;
  Ask<vd_host_file_1>(self, VD_HOST_FILE_1)->done(self->host, &result);
}

int32_t Probe(vd_instance* self, uint32_t, const vd_probe* probe) {
  if (probe->payload_size == 13) return VD_OK;  // Never answers.
  vd_probe_result result{};
  result.struct_size = sizeof(result);
  result.token = probe->token;
  result.round_trip_ns = 1500000;
  result.bytes_sent = probe->payload_size;
  Ask<vd_host_probe_1>(self, VD_HOST_PROBE_1)->done(self->host, &result);
  return VD_OK;
}

void OnFrameRoom(vd_instance* self, uint32_t frames) {
  Note(self, "frames " + std::to_string(frames));
}
void OnFrameDone(vd_instance* self, uint64_t ticket, uint32_t outcome) {
  Note(self, "frame " + std::to_string(ticket) + " outcome " + std::to_string(outcome));
}

int32_t Infer(vd_instance* self, uint32_t, uint64_t ticket, const vd_frame* frame, vd_str options) {
  if (Text(options) == "silence") return VD_OK;
  if (frame->width == 1) return VD_INVALID_ARGUMENT;
  vd_crop crop{};
  crop.struct_size = sizeof(crop);
  crop.name = Str("plate_0");
  crop.media_type = Str("image/jpeg");
  crop.buffer = frame->buffer;
  const std::string text = "{\"octets\":" + std::to_string(frame->planes[0].size) + "}";
  vd_infer_result result{};
  result.struct_size = sizeof(result);
  result.outcome = VD_OUTCOME_DURABLE;
  result.ticket = ticket;
  result.result = Str(text);
  result.crops = &crop;
  result.crop_stride = sizeof(crop);
  result.crop_count = 1;
  Ask<vd_host_infer_1>(self, VD_HOST_INFER_1)->done(self->host, &result);
  return VD_OK;
}
void CancelInfer(vd_instance*, uint32_t, uint64_t) {}

// ---- module
// --------------------------------------------------------------------------------------

const void* Query(vd_instance* self, vd_str id) {
  static constexpr vd_deliver_1 kDeliver = {&Credit, &Deliver, &CancelMessages};
  static constexpr vd_submit_1 kSubmit = {&OnDone, &OnRoom};
  static constexpr vd_call_1 kCall = {&OnReply, &OnCall, &OnCancel};
  static constexpr vd_file_1 kFile = {&JobCredit, &Begin, &CancelFile};
  static constexpr vd_probe_1 kProbe = {&Probe};
  static constexpr vd_source_1 kSource = {&OnFrameRoom, &OnFrameDone};
  static constexpr vd_infer_1 kInfer = {&JobCredit, &Infer, &CancelInfer};
  const std::string wanted = Text(id);
  if (wanted == VD_DELIVER_1) return IsMode(self, "deliver", "none") ? nullptr : &kDeliver;
  if (wanted == VD_SUBMIT_1) return &kSubmit;
  if (wanted == VD_CALL_1) return &kCall;
  if (wanted == VD_FILE_1) return &kFile;
  if (wanted == VD_PROBE_1) return &kProbe;
  if (wanted == VD_SOURCE_1) return &kSource;
  if (wanted == VD_INFER_1) return &kInfer;
  return nullptr;
}

}  // namespace

#ifndef TESTBED_VERSION
#define TESTBED_VERSION "1.0.0"
#endif

extern "C" VD_EXPORT const vd_module* vd_module_entry(void) {
  static constexpr char kSchema[] = "{\"type\":\"object\"}";
  static const vd_str interfaces[] = {VD_STR_LITERAL(VD_DELIVER_1), VD_STR_LITERAL(VD_SUBMIT_1),
                                      VD_STR_LITERAL(VD_CALL_1),    VD_STR_LITERAL(VD_FILE_1),
                                      VD_STR_LITERAL(VD_PROBE_1),   VD_STR_LITERAL(VD_SOURCE_1),
                                      VD_STR_LITERAL(VD_INFER_1)};
  static constexpr vd_lifecycle_1 kLifecycle = {&Create, &Configure, &Start, &Drain,
                                                &Stop,   &Destroy,   &Query};
  static const vd_module module = {sizeof(vd_module),
                                   VD_ABI_MAJOR,
                                   VD_ABI_MINOR,
                                   0,
                                   0,
                                   2,
                                   VD_STR_LITERAL("testbed"),
                                   VD_STR_LITERAL(TESTBED_VERSION),
                                   VD_STR_LITERAL("Does what tests tell it to"),
                                   VD_STR_LITERAL("Apache-2.0"),
                                   {kSchema, sizeof(kSchema) - 1},
                                   interfaces,
                                   sizeof(interfaces) / sizeof(interfaces[0]),
                                   &kLifecycle};
  return &module;
}
