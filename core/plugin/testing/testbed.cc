// testbed.so: a plugin for the tests of the host side. It offers every interface and does, well or
// badly, what its config and the calls of the host (on_call, the path is the command) tell it to.
// Written against the bare ABI, so that what the tests see is the host's doing alone.
#include "core/plugin/testing/testbed.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <memory>
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
  const bool publishes = IsMode(self, "deliver", "publish");
  const bool takes = !publishes && !IsMode(self, "deliver", "none");
  if (wanted == VD_DELIVER_1) return takes ? &kDeliver : nullptr;
  if (wanted == VD_PUBLISH_1) return publishes ? &kDeliver : nullptr;
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
