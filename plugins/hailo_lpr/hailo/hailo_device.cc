#include "plugins/hailo_lpr/hailo/hailo_device.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "plugins/hailo_lpr/hailo/hailo_status.h"

namespace viaduct::hailo_lpr {
namespace {

constexpr size_t kMostDevices = 8;  // That are listed.
constexpr int kMostDoublings = 6;   // From the least back-off to the most.

// A line of the kernel's: "" if there is none.
std::string FirstWord(const std::string& path) {
  constexpr size_t kMostOctets = 64;
  std::ifstream file(path);
  std::string word(kMostOctets, '\0');
  file.read(word.data(), static_cast<std::streamsize>(word.size()));
  word.resize(static_cast<size_t>(std::max<std::streamsize>(file.gcount(), 0)));
  const auto printable = [](char c) { return c > ' ' && c <= '~'; };
  word.erase(std::find_if_not(word.begin(), word.end(), printable), word.end());
  return word;
}

// hailo_device_architecture_t.
std::string ArchitectureName(int32_t architecture) {
  constexpr std::array<const char*, 7> kNames = {"Hailo-8 A0", "Hailo-8",   "Hailo-8L", "Hailo-15H",
                                                 "Pluto",      "Hailo-15M", "Hailo-10H"};
  const auto at = static_cast<size_t>(architecture);
  return at < kNames.size() ? kNames[at] : absl::StrCat("architecture ", architecture);
}

}  // namespace

absl::StatusOr<std::shared_ptr<HailoDevice>> HailoDevice::Shared(const HailoDeviceOptions& options,
                                                                 BackendHealth* health) {
  // Instances of a plugin come and go; the chip is one, and gives itself to one owner.
  ABSL_CONST_INIT static absl::Mutex mutex(absl::kConstInit);
  static std::weak_ptr<HailoDevice> shared;
  const absl::MutexLock lock(&mutex);
  if (std::shared_ptr<HailoDevice> device = shared.lock()) {
    if (options.library.empty() || options.library == device->library_->path()) return device;
    health->state = BackendState::kWrongLibrary;
    return absl::FailedPreconditionError(absl::StrCat("HailoRT: ", options.library,
                                                      ": this process has the device with ",
                                                      device->library_->path(), " already"));
  }
  auto library = HailortLibrary::Open(options.library, &health->state);
  health->driver_version = FirstWord(options.driver_version_file);
  if (!library.ok()) return library.status();
  auto device = std::make_shared<HailoDevice>(*std::move(library), options);
  shared = device;
  return device;
}

HailoDevice::HailoDevice(std::shared_ptr<const HailortLibrary> library, HailoDeviceOptions options)
    : library_(std::move(library)), options_(std::move(options)), hailo_(library_->functions()) {
  facts_.backend = "hailo";
  facts_.library_version = library_->version();
}

HailoDevice::~HailoDevice() {
  const absl::MutexLock lock(&mutex_);
  CloseDevice();
}

absl::Status HailoDevice::Open(HailoModel* model) {
  const absl::MutexLock lock(&mutex_);
  if (leftovers_ > kMostLeftovers) CloseDevice();
  if (device_ == nullptr) {
    if (absl::Status opened = OpenDevice(); !opened.ok()) return opened;
  }
  if (std::find(models_.begin(), models_.end(), model) == models_.end()) models_.push_back(model);
  const HailoModel::Result result = model->Open(*library_, device_, generation_);
  if (result.ok()) return absl::OkStatus();
  if (result.status != hailort::kSuccess) return FailModel(model, result.status);
  ++leftovers_;
  return result.refused;
}

absl::Status HailoDevice::OpenDevice() {
  if (!refused_.ok()) return refused_;
  const absl::Time now = options_.clock();
  if (now < not_before_) {
    const absl::MutexLock lock(&facts_mutex_);
    return absl::UnavailableError(facts_.reason);
  }
  {
    const absl::MutexLock lock(&facts_mutex_);
    facts_.driver_version = FirstWord(options_.driver_version_file);
  }
  if (const hailort::Status status = CreateDevice(); status != hailort::kSuccess) {
    return Fail("Hailo device", status);
  }
  ++generation_;
  leftovers_ = 0;
  has_power_ = true;
  Identify();
  SetState(BackendState::kReady, "");
  AskFacts();
  return absl::OkStatus();
}

hailort::Status HailoDevice::CreateDevice() {
  hailort::VdeviceParams params{};
  const hailort::Status status = hailo_.init_vdevice_params(&params);
  if (status != hailort::kSuccess) return status;
  params.scheduling_algorithm = hailort::kRoundRobin;
  const hailort::Status created = hailo_.create_vdevice(&params, &device_);
  if (created != hailort::kSuccess) device_ = nullptr;
  return created;
}

void HailoDevice::CloseDevice() {
  for (HailoModel* model : models_) model->Close();
  models_.clear();
  if (chip_ != nullptr) HailoAlarms::Forget(hailo_, chip_);
  chip_ = nullptr;
  // Whatever it says, there is nothing more to do with it.
  if (device_ != nullptr) hailo_.release_vdevice(std::exchange(device_, nullptr));
  leftovers_ = 0;
}

void HailoDevice::Remove(HailoModel* model) {
  const absl::MutexLock lock(&mutex_);
  const auto found = std::find(models_.begin(), models_.end(), model);
  if (found == models_.end()) return;
  models_.erase(found);
  model->Close();
  ++leftovers_;
}

void HailoDevice::Answered() {
  failures_ = 0;
  AskFactsIfDue();
}

absl::Status HailoDevice::Failed(HailoModel* model, hailort::Status status, uint64_t generation) {
  const absl::MutexLock lock(&mutex_);
  // Another model may have told it before, and the device have been opened again since.
  const bool told = generation != generation_ || device_ == nullptr;
  if (!told) return FailModel(model, status);
  return HailoError(absl::StrCat("model: ", model->path()), status);
}

absl::Status HailoDevice::FailModel(HailoModel* model, hailort::Status status) {
  const std::string subject = absl::StrCat("model: ", model->path());
  const HailoMeaning meaning = MeaningOf(status);
  if (meaning.may_pass || meaning.state == BackendState::kDriverMismatch) {
    return Fail(subject, status);
  }
  model->Close();  // Its own fault: the others may go on.
  ++leftovers_;
  return HailoError(subject, status);
}

absl::Status HailoDevice::Fail(const std::string& subject, hailort::Status status) {
  const bool device_was_open = device_ != nullptr;
  CloseDevice();
  absl::Status error = HailoError(subject, status);
  const HailoMeaning meaning = MeaningOf(status);
  // Perhaps the reason, if it was not long ago.
  const bool alarmed = alarms_.count() != alarms_told_ || options_.clock() < alarmed_until_;
  if (alarmed && device_was_open) {
    error = absl::Status(
        error.code(), absl::StrCat(error.message(), "; the device has reported ", alarms_.Text()));
  }
  if (meaning.state == BackendState::kDriverMismatch) {
    const absl::MutexLock lock(&facts_mutex_);
    const std::string& driver = facts_.driver_version;
    error = absl::FailedPreconditionError(absl::StrCat(error.message(), ": driver ",
                                                       driver.empty() ? "unknown" : driver,
                                                       ", library ", library_->version()));
  }
  SetState(meaning.state, error.message());
  if (!meaning.may_pass) {
    refused_ = error;
    return error;
  }
  const int doublings = std::min(failures_++, kMostDoublings);
  const absl::Duration most = std::min(kLeastBackoff * (1 << doublings), kMostBackoff);
  not_before_ = options_.clock() + most * absl::Uniform(random_, 0.5, 1.0);
  return error;
}

void HailoDevice::Identify() {
  std::array<hailort::DeviceId, kMostDevices> ids{};
  size_t count = ids.size();
  const bool listed = hailo_.scan_devices(nullptr, ids.data(), &count) == hailort::kSuccess;
  std::array<hailort::Device, kMostDevices> chips{};
  size_t chip_count = chips.size();
  const bool has_chip =
      hailo_.get_physical_devices(device_, chips.data(), &chip_count) == hailort::kSuccess &&
      chip_count > 0 && chip_count <= chips.size();
  chip_ = has_chip ? chips[0] : nullptr;
  if (has_chip) alarms_.Hear(hailo_, chip_);
  alarms_told_ = 0;
  alarmed_until_ = absl::InfinitePast();
  hailort::Identity identity{};
  const bool known = has_chip && hailo_.identify(chip_, &identity) == hailort::kSuccess;
  const absl::MutexLock lock(&facts_mutex_);
  // Of several it is not known which one was given.
  facts_.device = listed && count == 1 ? std::string(ids[0].id, strnlen(ids[0].id, 32)) : "";
  facts_.architecture = known ? ArchitectureName(identity.architecture) : "";
  const hailort::Version& firmware = identity.firmware;
  facts_.firmware_version =
      known ? absl::StrCat(firmware.major, ".", firmware.minor, ".", firmware.revision) : "";
}

void HailoDevice::AskFacts() {
  facts_due_ns_ = absl::ToUnixNanos(options_.clock() + kFactsEvery);
  if (chip_ == nullptr) return;
  hailort::Temperature temperature{};
  const bool warm = hailo_.get_chip_temperature(chip_, &temperature) == hailort::kSuccess;
  bool throttling = false;
  if (hailo_.get_throttling_state(chip_, &throttling) != hailort::kSuccess) throttling = false;
  float watts = 0;
  if (has_power_) {
    has_power_ = hailo_.power_measurement(chip_, hailort::kAutomatic, hailort::kAutomatic,
                                          &watts) == hailort::kSuccess;
  }
  const float celsius = std::max(temperature.sensor0, temperature.sensor1);
  {
    const absl::MutexLock lock(&facts_mutex_);
    facts_.temperature_celsius.reset();
    facts_.power_watts.reset();
    if (warm && std::isfinite(celsius)) facts_.temperature_celsius = celsius;
    if (has_power_ && std::isfinite(watts)) facts_.power_watts = watts;
  }
  TellState(throttling, celsius);
}

void HailoDevice::TellState(bool throttling, float celsius) {
  if (const uint32_t count = alarms_.count(); std::exchange(alarms_told_, count) != count) {
    alarmed_until_ = options_.clock() + kAlarmedFor;
  }
  if (throttling) {
    SetState(BackendState::kThrottled,
             absl::StrFormat("Hailo device: slowed down to protect itself, %.0f C", celsius));
  } else if (options_.clock() < alarmed_until_) {
    SetState(BackendState::kAlarmed, absl::StrCat("Hailo device: has reported ", alarms_.Text()));
  } else {
    SetState(BackendState::kReady, "");
  }
}

void HailoDevice::AskFactsIfDue() {
  if (options_.clock() < absl::FromUnixNanos(facts_due_ns_)) return;
  if (!mutex_.TryLock()) return;  // It is being opened or asked.
  if (device_ != nullptr) AskFacts();
  mutex_.Unlock();
}

void HailoDevice::SetState(BackendState state, absl::string_view reason) {
  const absl::MutexLock lock(&facts_mutex_);
  facts_.state = state;
  facts_.reason = std::string(reason);
  if (Works(state)) return;
  facts_.temperature_celsius.reset();
  facts_.power_watts.reset();
}

BackendHealth HailoDevice::health() {
  AskFactsIfDue();
  const absl::MutexLock lock(&facts_mutex_);
  return facts_;
}

}  // namespace viaduct::hailo_lpr
