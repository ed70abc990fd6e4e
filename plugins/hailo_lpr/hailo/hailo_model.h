// A HEF on the device: its network group and its streams.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "plugins/hailo_lpr/hailo/hailort_abi.h"
#include "plugins/hailo_lpr/hailo/hailort_library.h"
#include "plugins/hailo_lpr/tensor.h"

namespace viaduct::hailo_lpr {

struct HailoModelOptions {
  std::string path;
  int timeout_ms = 2000;
  std::optional<float> nms_score;
  std::optional<float> nms_overlap;
};

// Thread-safe. The lock is held while the device works: only who closes the model waits for it, and
// must.
class HailoModel {
 public:
  explicit HailoModel(HailoModelOptions options) : options_(std::move(options)) {}
  HailoModel(const HailoModel&) = delete;
  HailoModel& operator=(const HailoModel&) = delete;
  // It has been closed, by the device that opened it.
  ~HailoModel() = default;

  // A result of HailoRT, or a word of ours where HailoRT was content.
  struct Result {
    hailort::Status status = hailort::kSuccess;
    absl::Status refused;

    bool ok() const { return status == hailort::kSuccess && refused.ok(); }
  };

  // Loads and configures it. `generation` tells which opening of the device this is; not 0.
  // Unless ok nothing is left open.
  Result Open(const HailortLibrary& library, hailort::Vdevice device, uint64_t generation)
      ABSL_LOCKS_EXCLUDED(mutex_);
  void Close() ABSL_LOCKS_EXCLUDED(mutex_);

  // 1 x channels x rows x columns, and the outputs; as the first Open found them, for good.
  const TensorShape& input() const { return input_; }
  const std::vector<TensorInfo>& outputs() const { return outputs_; }
  const std::string& path() const { return options_.path; }

  // One frame. `generation` is that of Open, 0 if it is not open.
  hailort::Status Infer(const std::vector<uint8_t>& pixels, std::vector<Tensor>* outputs,
                        uint64_t* generation) ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  Result OpenStreams() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Result OpenInput() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Result OpenOutputs() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Result Describe() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Result DescribeInput(TensorShape* input) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Result DescribeOutput(hailort::OutputStream stream, TensorInfo* info, size_t* octets) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  hailort::Status SetThresholds() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void CloseLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status Refused(absl::string_view what) const;

  const HailoModelOptions options_;
  // Written by the first Open that is ok, before anybody else has the model.
  TensorShape input_;
  std::vector<TensorInfo> outputs_;
  absl::Mutex mutex_;
  const hailort::Functions* hailo_ ABSL_GUARDED_BY(mutex_) = nullptr;
  hailort::Hef hef_ ABSL_GUARDED_BY(mutex_) = nullptr;
  hailort::Group group_ ABSL_GUARDED_BY(mutex_) = nullptr;
  hailort::InputStream in_ ABSL_GUARDED_BY(mutex_) = nullptr;
  std::vector<hailort::OutputStream> out_ ABSL_GUARDED_BY(mutex_);
  std::vector<size_t> octets_ ABSL_GUARDED_BY(mutex_);  // Of a frame of each output.
  uint64_t generation_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace viaduct::hailo_lpr
