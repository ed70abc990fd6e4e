#include "core/plugin/probe_side.h"

#include <utility>

#include "core/plugin/abi_values.h"
#include "core/plugin/incarnation.h"

namespace viaduct {
namespace {

ProbeResult Failed(absl::Status status) {
  ProbeResult result;
  result.status = std::move(status);
  return result;
}

ProbeResult Stopped() { return Failed(absl::CancelledError("probe: the instance stopped")); }

}  // namespace

ProbeSide::ProbeSide(Incarnation* owner) : owner_(owner), waiting_(owner->limits().max_jobs) {}

void ProbeSide::Probe(absl::Duration limit, uint32_t payload_bytes, ProbeDoneFn done) {
  if (owner_->tables().probe == nullptr || !owner_->delivering()) {
    return done(Failed(absl::UnavailableError("probe: the instance can not be probed now")));
  }
  const uint64_t ticket = owner_->services().NextTicket();
  if (!waiting_.Add(ticket, {done, 0})) {
    return done(Failed(absl::ResourceExhaustedError("probe: too many are under way")));
  }
  const int64_t deadline =
      owner_->services().clock->MonotonicNanos() + absl::ToInt64Nanoseconds(limit);
  const uint64_t timer = owner_->services().timers.ArmAt(
      deadline + absl::ToInt64Nanoseconds(kGrace), [weak = owner_->weak_from_this(), ticket] {
        const auto owner = weak.lock();
        if (owner == nullptr) return;
        owner->workers().Submit([owner, ticket] {
          owner->probe_side().Finish(
              ticket, Failed(absl::DeadlineExceededError("probe: no answer in time")));
        });
      });
  if (timer == 0) {
    Finish(ticket, Failed(absl::ResourceExhaustedError("probe: too many timers")));
    return;
  }
  waiting_.With(ticket, [timer](Waiting& waiting) { waiting.timer = timer; });
  const uint32_t lane = static_cast<uint32_t>(ticket % owner_->lane_count());
  const bool posted =
      owner_->PostToLane(lane, "probe", [this, ticket, lane, payload_bytes, deadline] {
        Send(ticket, lane, payload_bytes, deadline);
      });
  if (!posted) Finish(ticket, Failed(absl::UnavailableError("probe: the lane is full")));
}

void ProbeSide::Send(uint64_t ticket, uint32_t lane, uint32_t payload_bytes, int64_t deadline_ns) {
  if (!owner_->delivering()) {  // It waited on the lane until drain began.
    Finish(ticket, Stopped());
    return;
  }
  vd_probe probe{};
  probe.struct_size = sizeof(probe);
  probe.payload_size = payload_bytes;
  probe.token = ticket;
  probe.deadline_ns = deadline_ns;
  int32_t code = VD_INTERNAL;
  owner_->Guarded("probe",
                  [&] { code = owner_->tables().probe->probe(owner_->instance(), lane, &probe); });
  if (code != VD_OK) Finish(ticket, Failed(StatusOf(code, "probe: the plugin refused")));
}

bool ProbeSide::Finish(uint64_t ticket, ProbeResult result) {
  Waiting waiting;
  if (!waiting_.Take(ticket, &waiting)) return false;
  owner_->services().timers.Cancel(waiting.timer);
  waiting.done(std::move(result));
  return true;
}

void ProbeSide::CancelAll() {
  for (Waiting& waiting : waiting_.Close()) {
    owner_->services().timers.Cancel(waiting.timer);
    waiting.done(Stopped());
  }
}

void ProbeSide::OnDone(const vd_host* host, const vd_probe_result* result) {
  HostEntry entry(host);
  if (!entry) return;
  vd_probe_result theirs;
  if (!entry->answering() || !ReadStruct(result, &theirs)) return entry->CountRefused();
  ProbeResult ours;
  ours.status = StatusOf(theirs.code, ShortText(theirs.detail));
  if (theirs.code == VD_OK) ours.round_trip = ReadDelay(theirs.round_trip_ns);
  ours.bytes_sent = theirs.bytes_sent;
  ours.bytes_received = theirs.bytes_received;
  if (!entry->probe_side().Finish(theirs.token, std::move(ours))) {
    Counters::Add(&entry->counters().unknown_tokens, 1);
  }
}

const vd_host_probe_1* ProbeSide::Table() {
  static constexpr vd_host_probe_1 kTable = {&OnDone};
  return &kTable;
}

bool RoadProber::ready() const {
  const auto now = current_->get();
  return now != nullptr && now->delivering() && now->tables().probe != nullptr;
}

void RoadProber::Probe(absl::Duration limit, uint32_t payload_bytes, ProbeDoneFn done) {
  const auto now = current_->get();
  if (now == nullptr) {
    return done(Failed(absl::UnavailableError("probe: the instance does not run")));
  }
  now->probe_side().Probe(limit, payload_bytes, std::move(done));
}

}  // namespace viaduct
