#include <algorithm>
#include <string>
#include <vector>

#include "arena.h"
#include "host_tables.h"
#include "nlohmann/json.hpp"
#include "viaduct/cpp/text.h"

namespace viaduct::check {
namespace {

constexpr size_t kArenaBytes = 16384;
constexpr uint32_t kMaxFrameSide = 16384;

// The fault schedule: mostly good, and every kind of trouble at a steady rate.
uint32_t SubmitOutcome(uint64_t i) {
  if (i % 7 == 3) return VD_OUTCOME_RETRY;
  if (i % 11 == 5) return VD_OUTCOME_REJECT;
  return VD_OUTCOME_DURABLE;
}

int32_t SubmitCode(uint32_t outcome) {
  if (outcome == VD_OUTCOME_RETRY) return VD_RESOURCE_EXHAUSTED;
  return outcome == VD_OUTCOME_REJECT ? VD_INVALID_ARGUMENT : VD_OK;
}

int32_t CallStatus(uint64_t i) {
  static constexpr int32_t kStatuses[] = {200, 200, 404, 200, 503, 200, 400, 200, 429, 500};
  return kStatuses[i % std::size(kStatuses)];
}

uint32_t FrameOutcome(uint64_t i) {
  return i % 5 == 2 ? VD_OUTCOME_EXPIRED : i % 9 == 4 ? VD_OUTCOME_REJECT : VD_OUTCOME_DURABLE;
}

}  // namespace

const void* FlowTables::Find(std::string_view id) {
  static constexpr vd_host_deliver_1 kDeliver = {&DeliverComplete, &DeliverOnRoom};
  static constexpr vd_host_submit_1 kSubmit = {&Submit};
  static constexpr vd_host_call_1 kCall = {&Call, &CallCancel, &CallReply};
  static constexpr vd_host_file_1 kFile = {&FileProgress, &FileDone};
  static constexpr vd_host_probe_1 kProbe = {&ProbeDone};
  static constexpr vd_host_source_1 kSource = {&Push};
  static constexpr vd_host_infer_1 kInfer = {&InferDone};
  if (id == VD_HOST_DELIVER_1) return &kDeliver;
  if (id == VD_HOST_SUBMIT_1) return &kSubmit;
  if (id == VD_HOST_CALL_1) return &kCall;
  if (id == VD_HOST_FILE_1) return &kFile;
  if (id == VD_HOST_PROBE_1) return &kProbe;
  if (id == VD_HOST_SOURCE_1) return &kSource;
  if (id == VD_HOST_INFER_1) return &kInfer;
  return nullptr;
}

// ---- deliver ------------------------------------------------------------------------------------

void FlowTables::DeliverComplete(const vd_host* host, const vd_completion_list* completions) {
  TestHost& self = TestHost::Of(host);
  self.Expect(kStarted | kDraining, "deliver.complete");
  if (completions->stride < sizeof(vd_completion)) {
    self.fixture_.Fail("deliver.complete: stride " + std::to_string(completions->stride) +
                       " is too small");
  }
  for (const vd_completion& completion :
       sdk::CompletionList(completions->items, completions->stride, completions->count)) {
    self.ExpectRecord(completion.struct_size, sizeof(vd_completion), "vd_completion");
    self.Read(completion.detail, "deliver.complete");
    const bool durable = completion.outcome == VD_OUTCOME_DURABLE;
    if (completion.outcome < VD_OUTCOME_DURABLE || completion.outcome > VD_OUTCOME_CANCELLED) {
      self.fixture_.Fail("deliver.complete: unknown outcome " + std::to_string(completion.outcome));
    }
    if (durable != (completion.code == VD_OK)) {
      self.fixture_.Fail("deliver.complete: outcome " + std::to_string(completion.outcome) +
                         " with code " + std::to_string(completion.code));
    }
    if (completion.retry_after_ns < 0) self.fixture_.Fail("deliver.complete: retry_after_ns < 0");
    self.Ended(self.deliveries_, completion.token, completion.outcome, "deliver.complete");
  }
}

void FlowTables::DeliverOnRoom(const vd_host* host, uint32_t lane) {
  TestHost& self = TestHost::Of(host);
  self.Expect(kStarted, "deliver.on_room");
  if (lane >= self.lane_count()) self.fixture_.Fail("deliver.on_room: no such lane");
  ++self.delivery_rooms_;
}

// ---- submit -------------------------------------------------------------------------------------

int32_t FlowTables::Submit(const vd_host* host, uint32_t lane, const vd_inbound_list* batch,
                           uint64_t* taken) {
  TestHost& self = TestHost::Of(host);
  self.Expect(kStarted | kDraining, "submit");
  *taken = 0;
  if (self.submit_ == nullptr) {
    self.fixture_.Fail("submit: the plugin submits, but does not offer " VD_SUBMIT_1);
  }
  if (self.refusing_) return VD_FAILED_PRECONDITION;
  if (lane >= self.lane_count()) self.fixture_.Fail("submit: no such lane");
  std::vector<uint64_t> tokens;
  {
    const std::lock_guard<std::mutex> lock(self.mutex_);
    size_t room = self.options_.submit_room - self.submits_open_.size();
    if (++self.submit_batches_ % 3 == 0) room = std::min<size_t>(room, batch->count / 2);
    for (const vd_inbound& item :
         sdk::List<vd_inbound>(batch->items, batch->stride, batch->count).Prefix(room)) {
      self.ExpectRecord(item.struct_size, sizeof(vd_inbound), "vd_inbound");
      self.Read(item.route, "vd_inbound.route");
      self.Read(item.content, "vd_inbound.content");
      self.Read(item.peer, "vd_inbound.peer");
      self.ReadAttributes(item.attributes, item.attribute_count, "vd_inbound.attributes");
      self.ReadAttributes(item.credentials, item.credential_count, "vd_inbound.credentials");
      if (!self.submits_open_.insert(item.token).second) {
        self.fixture_.Fail("submit: token " + std::to_string(item.token) + " is in flight already");
      }
      tokens.push_back(item.token);
    }
  }
  *taken = tokens.size();
  self.traffic_.submitted += tokens.size();
  const bool was_full = tokens.size() < batch->count;
  if (!tokens.empty() || was_full) {
    self.Answer([&self, tokens, lane, was_full] { self.AnswerSubmits(tokens, lane, was_full); });
  }
  return VD_OK;
}

void TestHost::AnswerSubmits(const std::vector<uint64_t>& tokens, uint32_t lane, bool was_full) {
  if (!tokens.empty()) {
    Arena arena(kArenaBytes + tokens.size() * Arena::Stride<vd_completion>());
    vd_completion* records = arena.Records<vd_completion>(tokens.size());
    for (size_t i = 0; i < tokens.size(); ++i) {
      vd_completion& completion = *Arena::At(records, i);
      completion.token = tokens[i];
      completion.outcome = SubmitOutcome(traffic_.submits_answered + i);
      completion.code = SubmitCode(completion.outcome);
      if (completion.code != VD_OK) completion.detail = arena.Text("as the schedule wants");
    }
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      for (const uint64_t token : tokens) submits_open_.erase(token);
    }
    const vd_completion_list list = {records, Arena::Stride<vd_completion>(), tokens.size()};
    submit_->on_done(instance_, &list);
    traffic_.submits_answered += tokens.size();
  }
  if (was_full) submit_->on_room(instance_, lane);
}

