// viaduct.source/1: a camera that makes a frame whenever the host has room.
#include <condition_variable>
#include <mutex>
#include <thread>

#include "viaduct/cpp/plugin.h"

namespace viaduct::abi_test {
namespace {

using sdk::Status;

constexpr uint32_t kWidth = 64;
constexpr uint32_t kHeight = 48;
constexpr uint64_t kLuma = uint64_t{kWidth} * kHeight;
constexpr uint64_t kMaxFrames = 1000;
constexpr int64_t kFrameLifeNs = 200000000;

class SourcePlugin final : public sdk::Plugin, public sdk::FrameSource {
 public:
  using Plugin::Plugin;

  Status Configure(const sdk::Config&) override { return {}; }
  Status Start(uint32_t) override {
    thread_ = std::thread([this] { Run(); });
    return {};
  }
  void Stop() override {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      stopping_ = true;
      changed_.notify_all();
    }
    thread_.join();
  }

  void OnFrameRoom(uint32_t frames) override {
    const std::lock_guard<std::mutex> lock(mutex_);
    room_ = frames;
    changed_.notify_all();
  }
  void OnFrameDone(uint64_t, uint32_t) override {}

 private:
  void Run() {
    std::unique_lock<std::mutex> lock(mutex_);
    for (uint64_t sequence = 1; sequence <= kMaxFrames; ++sequence) {
      changed_.wait(lock, [this] { return stopping_ || room_ > 0; });
      if (stopping_) return;
      --room_;
      // The host does not call back on this stack, so the lock may be held: room given meanwhile
      // is not lost. It may be stale, then the frame is, too.
      const Status pushed = Push(sequence);
      if (pushed.code() == sdk::Code::kResourceExhausted) room_ = 0;
      if (!pushed.ok() && room_ > 0) return;
    }
  }
  Status Push(uint64_t sequence) {
    const sdk::Buffer buffer = host().MakeBuffer(kLuma * 3 / 2);
    if (!buffer) return sdk::ResourceExhausted("abi_source: no memory for a frame");
    for (size_t i = 0; i < buffer.size(); ++i)
      buffer.data()[i] = static_cast<uint8_t>(i + sequence);
    vd_frame frame = sdk::Record<vd_frame>();
    frame.fourcc = VD_FOURCC('N', 'V', '1', '2');
    frame.width = kWidth;
    frame.height = kHeight;
    frame.plane_count = 2;
    frame.planes[0] = {0, kLuma, kWidth, 0};
    frame.planes[1] = {kLuma, kLuma / 2, kWidth, 0};
    frame.buffer = buffer.raw();
    frame.descriptor = -1;
    frame.ticket = sequence;
    frame.sequence = sequence;
    frame.capture_ns = host().WallNs();
    frame.deadline_ns = host().MonotonicNs() + kFrameLifeNs;
    frame.source = sdk::Str("camera0");
    return host().PushFrame(frame);
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  uint32_t room_ = 0;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace
}  // namespace viaduct::abi_test

VIADUCT_PLUGIN(viaduct::abi_test::SourcePlugin, viaduct::sdk::Describe("abi_source", "1.0.0")
                                                    .Summary("A camera of grey frames")
                                                    .Licence("Apache-2.0"))
