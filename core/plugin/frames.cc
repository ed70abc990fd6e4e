#include "core/plugin/frames.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "core/plugin/host_side.h"
#include "core/plugin/incarnation.h"
#include "core/plugin/infer_side.h"
#include "core/plugin/source_side.h"

namespace viaduct {

FrameBuffer::~FrameBuffer() {
  if (buffer_ != nullptr) buffer_->unref(buffer_);
}

std::string_view FrameBuffer::octets() const {
  if (buffer_ == nullptr || buffer_->data == nullptr) return {};
  return {static_cast<const char*>(static_cast<const void*>(buffer_->data)), buffer_->size};
}

FrameDescriptor FrameDescriptor::Duplicate(int descriptor) {
  FrameDescriptor result;
  if (descriptor >= 0) result.fd_ = fcntl(descriptor, F_DUPFD_CLOEXEC, 0);
  return result;
}

FrameDescriptor::~FrameDescriptor() {
  if (fd_ >= 0) close(fd_);
}

absl::StatusOr<Frame> MakeFrame(uint32_t fourcc, uint32_t width, uint32_t height,
                                std::string_view octets, uint64_t max_bytes) {
  vd_buffer* const buffer = MakeBuffer(std::make_shared<BufferAccount>(max_bytes), octets.size());
  if (buffer == nullptr) {
    return absl::ResourceExhaustedError(
        absl::StrCat("frame: too large, ", octets.size(), " octets, at most ", max_bytes));
  }
  std::copy(octets.begin(), octets.end(), buffer->data);
  Frame frame;
  frame.fourcc = fourcc;
  frame.width = width;
  frame.height = height;
  frame.planes.push_back({0, octets.size(), 0, 0});
  frame.buffer = FrameBuffer::Adopt(buffer);
  return frame;
}

void FrameConsumer::Set(FrameFn consumer) {
  std::shared_ptr<const FrameFn> next;
  if (consumer) next = std::make_shared<const FrameFn>(std::move(consumer));
  absl::MutexLock lock(&mutex_);
  consumer_.swap(next);
}

std::shared_ptr<const FrameFn> FrameConsumer::get() const {
  absl::MutexLock lock(&mutex_);
  return consumer_;
}

bool PluginFrameSource::ready() const {
  const auto now = current_->get();
  return now != nullptr && now->delivering() && now->tables().source != nullptr;
}

void PluginFrameSource::SetConsumer(FrameFn consumer) {
  consumer_->Set(std::move(consumer));
  if (const auto now = current_->get()) now->source_side().OfferRoom();
}

bool PluginInferer::ready() const {
  const auto now = current_->get();
  return now != nullptr && now->delivering() && now->tables().infer != nullptr;
}

size_t PluginInferer::credit() const {
  const auto now = current_->get();
  return now == nullptr ? 0 : now->infer_side().Credit();
}

absl::StatusOr<uint64_t> PluginInferer::Infer(Frame frame, std::string options_json,
                                              InferDoneFn done) {
  const auto now = current_->get();
  if (now == nullptr) return absl::UnavailableError("infer: the instance does not run");
  return now->infer_side().Infer(std::move(frame), std::move(options_json), std::move(done));
}

void PluginInferer::Cancel(uint64_t ticket) {
  if (const auto now = current_->get()) now->infer_side().Cancel(ticket);
}

}  // namespace viaduct
