#include "core/plugin/infer_side.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/plugin/abi_values.h"
#include "core/plugin/host_side.h"
#include "core/plugin/incarnation.h"

namespace viaduct {
namespace {

constexpr size_t kMaxCropName = 128;

InferResult Ended(Outcome outcome, absl::Status status) {
  InferResult result;
  result.outcome = outcome;
  result.status = std::move(status);
  return result;
}

InferResult Stopped() {
  return Ended(Outcome::kCancelled, absl::CancelledError("the instance stopped"));
}

}  // namespace

InferSide::InferSide(Incarnation* owner) : owner_(owner), waiting_(owner->limits().max_jobs) {}

uint32_t InferSide::LaneOf(uint64_t ticket) const {
  return static_cast<uint32_t>(ticket % owner_->lane_count());
}

size_t InferSide::Credit() {
  uint32_t credit = 0;
  if (owner_->tables().infer == nullptr || !owner_->delivering()) return 0;
  const size_t on_way = on_way_.load();  // Before asking: what arrives meanwhile counts twice.
  owner_->Enter("credit", [&] { credit = owner_->tables().infer->credit(owner_->instance()); });
  return std::min<size_t>(credit - std::min<size_t>(credit, on_way),
                          owner_->limits().max_jobs - waiting_.size());
}

absl::StatusOr<uint64_t> InferSide::Infer(Frame frame, std::string options_json, InferDoneFn done) {
  if (frame.planes.empty() || frame.planes.size() > VD_MAX_PLANES) {
    return absl::InvalidArgumentError(
        absl::StrCat("infer: a frame has 1 to 4 planes, ", frame.planes.size()));
  }
  if (owner_->tables().infer == nullptr || !owner_->delivering()) {
    return absl::UnavailableError(absl::StrCat("infer: ", owner_->name(), " takes no frames now"));
  }
  const uint64_t ticket = owner_->services().NextTicket();
  if (!waiting_.Add(ticket, {std::move(done), 0})) {
    return absl::ResourceExhaustedError(
        absl::StrCat("infer: ", owner_->name(), " has too many frames"));
  }
  Waiting refused;
  if (frame.deadline_ns != 0 && !ArmExpiry(ticket, frame.deadline_ns) &&
      waiting_.Take(ticket, &refused)) {
    return absl::ResourceExhaustedError("infer: too many timers");
  }
  const uint32_t lane = LaneOf(ticket);
  // A task must be copyable, a frame is not.
  const auto shared = std::make_shared<const Frame>(std::move(frame));
  on_way_.fetch_add(1);
  const bool posted = owner_->PostToLane(
      lane, "infer", [this, ticket, lane, shared, options = std::move(options_json)] {
        Send(ticket, lane, *shared, options);
        on_way_.fetch_sub(1);
      });
  if (!posted) on_way_.fetch_sub(1);
  if (!posted && waiting_.Take(ticket, &refused)) {
    owner_->services().timers.Cancel(refused.timer);
    return absl::ResourceExhaustedError(absl::StrCat("infer: ", owner_->name(), " is too busy"));
  }
  return ticket;
}

bool InferSide::ArmExpiry(uint64_t ticket, int64_t deadline_ns) {
  const uint64_t timer =
      owner_->services().timers.ArmAt(deadline_ns, [weak = owner_->weak_from_this(), ticket] {
        if (const auto owner = weak.lock()) owner->infer_side().Expire(ticket);
      });
  waiting_.With(ticket, [timer](Waiting& waiting) { waiting.timer = timer; });
  return timer != 0;
}

void InferSide::Send(uint64_t ticket, uint32_t lane, const Frame& frame,
                     const std::string& options) {
  if (!waiting_.With(ticket, [](Waiting&) {})) return;  // Too late already.
  if (!owner_->delivering()) {                          // It waited on the lane until drain began.
    Finish(ticket, Stopped());
    return;
  }
  vd_frame out{};
  out.struct_size = sizeof(out);
  out.fourcc = frame.fourcc;
  out.width = frame.width;
  out.height = frame.height;
  out.modifier = frame.modifier;
  out.plane_count = static_cast<uint32_t>(frame.planes.size());
  out.descriptor = frame.descriptor.get();
  std::copy(frame.planes.begin(), frame.planes.end(), out.planes);
  out.buffer = frame.buffer.get();
  out.ticket = ticket;
  out.sequence = frame.sequence;
  out.capture_ns = frame.capture_ns;
  out.deadline_ns = frame.deadline_ns;
  out.source = ToAbi(frame.source);
  int32_t code = VD_INTERNAL;
  owner_->Guarded("infer", [&] {
    code = owner_->tables().infer->infer(owner_->instance(), lane, ticket, &out, ToAbi(options));
  });
  if (code == VD_OK) return;
  const Outcome outcome = code == VD_INVALID_ARGUMENT ? Outcome::kReject : Outcome::kRetry;
  Finish(ticket, Ended(outcome, StatusOf(code, "infer: the plugin refused the frame")));
}

// On the timers' thread.
void InferSide::Expire(uint64_t ticket) {
  Cancel(ticket);
  owner_->workers().Submit([self = owner_->shared_from_this(), ticket] {
    self->infer_side().Finish(
        ticket, Ended(Outcome::kExpired, absl::DeadlineExceededError("infer: too late")));
  });
}

void InferSide::Cancel(uint64_t ticket) {
  const uint32_t lane = LaneOf(ticket);
  owner_->PostToLane(lane, "cancel", [this, ticket, lane] {
    owner_->Guarded("cancel",
                    [&] { owner_->tables().infer->cancel(owner_->instance(), lane, ticket); });
  });
}

bool InferSide::Finish(uint64_t ticket, InferResult result) {
  Waiting waiting;
  if (!waiting_.Take(ticket, &waiting)) return false;
  owner_->services().timers.Cancel(waiting.timer);
  waiting.done(std::move(result));
  return true;
}

void InferSide::CancelAll() {
  for (Waiting& waiting : waiting_.Close()) {
    owner_->services().timers.Cancel(waiting.timer);
    waiting.done(Stopped());
  }
}

bool InferSide::ReadCrops(const vd_infer_result& theirs, InferResult* ours) const {
  if (!IsWalkable(theirs.crops, theirs.crop_stride, theirs.crop_count, kMaxCrops)) return false;
  for (uint64_t i = 0; i < theirs.crop_count; ++i) {
    vd_crop crop;
    if (!ReadStruct(At(theirs.crops, theirs.crop_stride, i), &crop)) return false;
    if (crop.buffer == nullptr || crop.buffer->ref == nullptr || crop.buffer->unref == nullptr ||
        (crop.buffer->data == nullptr && crop.buffer->size > 0) ||
        crop.buffer->size > owner_->limits().max_frame_bytes) {
      return false;
    }
    vd_buffer* const octets = ShareOrCopy(owner_->host_side().buffers(), crop.buffer);
    if (octets == nullptr) return false;
    ours->crops.push_back({ShortText(crop.name, kMaxCropName),
                           ShortText(crop.media_type, kMaxCropName), FrameBuffer::Adopt(octets)});
  }
  return true;
}

void InferSide::OnDone(const vd_host* host, const vd_infer_result* result) {
  HostEntry entry(host);
  if (!entry) return;
  vd_infer_result theirs;
  if (!entry->answering() || !ReadStruct(result, &theirs)) return entry->CountRefused();
  InferResult ours;
  if (!ReadOutcome(theirs.outcome, &ours.outcome)) entry->CountRefused();
  if (ours.outcome == Outcome::kDurable) {
    AbiReader reader(entry->limits());
    ours.result_json =
        reader.Body({static_cast<const uint8_t*>(static_cast<const void*>(theirs.result.data)),
                     theirs.result.size});
    if (!reader.ok() || !entry->infer_side().ReadCrops(theirs, &ours)) {
      entry->CountRefused();
      ours = Ended(Outcome::kReject,
                   absl::InternalError("infer: the plugin gave a result over its limits"));
    }
  } else {
    ours.status =
        StatusOf(theirs.code == VD_OK ? VD_UNKNOWN : theirs.code, ShortText(theirs.detail));
  }
  if (!entry->infer_side().Finish(theirs.ticket, std::move(ours))) {
    Counters::Add(&entry->counters().unknown_tokens, 1);
  }
}

const vd_host_infer_1* InferSide::Table() {
  static constexpr vd_host_infer_1 kTable = {&OnDone};
  return &kTable;
}

}  // namespace viaduct
