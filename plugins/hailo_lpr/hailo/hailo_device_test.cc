#include "plugins/hailo_lpr/hailo/hailo_device.h"

#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "plugins/hailo_lpr/hailo/hailo_status.h"
#include "plugins/hailo_lpr/hailo/testing/hailo_test_support.h"

namespace viaduct::hailo_lpr {
namespace {

class HailoDeviceTest : public HailoTest {
 protected:
  absl::StatusOr<std::unique_ptr<HailoRunner>> Load(const std::string& path) {
    return HailoRunner::Load(ReaderSpec(path), device_, &health_);
  }
  // One that works.
  std::unique_ptr<HailoRunner> Loaded(const std::string& path) {
    auto runner = Load(path);
    EXPECT_TRUE(runner.ok()) << runner.status();
    return *std::move(runner);
  }
  absl::Status Run(HailoRunner* runner) {
    return runner->RunPicture(SomePicture({160, 48}, 1), &outputs_);
  }

  std::shared_ptr<HailoDevice> device_ = MakeDevice();
  BackendHealth health_;
  std::vector<Tensor> outputs_;
};

TEST_F(HailoDeviceTest, SaysWhatItIs) {
  support::WriteFile(folder_ / "driver", "4.23.0\n");
  const auto runner = Loaded(AddReader());
  const BackendHealth health = runner->health();
  EXPECT_EQ(health.state, BackendState::kReady);
  EXPECT_EQ(health.reason, "");
  EXPECT_EQ(health.backend, "hailo");
  EXPECT_EQ(health.device, "0000:01:00.0");
  EXPECT_EQ(health.architecture, "Hailo-8L");
  EXPECT_EQ(health.firmware_version, "4.23.0");
  EXPECT_EQ(health.library_version, "4.23.0");
  EXPECT_EQ(health.driver_version, "4.23.0");
  EXPECT_EQ(health.temperature_celsius, 45);
  EXPECT_EQ(health.power_watts, 2.5F);
  EXPECT_EQ(controls_.scheduling, 1U);
  EXPECT_EQ(
      DescribeBackend(health),
      "hailo, Hailo-8L at 0000:01:00.0, library 4.23.0, driver 4.23.0, firmware 4.23.0, 45 C, "
      "2.5 W, ready");
}

TEST_F(HailoDeviceTest, TemperatureIsAskedNowAndThen) {
  const auto runner = Loaded(AddReader());
  const int asked = Calls("get_chip_temperature");
  for (int i = 0; i < 10; ++i) EXPECT_TRUE(Run(runner.get()).ok());
  EXPECT_EQ(Calls("get_chip_temperature"), asked);
  With([](auto* controls) {
    controls->celsius = 103;
    controls->throttled = true;
  });
  LaterBy(HailoDevice::kFactsEvery);
  EXPECT_TRUE(Run(runner.get()).ok());
  EXPECT_EQ(runner->health().state, BackendState::kThrottled);
  EXPECT_EQ(runner->health().temperature_celsius, 103);
  EXPECT_NE(runner->health().reason.find("103 C"), std::string::npos) << runner->health().reason;
  With([](auto* controls) { controls->throttled = false; });
  LaterBy(HailoDevice::kFactsEvery);
  EXPECT_EQ(runner->health().state, BackendState::kReady);  // Also without frames.
}

TEST_F(HailoDeviceTest, WhatItReportsIsToldForAWhile) {
  const auto runner = Loaded(AddReader());
  Notify(3);
  Notify(5);
  Notify(5);
  LaterBy(HailoDevice::kFactsEvery);
  EXPECT_TRUE(Run(runner.get()).ok());
  EXPECT_EQ(runner->health().state, BackendState::kAlarmed);
  EXPECT_EQ(runner->health().reason,
            "Hailo device: has reported over-current; a memory error that it could not correct, "
            "2 times");
  EXPECT_TRUE(runner->health().temperature_celsius.has_value());
  LaterBy(HailoDevice::kAlarmedFor);
  EXPECT_EQ(runner->health().state, BackendState::kReady);
  Notify(7);  // And again.
  LaterBy(HailoDevice::kFactsEvery);
  EXPECT_EQ(runner->health().state, BackendState::kAlarmed);
}

TEST_F(HailoDeviceTest, WhatItReportedIsToldWithItsLoss) {
  const auto runner = Loaded(AddReader());
  Notify(2);
  Fail("vstream_read_raw_buffer", 4, 1);
  EXPECT_TRUE(absl::IsUnavailable(Run(runner.get())));
  EXPECT_EQ(runner->health().state, BackendState::kLost);
  EXPECT_NE(runner->health().reason.find("(HailoRT status 4); the device has reported that it has "
                                         "stopped to cool down"),
            std::string::npos)
      << runner->health().reason;
  // Opened again it is a new life.
  LaterBy(HailoDevice::kMostBackoff);
  EXPECT_TRUE(Run(runner.get()).ok());
  EXPECT_EQ(runner->health().state, BackendState::kReady);
  Fail("vstream_read_raw_buffer", 4, 1);
  EXPECT_FALSE(Run(runner.get()).ok());
  EXPECT_EQ(runner->health().reason.find("reported"), std::string::npos);
}

TEST_F(HailoDeviceTest, ADeviceThatReportsNothingWorks) {
  Fail("set_notification_callback", 79);
  const auto runner = Loaded(AddReader());
  EXPECT_TRUE(Run(runner.get()).ok());
  EXPECT_EQ(runner->health().state, BackendState::kReady);
  EXPECT_TRUE(controls_.callbacks.empty());
}

TEST_F(HailoDeviceTest, ABoardWithoutPowerIsAskedOnce) {
  Fail("power_measurement", 79);
  const auto runner = Loaded(AddReader());
  LaterBy(HailoDevice::kFactsEvery);
  EXPECT_FALSE(runner->health().power_watts.has_value());
  EXPECT_EQ(Calls("power_measurement"), 1);
}

TEST_F(HailoDeviceTest, FactsThatItDoesNotTellAreNotMadeUp) {
  for (const char* function : {"scan_devices", "get_physical_devices", "identify",
                               "get_chip_temperature", "get_throttling_state"}) {
    Fail(function, 36);
  }
  const auto runner = Loaded(AddReader());
  const BackendHealth health = runner->health();
  EXPECT_EQ(health.state, BackendState::kReady);
  EXPECT_EQ(health.device, "");
  EXPECT_EQ(health.architecture, "");
  EXPECT_EQ(health.firmware_version, "");
  EXPECT_FALSE(health.temperature_celsius.has_value());
  EXPECT_TRUE(Run(runner.get()).ok());
}

// Every status, where it comes from opening the device.
class OpeningFails : public HailoDeviceTest,
                     public ::testing::WithParamInterface<hailort::Status> {};

TEST_P(OpeningFails, IsTriedAgainOnlyWhereThatHelps) {
  support::WriteFile(folder_ / "driver", "4.20.0\n");
  const std::string path = AddReader();
  Fail("create_vdevice", GetParam());
  const HailoMeaning meaning = MeaningOf(GetParam());
  const auto refused = Load(path);
  EXPECT_EQ(absl::IsUnavailable(refused.status()), meaning.may_pass) << refused.status();
  EXPECT_EQ(health_.state, meaning.state);
  EXPECT_NE(health_.reason.find(absl::StrCat("status ", GetParam())), std::string::npos);
  if (GetParam() == 76) {
    EXPECT_NE(health_.reason.find("driver 4.20.0, library 4.23.0"), std::string::npos)
        << health_.reason;
  }
  Heal();
  EXPECT_FALSE(Load(path).ok());  // Not so soon.
  EXPECT_EQ(Calls("create_vdevice"), 1);
  LaterBy(HailoDevice::kMostBackoff);
  EXPECT_EQ(Load(path).ok(), meaning.may_pass);
  EXPECT_EQ(Calls("create_vdevice"), meaning.may_pass ? 2 : 1);
  EXPECT_EQ(health_.state, meaning.may_pass ? BackendState::kReady : meaning.state);
}

// Every status, where it comes from the frames.
class FrameFails : public HailoDeviceTest,
                   public ::testing::WithParamInterface<std::tuple<hailort::Status, const char*>> {
};

TEST_P(FrameFails, OpensTheDeviceAgainOnlyWhereThatHelps) {
  const auto [status, function] = GetParam();
  const auto runner = Loaded(AddReader());
  ASSERT_TRUE(Run(runner.get()).ok());
  Fail(function, status, 1);
  const HailoMeaning meaning = MeaningOf(status);
  const absl::Status failed = Run(runner.get());
  EXPECT_EQ(absl::IsUnavailable(failed), meaning.may_pass) << failed;
  EXPECT_EQ(runner->health().state, meaning.state) << runner->health().reason;
  const int opened = Calls("create_hef_file");
  EXPECT_FALSE(Run(runner.get()).ok());  // Not so soon.
  EXPECT_EQ(Calls("create_hef_file"), opened);
  LaterBy(HailoDevice::kMostBackoff);
  EXPECT_EQ(Run(runner.get()).ok(), meaning.may_pass);
  EXPECT_EQ(Calls("create_hef_file"), opened + (meaning.may_pass ? 1 : 0));
  EXPECT_EQ(runner->health().state, meaning.may_pass ? BackendState::kReady : meaning.state);
}

constexpr hailort::Status kStatuses[] = {2,  4,  5,  8,  13, 16, 26, 36, 63,   64,
                                         73, 74, 75, 79, 87, 91, 92, 93, 1234, 76};
INSTANTIATE_TEST_SUITE_P(Statuses, OpeningFails, ::testing::ValuesIn(kStatuses));
INSTANTIATE_TEST_SUITE_P(Statuses, FrameFails,
                         ::testing::Combine(::testing::ValuesIn(kStatuses),
                                            ::testing::Values("vstream_write_raw_buffer",
                                                              "vstream_read_raw_buffer")));

// Every status from every step of loading a model: nothing stays open, and the others go on.
class LoadingFails : public HailoDeviceTest, public ::testing::WithParamInterface<const char*> {};

TEST_P(LoadingFails, LeavesNothingOpen) {
  const auto first = Loaded(AddReader("first.hef"));
  const std::string path = AddReader("second.hef");
  for (const hailort::Status status : kStatuses) {
    ASSERT_TRUE(Run(first.get()).ok());
    int open = 0;
    With([&](auto* controls) { open = controls->open; });
    Fail(GetParam(), status, 1);
    const auto second = Load(path);
    EXPECT_FALSE(second.ok());
    EXPECT_EQ(absl::IsUnavailable(second.status()), MeaningOf(status).may_pass);
    EXPECT_NE(second.status().message().find("second.hef"), std::string::npos) << second.status();
    if (status == 76) return;  // The last one: the device is given up.
    LaterBy(HailoDevice::kMostBackoff);
    EXPECT_TRUE(Run(first.get()).ok());
    // The groups of models that are gone stay until the device is opened anew.
    With([&](auto* controls) {
      EXPECT_LE(controls->open, open + HailoDevice::kMostLeftovers + 1) << status;
    });
  }
}

INSTANTIATE_TEST_SUITE_P(Steps, LoadingFails,
                         ::testing::Values("create_hef_file", "configure_vdevice",
                                           "make_input_vstream_params",
                                           "make_output_vstream_params", "create_input_vstreams",
                                           "create_output_vstreams", "get_input_vstream_frame_size",
                                           "get_output_vstream_frame_size",
                                           "get_input_vstream_info", "get_output_vstream_info"));

TEST_F(HailoDeviceTest, IsLostAndFoundAgain) {
  const auto reader = Loaded(AddReader("reader.hef"));
  const auto other = Loaded(AddReader("other.hef"));
  ASSERT_TRUE(Run(reader.get()).ok());
  With([](auto* controls) { controls->present = false; });
  EXPECT_TRUE(absl::IsUnavailable(Run(reader.get())));
  EXPECT_EQ(reader->health().state, BackendState::kLost);
  EXPECT_EQ(controls_.open, 0);  // Also what the other model had.
  for (int i = 0; i < 20; ++i) {
    LaterBy(HailoDevice::kMostBackoff);
    EXPECT_TRUE(absl::IsUnavailable(Run(i % 2 == 0 ? reader.get() : other.get())));
    EXPECT_EQ(other->health().state, BackendState::kNoDevice);
    EXPECT_FALSE(other->health().temperature_celsius.has_value());
  }
  With([](auto* controls) { controls->present = true; });
  LaterBy(HailoDevice::kMostBackoff);
  EXPECT_TRUE(Run(reader.get()).ok());
  EXPECT_TRUE(Run(other.get()).ok());
  EXPECT_EQ(reader->health().state, BackendState::kReady);
}

TEST_F(HailoDeviceTest, AnotherModelsFailureIsNoSecondOne) {
  const auto first = Loaded(AddReader("first.hef"));
  const auto second = Loaded(AddReader("second.hef"));
  Fail("vstream_write_raw_buffer", 63, 1);
  EXPECT_FALSE(Run(first.get()).ok());
  LaterBy(HailoDevice::kLeastBackoff);
  EXPECT_TRUE(Run(second.get()).ok());
  EXPECT_TRUE(Run(first.get()).ok());
  EXPECT_EQ(Calls("create_vdevice"), 2);
}

TEST_F(HailoDeviceTest, WaitsLongerEachTimeButNotForEver) {
  const auto runner = Loaded(AddReader());
  Fail("create_vdevice", 73);
  Fail("vstream_write_raw_buffer", 63);
  EXPECT_FALSE(Run(runner.get()).ok());
  // In steps of the shortest wait: how many until each attempt.
  std::vector<int> waits = {0};
  int opened = Calls("create_vdevice");
  for (int step = 0; step < 2000; ++step) {
    LaterBy(HailoDevice::kLeastBackoff / 2);
    EXPECT_FALSE(Run(runner.get()).ok());
    ++waits.back();
    if (Calls("create_vdevice") == opened) continue;
    opened = Calls("create_vdevice");
    waits.push_back(0);
  }
  waits.pop_back();
  ASSERT_GT(waits.size(), 10U);
  EXPECT_LE(waits[0], 2);
  const auto most = static_cast<int>(HailoDevice::kMostBackoff / (HailoDevice::kLeastBackoff / 2));
  for (size_t i = 8; i < waits.size(); ++i) {
    EXPECT_LE(waits[i], most);
    EXPECT_GE(waits[i], most / 2 - 1);
  }
}

TEST_F(HailoDeviceTest, AnAnswerEndsTheBackoff) {
  const auto runner = Loaded(AddReader());
  for (int i = 0; i < 20; ++i) {
    Fail("vstream_read_raw_buffer", 4, 1);
    EXPECT_TRUE(absl::IsUnavailable(Run(runner.get())));
    LaterBy(HailoDevice::kLeastBackoff);
    EXPECT_TRUE(Run(runner.get()).ok()) << i;
  }
}

TEST_F(HailoDeviceTest, ADeviceThatIsTooSlowIsOpenedAgain) {
  const auto runner = Loaded(AddReader());
  With([](auto* controls) { controls->delay_ms = 1000; });  // The timeout is 100.
  EXPECT_TRUE(absl::IsUnavailable(Run(runner.get())));
  EXPECT_NE(runner->health().reason.find("no answer in time"), std::string::npos);
  With([](auto* controls) { controls->delay_ms = 1; });
  LaterBy(HailoDevice::kLeastBackoff);
  EXPECT_TRUE(Run(runner.get()).ok());
}

TEST_F(HailoDeviceTest, ModelsThatComeAndGoDoNotFillIt) {
  const auto stays = Loaded(AddReader("stays.hef"));
  const std::string path = AddReader("goes.hef");
  for (int i = 0; i < 40; ++i) {
    auto runner = Loaded(path);
    EXPECT_TRUE(Run(runner.get()).ok());
    EXPECT_TRUE(Run(stays.get()).ok());
    With([&](auto* controls) { EXPECT_LE(controls->open, 20); });
  }
}

TEST_F(HailoDeviceTest, TwoThreadsWhileItFailsNowAndThen) {
  const auto first = Loaded(AddReader("first.hef"));
  const auto second = Loaded(AddReader("second.hef"));
  std::atomic<int> answered{0};
  const auto work = [&](HailoRunner* runner) {
    std::vector<Tensor> outputs;
    const cv::Mat picture = SomePicture({160, 48}, 1);
    for (int i = 0; i < 150; ++i) {
      const absl::Status run = runner->RunPicture(picture, &outputs);
      EXPECT_TRUE(run.ok() || absl::IsUnavailable(run)) << run;
      answered += run.ok() ? 1 : 0;
      if (i % 20 == 7) Fail("vstream_read_raw_buffer", 63, 1);
      With([](auto* controls) {  // Where there is a device just now.
        for (const auto& [id, callback] : controls->callbacks) {
          callback.first(nullptr, nullptr, callback.second);
        }
      });
      LaterBy(HailoDevice::kLeastBackoff);
      EXPECT_NE(runner->health().state, BackendState::kFailed);
    }
  };
  std::thread other(work, second.get());
  work(first.get());
  other.join();
  EXPECT_GT(answered, 100);
}

TEST_F(HailoDeviceTest, OneDeviceForTheProcess) {
  ModelSpec spec = ReaderSpec(AddReader());
  spec.library = HAILORT_DOUBLE;
  const auto first = MakeRunner(spec);
  const auto second = MakeRunner(spec);
  ASSERT_TRUE(first.ok()) << first.status();
  ASSERT_TRUE(second.ok()) << second.status();
  EXPECT_EQ(Calls("create_vdevice"), 1);
  spec.library = "/elsewhere/libhailort.so";
  BackendHealth health;
  EXPECT_TRUE(absl::IsFailedPrecondition(MakeRunner(spec, &health).status()));
  EXPECT_EQ(health.state, BackendState::kWrongLibrary);
}

}  // namespace
}  // namespace viaduct::hailo_lpr
