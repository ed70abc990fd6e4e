#include "plugins/hailo_lpr/hailo/hailort_library.h"

#include <gtest/gtest.h>

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
