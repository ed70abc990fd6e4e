#include "core/plugin/out_call_side.h"

#include <string>
#include <utility>
#include <vector>

#include "core/plugin/abi_values.h"
#include "core/plugin/incarnation.h"

namespace viaduct {
namespace {

CallReply Refusal(int status, std::string_view why) {
  return {status, {{"content-type", "text/plain"}}, std::string(why)};
}

CallReply RefusalOf(int32_t code) {
  if (code == VD_NOT_FOUND) return Refusal(404, "no such peer on this instance");
  if (code == VD_UNIMPLEMENTED) return Refusal(501, "the plugin takes no calls");
  return Refusal(503, "the peer can not be reached now");
}

CallReply Stopped(bool sent) {
  return sent ? Refusal(502, "the instance stopped before the answer")
              : Refusal(503, "the instance stopped");
}

}  // namespace

OutCallSide::OutCallSide(Incarnation* owner) : owner_(owner), waiting_(owner->limits().max_calls) {}

void OutCallSide::Call(CallRequest request, absl::Duration limit, ReplyFn reply) {
  if (owner_->tables().call == nullptr) return reply(RefusalOf(VD_UNIMPLEMENTED));
  if (!owner_->delivering()) return reply(RefusalOf(VD_UNAVAILABLE));
  const uint64_t ticket = owner_->services().NextTicket();
  const uint32_t lane = static_cast<uint32_t>(ticket % owner_->lane_count());
  const int64_t deadline =
      owner_->services().clock->MonotonicNanos() + absl::ToInt64Nanoseconds(limit);
  // Entered before the timer and the plugin can know of it; the copy answers where that fails.
  if (!waiting_.Add(ticket, {reply, 0, false})) return reply(RefusalOf(VD_RESOURCE_EXHAUSTED));
  const uint64_t timer =
      owner_->services().timers.ArmAt(deadline, [weak = owner_->weak_from_this(), ticket, lane] {
        if (const auto owner = weak.lock()) owner->out_call_side().Expire(ticket, lane);
      });
  if (timer == 0) {
    Finish(ticket, RefusalOf(VD_UNAVAILABLE));
    return;
  }
  waiting_.With(ticket, [timer](Waiting& waiting) { waiting.timer = timer; });
  const bool posted = owner_->PostToLane(
      lane, "on_call", [this, ticket, lane, request = std::move(request), deadline] {
        Send(ticket, lane, request, deadline);
      });
  if (!posted) Finish(ticket, RefusalOf(VD_UNAVAILABLE));
}

void OutCallSide::Send(uint64_t ticket, uint32_t lane, const CallRequest& request,
                       int64_t deadline_ns) {
  if (!owner_->delivering()) {  // It waited on the lane until drain began.
    Finish(ticket, Stopped(/*sent=*/false));
    return;
  }
  // Not there: it has been answered, and who was told that the peer has not got it may have asked
  // another one.
  if (!waiting_.With(ticket, [](Waiting& waiting) { waiting.sent = true; })) return;
  const std::vector<vd_attr> attributes = ToAbi(request.attributes);
  vd_call call{};
  call.struct_size = sizeof(call);
  call.token = ticket;
  call.protocol = ToAbi(request.protocol);
  call.method = ToAbi(request.method);
  call.path = ToAbi(request.path);
  call.query = ToAbi(request.query);
  call.body = ToAbiBytes(request.body);
  call.peer = ToAbi(request.peer.address);
  call.deadline_ns = deadline_ns;
  call.attributes = attributes.data();
  call.attribute_count = attributes.size();
  int32_t code = VD_INTERNAL;
  owner_->Guarded("on_call",
                  [&] { code = owner_->tables().call->on_call(owner_->instance(), lane, &call); });
  if (code != VD_OK) Finish(ticket, RefusalOf(code));
}

// On the timers' thread.
void OutCallSide::Expire(uint64_t ticket, uint32_t lane) {
  owner_->PostToLane(lane, "on_cancel", [this, ticket, lane] {
    owner_->Guarded("on_cancel",
                    [&] { owner_->tables().call->on_cancel(owner_->instance(), lane, ticket); });
  });
  owner_->workers().Submit([self = owner_->shared_from_this(), ticket] {
    self->out_call_side().Finish(ticket, Refusal(504, "the peer did not answer in time"));
  });
}

void OutCallSide::Reply(const vd_reply& theirs) {
  AbiReader reader(owner_->limits());
  CallReply reply;
  reply.status = theirs.status >= 100 && theirs.status <= 599 ? theirs.status : 502;
  reply.body = reader.Body(theirs.body);
  reply.attributes = reader.List(theirs.attributes, theirs.attribute_count);
  if (!reader.ok()) {
    owner_->CountRefused();
    reply = Refusal(502, "the plugin gave an answer that is over its limits");
  }
  if (!Finish(theirs.token, std::move(reply))) {
    Counters::Add(&owner_->counters().unknown_tokens, 1);
  }
}

bool OutCallSide::Finish(uint64_t ticket, CallReply reply) {
  Waiting waiting;
  if (!waiting_.Take(ticket, &waiting)) return false;  // Somebody else was first.
  owner_->services().timers.Cancel(waiting.timer);
  waiting.reply(std::move(reply));
  return true;
}

void OutCallSide::CancelAll() {
  for (Waiting& waiting : waiting_.Close()) {
    owner_->services().timers.Cancel(waiting.timer);
    waiting.reply(Stopped(waiting.sent));
  }
}

}  // namespace viaduct