// ---- call ---------------------------------------------------------------------------------------

int32_t FlowTables::Call(const vd_host* host, const vd_call* call) {
  TestHost& self = TestHost::Of(host);
  self.Expect(kStarted | kDraining, "call");
  if (self.call_ == nullptr) {
    self.fixture_.Fail("call: the plugin calls, but does not offer " VD_CALL_1);
  }
  self.ExpectRecord(call->struct_size, sizeof(vd_call), "vd_call");
  for (const vd_str text : {call->protocol, call->method, call->path, call->query, call->peer}) {
    self.Read(text, "vd_call");
  }
  self.Read(call->body, "vd_call.body");
  self.ReadAttributes(call->attributes, call->attribute_count, "vd_call.attributes");
  self.ReadAttributes(call->credentials, call->credential_count, "vd_call.credentials");
  if (self.refusing_) return VD_FAILED_PRECONDITION;
  {
    const std::lock_guard<std::mutex> lock(self.mutex_);
    if (self.calls_open_.size() >= self.options_.call_room) return VD_RESOURCE_EXHAUSTED;
    if (!self.calls_open_.insert(call->token).second) {
      self.fixture_.Fail("call: token " + std::to_string(call->token) + " is in flight already");
    }
  }
  const uint64_t number = self.traffic_.called++;
  self.Answer([&self, token = call->token, number] { self.AnswerCall(token, CallStatus(number)); });
  return VD_OK;
}

