// The Hailo device of this process, for all of its models.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/random/random.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "plugins/hailo_lpr/backend_health.h"
#include "plugins/hailo_lpr/hailo/hailo_alarms.h"
#include "plugins/hailo_lpr/hailo/hailo_model.h"
#include "plugins/hailo_lpr/hailo/hailort_library.h"

namespace viaduct::hailo_lpr {

struct HailoDeviceOptions {
  std::string library;  // See HailortLibrary::Open.
  // What the kernel says of the driver, for the reader of a mismatch.
  std::string driver_version_file = "/sys/module/hailo_pci/version";
  std::function<absl::Time()> clock = absl::Now;
};

// Thread-safe. One virtual device with HailoRT's round-robin scheduler between the models. When it
// fails, everything on it is closed; it is opened again by the next who wants it, but not before a
// back-off has passed, so nobody waits and nobody hammers.
class HailoDevice {
 public:
  static constexpr absl::Duration kLeastBackoff = absl::Milliseconds(500);
  static constexpr absl::Duration kMostBackoff = absl::Seconds(30);
  static constexpr absl::Duration kFactsEvery = absl::Seconds(5);
  // So long after the last thing that the device reported it is not as if nothing had been.
  static constexpr absl::Duration kAlarmedFor = absl::Minutes(5);
  // HailoRT keeps a network group until its device is closed, and has room for a few.
  static constexpr int kMostLeftovers = 4;

  // The one of this process, as long as somebody has it: a device serves one owner. Nothing is
  // opened but the library. FAILED_PRECONDITION: it is there with another library.
  static absl::StatusOr<std::shared_ptr<HailoDevice>> Shared(const HailoDeviceOptions& options,
                                                             BackendHealth* health);

  HailoDevice(std::shared_ptr<const HailortLibrary> library, HailoDeviceOptions options);
  HailoDevice(const HailoDevice&) = delete;
  HailoDevice& operator=(const HailoDevice&) = delete;
  ~HailoDevice();

  // Opens the device if need be, and the model on it. UNAVAILABLE: not now.
  absl::Status Open(HailoModel* model);
  // To be called before a model that was opened goes.
  void Remove(HailoModel* model);
  // A frame was answered, or was not by the opening `generation` of the device.
  void Answered();
  absl::Status Failed(HailoModel* model, hailort::Status status, uint64_t generation);

  // Does not wait for the device; asks it when nobody else has it, now and then.
  BackendHealth health();

 private:
  absl::Status OpenDevice() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  hailort::Status CreateDevice() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void CloseDevice() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status Fail(const std::string& subject, hailort::Status status)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status FailModel(HailoModel* model, hailort::Status status)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Identify() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void AskFacts() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void TellState(bool throttling, float celsius) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void AskFactsIfDue();
  void SetState(BackendState state, absl::string_view reason) ABSL_LOCKS_EXCLUDED(facts_mutex_);

  const std::shared_ptr<const HailortLibrary> library_;
  const HailoDeviceOptions options_;
  const hailort::Functions& hailo_;

  absl::Mutex mutex_;  // Held while the device is opened, closed and asked; before a model's.
  hailort::Vdevice device_ ABSL_GUARDED_BY(mutex_) = nullptr;
  hailort::Device chip_ ABSL_GUARDED_BY(mutex_) = nullptr;
  HailoAlarms alarms_;
  uint32_t alarms_told_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::Time alarmed_until_ ABSL_GUARDED_BY(mutex_) = absl::InfinitePast();
  uint64_t generation_ ABSL_GUARDED_BY(mutex_) = 0;  // How often it was opened.
  int leftovers_ ABSL_GUARDED_BY(mutex_) = 0;        // Groups of models that are gone.
  std::vector<HailoModel*> models_ ABSL_GUARDED_BY(mutex_);
  absl::Status refused_ ABSL_GUARDED_BY(mutex_);  // Not ok: an operator must act.
  absl::Time not_before_ ABSL_GUARDED_BY(mutex_) = absl::InfinitePast();
  absl::BitGen random_ ABSL_GUARDED_BY(mutex_);
  bool has_power_ ABSL_GUARDED_BY(mutex_) = true;  // Until it says that it has not.
  std::atomic<int> failures_{0};                   // In a row.
  std::atomic<int64_t> facts_due_ns_{0};

  mutable absl::Mutex facts_mutex_ ABSL_ACQUIRED_AFTER(mutex_);
  BackendHealth facts_ ABSL_GUARDED_BY(facts_mutex_);
};

}  // namespace viaduct::hailo_lpr
