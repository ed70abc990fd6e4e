#include "core/plugin/source_side.h"

#include <utility>

#include "core/plugin/abi_values.h"
#include "core/plugin/host_side.h"
#include "core/plugin/incarnation.h"

namespace viaduct {
namespace {

constexpr size_t kMaxSourceName = 256;

uint32_t ToAbi(Outcome outcome) { return static_cast<uint32_t>(outcome) + VD_OUTCOME_DURABLE; }

}  // namespace

SourceSide::SourceSide(Incarnation* owner, std::shared_ptr<FrameConsumer> consumer)
    : owner_(owner), consumer_(std::move(consumer)) {}

void SourceSide::OfferRoom() {
  if (owner_->tables().source == nullptr || !owner_->delivering()) return;
  uint32_t room = 0;
  if (consumer_->get() != nullptr) {
    absl::MutexLock lock(&mutex_);
    room = static_cast<uint32_t>(owner_->limits().max_frames -
                                 std::min(owner_->limits().max_frames, under_way_.size()));
  }
  const auto offer = [room](Incarnation* owner) {
    owner->Enter("on_room", [&] { owner->tables().source->on_room(owner->instance(), room); });
  };
  if (!CallScope::active()) return offer(owner_);
  owner_->workers().Submit([self = owner_->shared_from_this(), offer] { offer(self.get()); });
}

int32_t SourceSide::Check(const vd_frame& frame) const {
  if (frame.plane_count < 1 || frame.plane_count > VD_MAX_PLANES) return VD_INVALID_ARGUMENT;
  if (frame.width > kMaxFrameSide || frame.height > kMaxFrameSide) return VD_INVALID_ARGUMENT;
  if (frame.buffer == nullptr && frame.descriptor < 0) return VD_INVALID_ARGUMENT;
  if (frame.buffer == nullptr) return VD_OK;
  const vd_buffer& buffer = *frame.buffer;
  if (buffer.ref == nullptr || buffer.unref == nullptr || buffer.data == nullptr ||
      buffer.size > owner_->limits().max_frame_bytes) {
    return VD_INVALID_ARGUMENT;
  }
  for (uint32_t i = 0; i < frame.plane_count; ++i) {
    const vd_plane& plane = frame.planes[i];
    if (plane.offset > buffer.size || plane.size > buffer.size - plane.offset) {
      return VD_INVALID_ARGUMENT;
    }
  }
  return VD_OK;
}

int32_t SourceSide::Admit(const vd_frame& frame, uint64_t* ticket) {
  absl::MutexLock lock(&mutex_);
  if (closed_) return VD_FAILED_PRECONDITION;
  if (under_way_.size() >= owner_->limits().max_frames) return VD_RESOURCE_EXHAUSTED;
  *ticket = owner_->services().NextTicket();
  return under_way_.try_emplace(frame.ticket, *ticket).second ? VD_OK : VD_ALREADY_EXISTS;
}

int32_t SourceSide::Push(const vd_frame& theirs) {
  int32_t code = Check(theirs);
  if (code != VD_OK) return code;
  const std::shared_ptr<const FrameFn> consumer = consumer_->get();
  if (consumer == nullptr) return VD_RESOURCE_EXHAUSTED;
  uint64_t ticket = 0;
  code = Admit(theirs, &ticket);
  if (code != VD_OK) return code;
  Frame frame;
  frame.fourcc = theirs.fourcc;
  frame.width = theirs.width;
  frame.height = theirs.height;
  frame.modifier = theirs.modifier;
  frame.planes.assign(theirs.planes, theirs.planes + theirs.plane_count);
  if (theirs.buffer != nullptr) {
    frame.buffer = FrameBuffer::Adopt(ShareOrCopy(owner_->host_side().buffers(), theirs.buffer));
    if (frame.buffer.get() == nullptr) {
      Forget(theirs.ticket, ticket);
      return VD_RESOURCE_EXHAUSTED;
    }
  }
  frame.descriptor = FrameDescriptor::Duplicate(theirs.descriptor);
  frame.sequence = theirs.sequence;
  frame.capture_ns = theirs.capture_ns;
  frame.deadline_ns = theirs.deadline_ns;
  frame.source = ShortText(theirs.source, kMaxSourceName);
  (*consumer)(std::move(frame),
              [weak = owner_->weak_from_this(), token = theirs.ticket, ticket](Outcome outcome) {
                if (const auto owner = weak.lock())
                  owner->source_side().Finish(token, ticket, outcome);
              });
  return VD_OK;
}

bool SourceSide::Forget(uint64_t token, uint64_t ticket) {
  absl::MutexLock lock(&mutex_);
  const auto found = under_way_.find(token);
  if (found == under_way_.end() || found->second != ticket) return false;
  under_way_.erase(found);
  return true;
}

void SourceSide::Finish(uint64_t token, uint64_t ticket, Outcome outcome) {
  if (!Forget(token, ticket)) return;
  const auto tell = [token, outcome](Incarnation* owner) {
    owner->Enter("on_frame_done", [&] {
      owner->tables().source->on_frame_done(owner->instance(), token, ToAbi(outcome));
    });
    owner->source_side().OfferRoom();
  };
  if (!CallScope::active()) return tell(owner_);
  owner_->workers().Submit([self = owner_->shared_from_this(), tell] { tell(self.get()); });
}

void SourceSide::Drop() {
  absl::MutexLock lock(&mutex_);
  closed_ = true;
  under_way_.clear();
}

int32_t SourceSide::OnPush(const vd_host* host, const vd_frame* frame) {
  HostEntry entry(host);
  if (!entry || !entry->accepting()) return VD_FAILED_PRECONDITION;
  vd_frame theirs;
  int32_t code = VD_INVALID_ARGUMENT;
  if (ReadStruct(frame, &theirs) && entry->tables().source != nullptr) {
    code = entry->source_side().Push(theirs);
  }
  if (code != VD_OK && code != VD_RESOURCE_EXHAUSTED) entry->CountRefused();
  return code;
}

const vd_host_source_1* SourceSide::Table() {
  static constexpr vd_host_source_1 kTable = {&OnPush};
  return &kTable;
}

}  // namespace viaduct