void TestHost::AnswerCall(uint64_t token, int32_t status) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (calls_open_.erase(token) == 0) return;  // Answered by cancel.
  }
  Arena arena(kArenaBytes);
  const std::string body = R"({"status":")" + std::to_string(status) + "\"}";
  auto* reply = arena.Record<vd_reply>();
  vd_attr* attributes = arena.Attributes(1);
  attributes[0] = {arena.Text("content-type"), arena.Text("application/json")};
  reply->token = token;
  reply->status = status;
  reply->attributes = attributes;
  reply->attribute_count = 1;
  // Every other body is counted, so that it may be kept.
  if (traffic_.calls_answered % 2 == 1) {
    reply->buffer = MakeBuffer(body);
    reply->body = {reply->buffer->data, reply->buffer->size};
  } else {
    reply->body = arena.Octets(body);
  }
  call_->on_reply(instance_, reply);
  if (reply->buffer != nullptr) reply->buffer->unref(reply->buffer);
  ++traffic_.calls_answered;
}

void FlowTables::CallCancel(const vd_host* host, uint64_t token) {
  TestHost& self = TestHost::Of(host);
  self.Expect(kStarted | kDraining, "call.cancel");
  self.Answer([&self, token] { self.AnswerCall(token, 499); });
}

void FlowTables::CallReply(const vd_host* host, const vd_reply* reply) {
  TestHost& self = TestHost::Of(host);
  self.Expect(kStarted | kDraining, "call.reply");
  self.ExpectRecord(reply->struct_size, sizeof(vd_reply), "vd_reply");
  self.Read(reply->body, "vd_reply.body");
  self.ReadAttributes(reply->attributes, reply->attribute_count, "vd_reply.attributes");
  if (reply->status < 100 || reply->status > 599) {
    self.fixture_.Fail("call.reply: status " + std::to_string(reply->status) + " is none of HTTP");
  }
  if (reply->buffer != nullptr && reply->body.size > 0) {
    const uint8_t* begin = reply->buffer->data;
    if (reply->body.data < begin ||
        reply->body.data + reply->body.size > begin + reply->buffer->size) {
      self.fixture_.Fail("call.reply: the body does not lie in the buffer");
    }
  }
  self.KeepAWhile(reply->buffer);
  self.Ended(self.calls_, reply->token, VD_OUTCOME_DURABLE, "call.reply");
}

// ---- file ---------------------------------------------------------------------------------------

void FlowTables::FileProgress(const vd_host* host, uint64_t token, uint64_t moved,
                              uint64_t durable_offset) {
  TestHost& self = TestHost::Of(host);
  self.Expect(kStarted | kDraining, "file.progress");
  if (durable_offset > moved) self.fixture_.Fail("file.progress: more is durable than has moved");
  const std::lock_guard<std::mutex> lock(self.mutex_);
  uint64_t& last = self.file_progress_[token];
  if (durable_offset < last) self.fixture_.Fail("file.progress: durable_offset goes back");
  last = durable_offset;
}

void FlowTables::FileDone(const vd_host* host, const vd_file_result* result) {
  TestHost& self = TestHost::Of(host);
  self.Expect(kStarted | kDraining, "file.done");
  self.ExpectRecord(result->struct_size, sizeof(vd_file_result), "vd_file_result");
  self.Read(result->detail, "vd_file_result.detail");
  const std::string digest = self.Read(result->sha256, "vd_file_result.sha256");
  if (!digest.empty() && digest.size() != 64) self.fixture_.Fail("file.done: bad sha256");
  if ((result->outcome == VD_OUTCOME_DURABLE) != (result->code == VD_OK)) {
    self.fixture_.Fail("file.done: outcome and code do not agree");
  }
  self.Ended(self.files_, result->token, result->outcome, "file.done");
}

// ---- probe, source, infer -----------------------------------------------------------------------

void FlowTables::ProbeDone(const vd_host* host, const vd_probe_result* result) {
  TestHost& self = TestHost::Of(host);
  self.Expect(kStarted | kDraining, "probe.done");
  self.ExpectRecord(result->struct_size, sizeof(vd_probe_result), "vd_probe_result");
  self.Read(result->detail, "vd_probe_result.detail");
  if (result->code == VD_OK && result->round_trip_ns <= 0) {
    self.fixture_.Fail("probe.done: success without a round-trip time");
  }
  self.Ended(self.probes_, result->token,
             result->code == VD_OK ? VD_OUTCOME_DURABLE : VD_OUTCOME_RETRY, "probe.done");
}

