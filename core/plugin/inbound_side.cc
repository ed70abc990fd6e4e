#include "core/plugin/inbound_side.h"

#include <algorithm>
#include <functional>
#include <string>
#include <utility>

#include "absl/strings/numbers.h"
#include "core/plugin/abi_values.h"
#include "core/plugin/incarnation.h"
#include "core/plugin/out_call_side.h"

namespace viaduct {
namespace {

static_assert(VD_MAX_LANES <= 64, "room_wanted_ has one bit a lane");
constexpr size_t kMaxDetail = 512;

bool IsGood(int status) { return status >= 200 && status < 300; }

// How an HTTP status of the application ends a message that came without a call.
uint32_t OutcomeOf(int status) {
  if (IsGood(status)) return VD_OUTCOME_DURABLE;
  const bool later = status == 408 || status == 425 || status == 429 || status >= 500;
  return later ? VD_OUTCOME_RETRY : VD_OUTCOME_REJECT;
}

int32_t CodeOfStatus(int status) {
  if (IsGood(status)) return VD_OK;
  switch (status) {
    case 401:
      return VD_UNAUTHENTICATED;
    case 403:
      return VD_PERMISSION_DENIED;
    case 404:
      return VD_NOT_FOUND;
    case 409:
      return VD_ALREADY_EXISTS;
    case 429:
    case 507:
      return VD_RESOURCE_EXHAUSTED;
    case 501:
      return VD_UNIMPLEMENTED;
    default:
      return status >= 500 ? VD_UNAVAILABLE : VD_INVALID_ARGUMENT;
  }
}

int64_t RetryAfterNs(const CallReply& reply) {
  for (const auto& [name, value] : reply.attributes) {
    int64_t seconds = 0;
    if (name == "retry-after" && absl::SimpleAtoi(value, &seconds)) {
      return std::clamp<int64_t>(seconds, 0, 3600) * 1000000000;
    }
  }
  return 0;
}

}  // namespace

InboundSide::InboundSide(Incarnation* owner) : owner_(owner) {}

void InboundSide::Drop() {
  {
    absl::MutexLock lock(&mutex_);
    if (std::exchange(closed_, true)) return;
    submits_ = {};
    calls_ = {};
    done_ = {};
    answered_ = {};
    bytes_ = 0;
  }
  CallHandler* const calls = owner_->services().calls;
  if (calls != nullptr && owner_->tables().call != nullptr) calls->OnListenerGone(owner_->name());
}

int32_t InboundSide::Admit(Table* table, size_t max, uint64_t token, uint64_t bytes, uint32_t lane,
                           uint64_t* ticket) {
  absl::MutexLock lock(&mutex_);
  if (closed_) return VD_FAILED_PRECONDITION;
  // One message always fits, whatever its size: AbiReader has bounded it.
  const bool full = bytes_ > 0 && bytes > owner_->limits().max_inbound_bytes - bytes_;
  if (table->size() >= max || full) {
    room_wanted_ |= uint64_t{1} << lane;
    return VD_RESOURCE_EXHAUSTED;
  }
  *ticket = next_ticket_++;
  if (!table->try_emplace(token, Waiting{*ticket, bytes, lane}).second) return VD_ALREADY_EXISTS;
  bytes_ += bytes;
  return VD_OK;
}

bool InboundSide::Leave(Table* table, uint64_t token, uint64_t ticket) {
  const auto found = table->find(token);
  if (found == table->end() || found->second.ticket != ticket) return false;
  bytes_ -= found->second.bytes;
  table->erase(found);
  return true;
}

void InboundSide::Ask(CallRequest request, ReplyFn reply) {
  if (owner_->services().calls == nullptr) {
    reply({503, {{"content-type", "text/plain"}}, "this node takes no messages"});
    return;
  }
  owner_->services().calls->Handle(std::move(request), std::move(reply));
}

// ---- submit
// --------------------------------------------------------------------------------------

int32_t InboundSide::Submit(uint32_t lane, const vd_inbound_list* batch, uint64_t* taken) {
  for (; *taken < batch->count; ++*taken) {
    vd_inbound message;
    if (!ReadStruct(At(batch->items, batch->stride, *taken), &message)) {
      owner_->CountRefused();
      return *taken > 0 ? VD_OK : VD_INVALID_ARGUMENT;
    }
    if (!SubmitOne(lane, message)) return VD_OK;
  }
  return VD_OK;
}

// False: no room; it was not taken.
bool InboundSide::SubmitOne(uint32_t lane, const vd_inbound& message) {
  AbiReader reader(owner_->limits());
  CallRequest request;  // A message is a POST to its route: one vocabulary for the application.
  request.protocol = owner_->plugin().info().name;
  request.method = "POST";
  request.path = reader.Text(message.route);
  request.attributes = reader.List(message.attributes, message.attribute_count);
  request.body = reader.Body(message.content);
  request.peer.instance = owner_->name();
  request.peer.address = reader.Text(message.peer);
  request.peer.credentials = reader.List(message.credentials, message.credential_count);
  const bool own = request.peer.address.empty() || request.peer.address == owner_->name();
  request.of_plugin = own && request.peer.credentials.empty();
  uint64_t ticket = 0;
  const int32_t admitted = Admit(&submits_, owner_->limits().max_submits, message.token,
                                 request.body.size(), lane, &ticket);
  if (admitted == VD_RESOURCE_EXHAUSTED || admitted == VD_FAILED_PRECONDITION) return false;
  if (admitted != VD_OK) {  // The token is in flight already: its one end will come for that.
    owner_->CountRefused();
    return true;
  }
  Counters::Add(&owner_->counters().submitted, 1);
  if (!reader.ok()) {
    owner_->CountRefused();
    FinishSubmit(message.token, ticket, {413, {}, "a value is null or over its limit"});
    return true;
  }
  Ask(std::move(request),
      [weak = owner_->weak_from_this(), token = message.token, ticket](CallReply reply) {
        if (const auto owner = weak.lock()) {
          owner->inbound_side().FinishSubmit(token, ticket, std::move(reply));
        }
      });
  return true;
}

void InboundSide::FinishSubmit(uint64_t token, uint64_t ticket, CallReply reply) {
  {
    absl::MutexLock lock(&mutex_);
    if (!Leave(&submits_, token, ticket)) return;
    done_.push_back({token, std::move(reply)});
    // Whoever flushes already takes it along: answers batch themselves.
    if (std::exchange(flushing_, true)) return;
  }
  OffThePluginsStack([](InboundSide* self) { self->Flush(); });
}

// Now, or on another thread where this one is inside a call of a plugin.
void InboundSide::OffThePluginsStack(std::function<void(InboundSide*)> step) {
  if (!CallScope::active()) return step(this);
  owner_->workers().Submit([owner = owner_->shared_from_this(), step = std::move(step)] {
    step(&owner->inbound_side());
  });
}

void InboundSide::Flush() {
  while (true) {
    std::vector<Done> done;
    uint64_t room = 0;
    {
      absl::MutexLock lock(&mutex_);
      done.swap(done_);
      const bool roomy = submits_.size() <= owner_->limits().max_submits * 3 / 4 &&
                         bytes_ <= owner_->limits().max_inbound_bytes / 4 * 3;
      if (roomy) room = std::exchange(room_wanted_, 0);
      if (done.empty() && room == 0) {
        flushing_ = false;
        return;
      }
    }
    SendDone(done);
    SendRoom(room);
  }
}

void InboundSide::SendDone(const std::vector<Done>& done) {
  const vd_submit_1* const table = owner_->tables().submit;
  if (done.empty() || table == nullptr) return;
  std::vector<vd_completion> items;
  items.reserve(done.size());
  for (const Done& end : done) {
    vd_completion item{};
    item.struct_size = sizeof(item);
    item.outcome = OutcomeOf(end.reply.status);
    item.token = end.token;
    item.code = CodeOfStatus(end.reply.status);
    if (item.outcome == VD_OUTCOME_RETRY) item.retry_after_ns = RetryAfterNs(end.reply);
    if (item.outcome != VD_OUTCOME_DURABLE) {
      item.detail = ToAbi(std::string_view(end.reply.body).substr(0, kMaxDetail));
    }
    items.push_back(item);
  }
  const vd_completion_list list{items.data(), sizeof(vd_completion), items.size()};
  owner_->Enter("on_done", [&] { table->on_done(owner_->instance(), &list); });
}

void InboundSide::SendRoom(uint64_t lanes) {
  const vd_submit_1* const table = owner_->tables().submit;
  if (table == nullptr) return;
  for (uint32_t lane = 0; lane < owner_->lane_count(); ++lane) {
    if ((lanes >> lane & 1) == 0) continue;
    owner_->Enter("on_room", [&] { table->on_room(owner_->instance(), lane); });
  }
}

int32_t InboundSide::OnSubmit(const vd_host* host, uint32_t lane, const vd_inbound_list* batch,
                              uint64_t* taken) {
  HostEntry entry(host);
  if (taken != nullptr) *taken = 0;
  if (!entry || !entry->accepting()) return VD_FAILED_PRECONDITION;
  if (taken == nullptr || batch == nullptr || entry->tables().submit == nullptr ||
      !IsWalkable(batch->items, batch->stride, batch->count, UINT32_MAX)) {
    entry->CountRefused();
    return VD_INVALID_ARGUMENT;
  }
  if (lane >= entry->lane_count()) {
    entry->CountRefused();
    return VD_OUT_OF_RANGE;
  }
  return entry->inbound_side().Submit(lane, batch, taken);
}

const vd_host_submit_1* InboundSide::SubmitTable() {
  static constexpr vd_host_submit_1 kTable = {&OnSubmit};
  return &kTable;
}

// ---- call
// ----------------------------------------------------------------------------------------

int32_t InboundSide::Call(const vd_call& call) {
  AbiReader reader(owner_->limits());
  CallRequest request;
  request.protocol = reader.Text(call.protocol);
  request.method = reader.Text(call.method);
  request.path = reader.Text(call.path);
  request.query = reader.Text(call.query);
  request.attributes = reader.List(call.attributes, call.attribute_count);
  request.body = reader.Body(call.body);
  request.peer.instance = owner_->name();
  request.peer.address = reader.Text(call.peer);
  request.peer.credentials = reader.List(call.credentials, call.credential_count);
  if (!reader.ok()) return VD_INVALID_ARGUMENT;
  uint64_t ticket = 0;
  const int32_t admitted =
      Admit(&calls_, owner_->limits().max_calls, call.token, request.body.size(), 0, &ticket);
  if (admitted != VD_OK) return admitted;
  Counters::Add(&owner_->counters().calls, 1);
  Ask(std::move(request),
      [weak = owner_->weak_from_this(), token = call.token, ticket](CallReply reply) {
        if (const auto owner = weak.lock()) {
          owner->inbound_side().FinishCall(token, ticket, std::move(reply));
        }
      });
  return VD_OK;
}

void InboundSide::FinishCall(uint64_t token, uint64_t ticket, CallReply reply) {
  if (CallScope::active()) {
    {
      absl::MutexLock lock(&mutex_);
      answered_.push_back({token, ticket, std::move(reply)});
      // In their order, and all that come meanwhile with one change of threads.
      if (std::exchange(answering_, true)) return;
    }
    return OffThePluginsStack([](InboundSide* self) { self->FinishAnswered(); });
  }
  bool flush = false;
  {
    absl::MutexLock lock(&mutex_);
    if (!Leave(&calls_, token, ticket)) return;
    // Its octets may be the room that a submit waits for.
    flush = room_wanted_ != 0 && !std::exchange(flushing_, true);
  }
  SendReply(token, reply);
  if (flush) Flush();
}

void InboundSide::FinishAnswered() {
  while (true) {
    std::vector<Answered> answered;
    {
      absl::MutexLock lock(&mutex_);
      answered.swap(answered_);
      if (answered.empty()) {
        answering_ = false;
        return;
      }
    }
    for (Answered& one : answered) FinishCall(one.token, one.ticket, std::move(one.reply));
  }
}

void InboundSide::SendReply(uint64_t token, const CallReply& reply) {
  const std::vector<vd_attr> attributes = ToAbi(reply.attributes);
  vd_reply out{};
  out.struct_size = sizeof(out);
  out.status = reply.status;
  out.token = token;
  out.body = ToAbiBytes(reply.body);
  out.attributes = attributes.data();
  out.attribute_count = attributes.size();
  owner_->Enter("on_reply", [&] { owner_->tables().call->on_reply(owner_->instance(), &out); });
}

int32_t InboundSide::OnCall(const vd_host* host, const vd_call* call) {
  HostEntry entry(host);
  if (!entry || !entry->accepting()) return VD_FAILED_PRECONDITION;
  vd_call theirs;
  int32_t code = VD_INVALID_ARGUMENT;
  if (ReadStruct(call, &theirs) && entry->tables().call != nullptr) {
    code = entry->inbound_side().Call(theirs);
  }
  if (code != VD_OK && code != VD_RESOURCE_EXHAUSTED) entry->CountRefused();
  return code;
}

// The work is under way and its answer comes all the same; there is nothing to take back.
void InboundSide::OnCancel(const vd_host*, uint64_t) {}

void InboundSide::OnReply(const vd_host* host, const vd_reply* reply) {
  HostEntry entry(host);
  if (!entry) return;
  vd_reply theirs;
  if (!entry->answering() || !ReadStruct(reply, &theirs)) return entry->CountRefused();
  entry->out_call_side().Reply(theirs);
}

const vd_host_call_1* InboundSide::CallTable() {
  static constexpr vd_host_call_1 kTable = {&OnCall, &OnCancel, &OnReply};
  return &kTable;
}

}  // namespace viaduct
