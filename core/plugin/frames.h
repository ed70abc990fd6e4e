// Pictures from instances that offer viaduct.source/1 to instances that offer viaduct.infer/1.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "core/gateway/link.h"
#include "core/plugin/link.h"
#include "viaduct/abi/frame.h"

namespace viaduct {

// One counted reference to a block of memory of the host or of a plugin. Thread-compatible.
class FrameBuffer {
 public:
  FrameBuffer() = default;
  // Takes over one reference that the caller has.
  static FrameBuffer Adopt(vd_buffer* buffer) { return FrameBuffer(buffer); }
  FrameBuffer(FrameBuffer&& other) noexcept : buffer_(std::exchange(other.buffer_, nullptr)) {}
  FrameBuffer& operator=(FrameBuffer&& other) noexcept {
    std::swap(buffer_, other.buffer_);
    return *this;
  }
  ~FrameBuffer();

  vd_buffer* get() const { return buffer_; }
  std::string_view octets() const;

 private:
  explicit FrameBuffer(vd_buffer* buffer) : buffer_(buffer) {}
  vd_buffer* buffer_ = nullptr;
};

// A file descriptor that is closed with it. Thread-compatible.
class FrameDescriptor {
 public:
  FrameDescriptor() = default;
  static FrameDescriptor Duplicate(int descriptor);  // -1 stays -1.
  FrameDescriptor(FrameDescriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  FrameDescriptor& operator=(FrameDescriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~FrameDescriptor();
  int get() const { return fd_; }

 private:
  int fd_ = -1;
};

struct Frame {
  uint32_t fourcc = 0;  // DRM FourCC, or VD_FOURCC_JPEG.
  uint32_t width = 0;
  uint32_t height = 0;
  uint64_t modifier = 0;
  std::vector<vd_plane> planes;  // 1 to VD_MAX_PLANES, inside the buffer.
  FrameBuffer buffer;
  FrameDescriptor descriptor;
  uint64_t sequence = 0;
  int64_t capture_ns = 0;   // Unix time.
  int64_t deadline_ns = 0;  // Monotonic; 0: none.
  std::string source;
};

constexpr uint32_t kMaxFrameSide = 16384;  // Pixels.

// A frame of one plane that holds a copy of `octets`, such as a JPEG picture. RESOURCE_EXHAUSTED:
// over `max_bytes`.
absl::StatusOr<Frame> MakeFrame(uint32_t fourcc, uint32_t width, uint32_t height,
                                std::string_view octets, uint64_t max_bytes);

// Tells the source how its frame ended; exactly once.
using FrameDoneFn = std::function<void(Outcome)>;
// Called on the source's own thread: must only take the frame and return.
using FrameFn = std::function<void(Frame frame, FrameDoneFn done)>;

// The consumer of one source, shared by all incarnations behind it. Thread-safe.
class FrameConsumer {
 public:
  // Returns with the old one possibly still running once.
  void Set(FrameFn consumer);
  std::shared_ptr<const FrameFn> get() const;

 private:
  mutable absl::Mutex mutex_;
  std::shared_ptr<const FrameFn> consumer_ ABSL_GUARDED_BY(mutex_);
};

// Frames of one instance. Stays the same over its restarts. Thread-safe.
class FrameSource {
 public:
  virtual ~FrameSource() = default;
  virtual bool ready() const = 0;  // The instance runs.
  // Without a consumer the source has no room: it pushes nothing.
  virtual void SetConsumer(FrameFn consumer) = 0;
};

// Thread-safe.
class PluginFrameSource final : public FrameSource {
 public:
  PluginFrameSource(std::shared_ptr<CurrentIncarnation> current,
                    std::shared_ptr<FrameConsumer> consumer)
      : current_(std::move(current)), consumer_(std::move(consumer)) {}

  bool ready() const override;
  void SetConsumer(FrameFn consumer) override;

 private:
  const std::shared_ptr<CurrentIncarnation> current_;
  const std::shared_ptr<FrameConsumer> consumer_;
};

struct InferCrop {
  std::string name;        // "plate_0"
  std::string media_type;  // "image/jpeg"
  FrameBuffer buffer;
};

struct InferResult {
  Outcome outcome = Outcome::kRetry;
  absl::Status status;
  std::string result_json;  // With kDurable: the payload of a detection.
  std::vector<InferCrop> crops;
};
using InferDoneFn = std::function<void(InferResult)>;

// Inference by one instance. Stays the same over its restarts. Thread-safe.
class Inferer {
 public:
  virtual ~Inferer() = default;
  virtual bool ready() const = 0;
  // How many more frames it would take now.
  virtual size_t credit() const = 0;
  // Gives the frame away and returns its ticket. `done` is called exactly once, on any thread,
  // possibly before Infer returns; kExpired soon after the frame's deadline at the latest.
  // UNAVAILABLE: the instance does not run; RESOURCE_EXHAUSTED: too many. Then it is not called.
  virtual absl::StatusOr<uint64_t> Infer(Frame frame, std::string options_json,
                                         InferDoneFn done) = 0;
  virtual void Cancel(uint64_t ticket) = 0;
};

// Thread-safe.
class PluginInferer final : public Inferer {
 public:
  explicit PluginInferer(std::shared_ptr<CurrentIncarnation> current)
      : current_(std::move(current)) {}

  bool ready() const override;
  size_t credit() const override;
  absl::StatusOr<uint64_t> Infer(Frame frame, std::string options_json, InferDoneFn done) override;
  void Cancel(uint64_t ticket) override;

 private:
  const std::shared_ptr<CurrentIncarnation> current_;
};

}  // namespace viaduct
