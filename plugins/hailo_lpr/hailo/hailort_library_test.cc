#include "plugins/hailo_lpr/hailo/hailort_library.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "plugins/hailo_lpr/hailo/testing/hailo_test_support.h"
#include "plugins/hailo_lpr/runners.h"

namespace viaduct::hailo_lpr {
namespace {

using HailortLibraryTest = HailoTest;

TEST_F(HailortLibraryTest, KnownVersionsAreTaken) {
  for (const uint32_t minor : {17U, 19U, 20U, 23U}) {
    With([&](auto* controls) { controls->version = {4, minor, 1}; });
    BackendState state = BackendState::kFailed;
    const auto library = HailortLibrary::Open(HAILORT_DOUBLE, &state);
    ASSERT_TRUE(library.ok()) << library.status();
    EXPECT_EQ((*library)->version(), absl::StrCat("4.", minor, ".1"));
    EXPECT_EQ(state, BackendState::kReady);
  }
}

TEST_F(HailortLibraryTest, OthersAreRefusedAndBothVersionsNamed) {
  for (const hailort::Version version :
       {hailort::Version{5, 0, 0}, {4, 16, 2}, {4, 24, 0}, {3, 20, 0}}) {
    With([&](auto* controls) { controls->version = version; });
    BackendState state = BackendState::kReady;
    const auto library = HailortLibrary::Open(HAILORT_DOUBLE, &state);
    EXPECT_TRUE(absl::IsFailedPrecondition(library.status()));
    EXPECT_EQ(state, BackendState::kWrongLibrary);
    const std::string found = absl::StrCat(version.major, ".", version.minor, ".");
    EXPECT_NE(library.status().message().find(found), std::string::npos) << library.status();
    EXPECT_NE(library.status().message().find("4.17 to 4.23"), std::string::npos);
  }
}

TEST_F(HailortLibraryTest, ALibraryThatIsNotThereOrIsNone) {
  BackendState state = BackendState::kReady;
  EXPECT_TRUE(absl::IsNotFound(HailortLibrary::Open("/nowhere/libhailort.so", &state).status()));
  EXPECT_EQ(state, BackendState::kNoLibrary);
  const std::string path = folder_ / "libhailort.so";
  support::WriteFile(path, "this is no library");
  EXPECT_TRUE(absl::IsNotFound(HailortLibrary::Open(path, &state).status()));
  const auto other = HailortLibrary::Open("libm.so.6", &state);
  EXPECT_TRUE(absl::IsFailedPrecondition(other.status())) << other.status();
  EXPECT_EQ(state, BackendState::kWrongLibrary);
}

TEST_F(HailortLibraryTest, ItWritesNoLogIntoTheWorkingFolder) {
  EXPECT_EQ(controls_.logger_path, "NONE");
}

TEST_F(HailortLibraryTest, ItsOwnFailureIsTold) {
  Fail("get_library_version", 8);
  BackendState state = BackendState::kReady;
  const auto library = HailortLibrary::Open(HAILORT_DOUBLE, &state);
  EXPECT_FALSE(library.ok());
  EXPECT_NE(library.status().message().find("status 8"), std::string::npos) << library.status();
}

// As an operator or a test of a whole node sees it: another copy, told by the environment.
TEST_F(HailortLibraryTest, ByTheEnvironment) {
  const std::string path = folder_ / "libhailort.so.4.20.0";
  std::filesystem::copy_file(HAILORT_DOUBLE, path);
  const std::string models =
      absl::StrCat("province.hef=", HAILO_LPR_MODELS, "/province.onnx:1x1x32x160");
  setenv("HAILORT_DOUBLE_VERSION", "4.20.0", 1);
  setenv("HAILORT_DOUBLE_MODELS", models.c_str(), 1);
  setenv("HAILORT_DOUBLE_FAIL", "power_measurement:79,identify:8", 1);
  ModelSpec spec;
  spec.path = folder_ / "province.hef";
  support::WriteFile(spec.path, "\x01HEF");
  spec.library = path;
  BackendHealth health;
  const auto runner = MakeRunner(spec, &health);
  for (const char* name :
       {"HAILORT_DOUBLE_VERSION", "HAILORT_DOUBLE_MODELS", "HAILORT_DOUBLE_FAIL"}) {
    unsetenv(name);
  }
  ASSERT_TRUE(runner.ok()) << runner.status();
  EXPECT_EQ(health.library_version, "4.20.0");
  EXPECT_EQ(health.architecture, "");
  EXPECT_FALSE(health.power_watts.has_value());
  std::vector<Tensor> outputs;
  EXPECT_TRUE((*runner)->RunPicture(SomePicture({160, 32}, 1), &outputs).ok());
}

TEST_F(HailortLibraryTest, HealthOfAMachineWithoutIt) {
  ModelSpec spec;
  spec.path = AddReader();
  spec.library = "/nowhere/libhailort.so";
  BackendHealth health;
  EXPECT_TRUE(absl::IsNotFound(MakeRunner(spec, &health).status()));
  EXPECT_EQ(health.state, BackendState::kNoLibrary);
  EXPECT_EQ(health.backend, "hailo");
  EXPECT_NE(health.reason.find("/nowhere/libhailort.so"), std::string::npos) << health.reason;
}

}  // namespace
}  // namespace viaduct::hailo_lpr
