// viaduct.infer/1: finds the mean brightness of a frame and cuts out a corner.
#include <atomic>
#include <mutex>
#include <set>
#include <string>
#include <utility>

#include "viaduct/cpp/plugin.h"
#include "work_thread.h"

namespace viaduct::abi_test {
namespace {

using sdk::Status;

constexpr size_t kWindow = 8;
constexpr size_t kCropBytes = 64;

struct Job {
  uint64_t ticket;
  sdk::Buffer picture;
  int64_t deadline_ns;
};

class InferPlugin final : public sdk::Plugin, public sdk::Inferer {
 public:
  using Plugin::Plugin;

  Status Configure(const sdk::Config&) override { return {}; }
  Status Start(uint32_t) override {
    thread_.Start();
    return {};
  }
  void Stop() override {
    for (const Job& job : thread_.Stop()) End(job, VD_OUTCOME_CANCELLED, VD_CANCELLED);
  }

  uint32_t InferCredit() override { return static_cast<uint32_t>(thread_.Room()); }
  Status Infer(uint32_t, uint64_t ticket, const vd_frame& frame, std::string_view) override {
    const bool known = frame.fourcc == VD_FOURCC('N', 'V', '1', '2') ||
                       frame.fourcc == VD_FOURCC('R', 'G', '2', '4') ||
                       frame.fourcc == VD_FOURCC_JPEG;
    if (!known || frame.buffer == nullptr) {
      return sdk::InvalidArgument("abi_infer: a format that it can not read");
    }
    if (!thread_.Push({ticket, sdk::Buffer::Share(frame.buffer), frame.deadline_ns})) {
      return sdk::ResourceExhausted("abi_infer: no credit");
    }
    return {};
  }
  void CancelInfer(uint32_t, uint64_t) override {}  // It ends soon anyway.

 private:
  void Work(const Job& job) {
    if (job.deadline_ns != 0 && job.deadline_ns < host().MonotonicNs()) {
      return End(job, VD_OUTCOME_EXPIRED, VD_DEADLINE_EXCEEDED);
    }
    uint64_t sum = 0;
    for (const char c : job.picture.text()) sum += static_cast<unsigned char>(c);
    const uint64_t mean = job.picture.size() == 0 ? 0 : sum / job.picture.size();
    const std::string text = R"({"brightness":)" + std::to_string(mean) + "}";
    const sdk::Buffer corner =
        sdk::Buffer::Wrap(std::string(job.picture.text().substr(0, kCropBytes)));
    vd_crop crop = sdk::Record<vd_crop>();
    crop.name = sdk::Str("corner");
    crop.media_type = sdk::Str("application/octet-stream");
    crop.buffer = corner.raw();
    vd_infer_result result = sdk::Record<vd_infer_result>();
    result.ticket = job.ticket;
    result.outcome = VD_OUTCOME_DURABLE;
    result.result = sdk::Str(text);
    result.crops = &crop;
    result.crop_stride = sizeof(crop);
    result.crop_count = 1;
    host().InferDone(result);
  }
  void End(const Job& job, uint32_t outcome, int32_t code) {
    vd_infer_result result = sdk::Record<vd_infer_result>();
    result.ticket = job.ticket;
    result.outcome = outcome;
    result.code = code;
    host().InferDone(result);
  }

  WorkThread<Job> thread_{kWindow, [this](Job& job) { Work(job); }};
};

}  // namespace
}  // namespace viaduct::abi_test

VIADUCT_PLUGIN(viaduct::abi_test::InferPlugin, viaduct::sdk::Describe("abi_infer", "1.0.0")
                                                   .Summary("Finds how bright a frame is")
                                                   .Licence("Apache-2.0"))