void TestHost::CheckFrame(const vd_frame& frame) {
  ExpectRecord(frame.struct_size, sizeof(vd_frame), "vd_frame");
  Read(frame.source, "vd_frame.source");
  if (frame.width == 0 || frame.height == 0 || frame.width > kMaxFrameSide ||
      frame.height > kMaxFrameSide) {
    fixture_.Fail("push: " + std::to_string(frame.width) + " x " + std::to_string(frame.height) +
                  " pixels");
  }
  if (frame.plane_count < 1 || frame.plane_count > VD_MAX_PLANES) {
    fixture_.Fail("push: " + std::to_string(frame.plane_count) + " planes");
  }
  if (frame.buffer == nullptr) {
    if (frame.descriptor < 0) fixture_.Fail("push: neither buffer nor descriptor");
    return;
  }
  for (uint32_t i = 0; i < frame.plane_count; ++i) {
    const vd_plane& plane = frame.planes[i];
    if (plane.offset > frame.buffer->size || plane.size > frame.buffer->size - plane.offset) {
      fixture_.Fail("push: plane " + std::to_string(i) + " does not lie in the buffer");
    }
  }
}

int32_t FlowTables::Push(const vd_host* host, const vd_frame* frame) {
  TestHost& self = TestHost::Of(host);
  self.Expect(kStarted, "push");
  if (self.source_ == nullptr) {
    self.fixture_.Fail("push: the plugin pushes, but does not offer " VD_SOURCE_1);
  }
  self.CheckFrame(*frame);
  if (self.refusing_) return VD_FAILED_PRECONDITION;
  {
    const std::lock_guard<std::mutex> lock(self.mutex_);
    if (self.frame_room_ == 0) {
      // A push and on_room may cross, so that a source believes in a little more than there is.
      const uint64_t crossings = self.frame_rooms_given_ * self.options_.frame_room;
      if (++self.frames_refused_ > crossings) {
        self.fixture_.Fail("push: goes on where there is no room for a frame");
      }
      return VD_RESOURCE_EXHAUSTED;
    }
    --self.frame_room_;
    if (!self.frames_open_.insert(frame->ticket).second) {
      self.fixture_.Fail("push: ticket " + std::to_string(frame->ticket) + " is in flight already");
    }
  }
  self.KeepAWhile(frame->buffer);
  const uint64_t number = self.traffic_.pushed++;
  self.Answer([&self, ticket = frame->ticket, number] {
    {
      const std::lock_guard<std::mutex> lock(self.mutex_);
      self.frames_open_.erase(ticket);
    }
    self.source_->on_frame_done(self.instance_, ticket, FrameOutcome(number));
    ++self.traffic_.frames_ended;
    self.GiveFrameRoom();
  });
  return VD_OK;
}

void TestHost::GiveFrameRoom() {
  uint32_t room = 0;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    room = options_.frame_room - static_cast<uint32_t>(frames_open_.size());
    frame_room_ = room;
    ++frame_rooms_given_;
  }
  source_->on_room(instance_, room);
}

void FlowTables::InferDone(const vd_host* host, const vd_infer_result* result) {
  TestHost& self = TestHost::Of(host);
  self.Expect(kStarted | kDraining, "infer.done");
  self.ExpectRecord(result->struct_size, sizeof(vd_infer_result), "vd_infer_result");
  self.Read(result->detail, "vd_infer_result.detail");
  const std::string text = self.Read(result->result, "vd_infer_result.result");
  const bool durable = result->outcome == VD_OUTCOME_DURABLE;
  if (durable != (result->code == VD_OK)) {
    self.fixture_.Fail("infer.done: outcome and code do not agree");
  }
  if (durable && !nlohmann::json::parse(text, nullptr, false).is_object()) {
    self.fixture_.Fail("infer.done: the result is no JSON object, \"" + text.substr(0, 64) + "\"");
  }
  for (const vd_crop& crop :
       sdk::List<vd_crop>(result->crops, result->crop_stride, result->crop_count)) {
    self.ExpectRecord(crop.struct_size, sizeof(vd_crop), "vd_crop");
    self.Read(crop.name, "vd_crop.name");
    self.Read(crop.media_type, "vd_crop.media_type");
    if (crop.buffer == nullptr) self.fixture_.Fail("infer.done: a crop without a buffer");
    self.KeepAWhile(crop.buffer);
  }
  self.Ended(self.inferences_, result->ticket, result->outcome, "infer.done");
}

}  // namespace viaduct::check
