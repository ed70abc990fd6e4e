// A test's hold on the double, its models, and a clock that stands still.
#pragma once

#include <dlfcn.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "plugins/hailo_lpr/hailo/hailo_device.h"
#include "plugins/hailo_lpr/hailo/hailo_runner.h"
#include "plugins/hailo_lpr/hailo/testing/hailort_double.h"
#include "tests/support/test_folder.h"

namespace viaduct::hailo_lpr {

inline const TensorShape kReaderInput = {{1, 1, 48, 160}};
inline const TensorShape kProvinceInput = {{1, 1, 32, 160}};
inline const TensorShape kDetectorInput = {{1, 3, 64, 96}};
inline constexpr Normalisation kReaderNormalisation = {128, 32};

// Every test begins with a device that is there, and ends with nothing left open.
class HailoTest : public ::testing::Test {
 protected:
  HailoTest() : controls_(*FindControls()) {
    const std::lock_guard<std::mutex> lock(controls_.mutex);
    controls_.version = {4, 23, 0};
    controls_.models.clear();
    controls_.faults.clear();
    controls_.calls.clear();
    controls_.thresholds.clear();
    controls_.wrong.clear();
    controls_.present = true;
    controls_.in_use = controls_.throttled = false;
    controls_.architecture = 2;
    controls_.celsius = 45;
    controls_.delay_ms = 0;
    controls_.most_devices = 0;
  }
  ~HailoTest() override {
    EXPECT_EQ(controls_.open, 0);
    EXPECT_LE(controls_.most_devices, 1);
    EXPECT_EQ(controls_.wrong, std::vector<std::string>());
  }

  static hailort::HailortDouble* FindControls() {
    static hailort::HailortDouble* const controls = [] {
      // As the plugin does, before the library is loaded for the first time.
      BackendState state = BackendState::kReady;
      EXPECT_TRUE(HailortLibrary::Open(HAILORT_DOUBLE, &state).ok());
      void* library = dlopen(HAILORT_DOUBLE, RTLD_NOW | RTLD_LOCAL);
      const auto get = reinterpret_cast<decltype(&HailortDoubleControls)>(
          dlsym(library, "HailortDoubleControls"));
      return get();
    }();
    return controls;
  }
  // A HEF that stands for an ONNX of ours; its path.
  std::string AddModel(const std::string& name, hailort::DoubleModel model) {
    const std::string path = folder_ / name;
    support::WriteFile(path, "\x01HEF");
    const std::lock_guard<std::mutex> lock(controls_.mutex);
    controls_.models[name] = std::move(model);
    return path;
  }
  std::string AddReader(const std::string& name = "reader.hef") {
    hailort::DoubleModel model;
    model.onnx = std::string(HAILO_LPR_MODELS) + "/reader.onnx";
    model.input = kReaderInput;
    model.normalisation = kReaderNormalisation;
    return AddModel(name, model);
  }
  static hailort::DoubleModel DetectorModel(const std::string& onnx) {
    hailort::DoubleModel model;
    model.onnx = std::string(HAILO_LPR_TEST_MODELS) + "/" + onnx;
    model.input = kDetectorInput;
    return model;
  }
  void Fail(const std::string& function, hailort::Status status, int times = -1, int after = 0) {
    const std::lock_guard<std::mutex> lock(controls_.mutex);
    controls_.faults[function] = {status, after, times};
  }
  void Heal() {
    const std::lock_guard<std::mutex> lock(controls_.mutex);
    controls_.faults.clear();
  }
  // As HailoRT does, on a thread of its own.
  void Notify(int32_t id) {
    std::thread([this, id] {
      const std::lock_guard<std::mutex> lock(controls_.mutex);
      const auto found = controls_.callbacks.find(id);
      ASSERT_NE(found, controls_.callbacks.end()) << id;
      found->second.first(nullptr, nullptr, found->second.second);
    }).join();
  }
  int Calls(const std::string& function) {
    const std::lock_guard<std::mutex> lock(controls_.mutex);
    return controls_.calls[function];
  }
  template <typename Set>
  void With(Set set) {
    const std::lock_guard<std::mutex> lock(controls_.mutex);
    set(&controls_);
  }

  std::shared_ptr<HailoDevice> MakeDevice() {
    BackendState state = BackendState::kReady;
    auto library = HailortLibrary::Open(HAILORT_DOUBLE, &state);
    EXPECT_TRUE(library.ok()) << library.status();
    HailoDeviceOptions options;
    options.driver_version_file = folder_ / "driver";
    options.clock = [this] { return absl::FromUnixMillis(now_ms_); };
    return std::make_shared<HailoDevice>(*std::move(library), options);
  }
  ModelSpec ReaderSpec(const std::string& path) const {
    ModelSpec spec;
    spec.path = path;
    spec.normalisation = kReaderNormalisation;
    spec.timeout_ms = 100;
    return spec;
  }
  void LaterBy(absl::Duration by) { now_ms_ += absl::ToInt64Milliseconds(by); }

  hailort::HailortDouble& controls_;
  support::TestFolder folder_;
  std::atomic<int64_t> now_ms_{1700000000000};
};

inline cv::Mat SomePicture(cv::Size size, int channels, uint64_t seed = 1) {
  cv::Mat picture(size, CV_8UC(channels));
  cv::RNG random(seed);
  random.fill(picture, cv::RNG::UNIFORM, 0, 256);
  return picture;
}

}  // namespace viaduct::hailo_lpr
