#include "core/receive/incoming_parts.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "core/receive/incoming_test_support.h"

namespace viaduct {
namespace {

namespace fs = std::filesystem;

using IncomingPartsTest = IncomingTest;

TEST_F(IncomingPartsTest, WhatWasGivenUpGoesAndNothingElse) {
  Put("CAM1/2024/.viaduct-0123.part");
  Put("CAM1/2024/.viaduct-partial/a.jpg");
  Put("CAM1/.viaduct-0123.part");
  Put("CAM1/a.jpg");
  Put("CAM1/.viaduct-other");
  Put("CAM1/b.part");
  Put(".viaduct-aside/c");
  fs::create_directories(Path("CAM2/.viaduct-folder.part"));
  fs::create_symlink(Path("CAM1"), Path("CAM2/.viaduct-partial"));
  ASSERT_EQ(RemoveOldParts(*incoming_, absl::Now() - absl::Hours(1)), 0u);
  ASSERT_EQ(RemoveOldParts(*incoming_, absl::Now() + absl::Hours(1)), 3u);
  for (const char* gone :
       {"CAM1/2024/.viaduct-0123.part", "CAM1/2024/.viaduct-partial", "CAM1/.viaduct-0123.part"}) {
    EXPECT_FALSE(fs::exists(Path(gone))) << gone;
  }
  for (const char* kept : {"CAM1/a.jpg", "CAM1/.viaduct-other", "CAM1/b.part", ".viaduct-aside/c",
                           "CAM2/.viaduct-folder.part", "CAM2/.viaduct-partial"}) {
    EXPECT_TRUE(fs::exists(Path(kept))) << kept;
  }
}

}  // namespace
}  // namespace viaduct
