#include "core/spool/spool_repair.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "core/spool/spool_test_support.h"

namespace viaduct {
namespace {

namespace fs = std::filesystem;
using ::testing::IsEmpty;
using ::testing::Not;

constexpr int kMessages = 200;
constexpr size_t kPage = 4096;

class SpoolRepairTest : public ::testing::Test {
 protected:
  std::unique_ptr<Spool> Open(const std::string& path) {
    SpoolOptions options;
    options.path = path;
    auto spool = Spool::Open(std::move(options), &clock_, &log_);
    EXPECT_TRUE(spool.ok()) << spool.status();
    return *std::move(spool);
  }

  void Fill() {
    const std::unique_ptr<Spool> spool = Open(path_);
    for (int i = 0; i < kMessages; ++i) {
      const Priority priority = i % 2 == 0 ? Priority::kHigh : Priority::kNormal;
      ASSERT_TRUE(AppendOne(spool.get(), TestEnvelope(absl::StrCat("m", i), priority, 500)).ok());
    }
    spool->Close();
  }

  void Damage(size_t page) {
    std::fstream file(path_, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(static_cast<std::streamoff>(page * kPage));
    file << std::string(kPage, '\xff');
  }

  std::string Octets() {
    std::ifstream file(path_, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }

  SystemClock clock_;
  NullLog log_;
  TestFolder folder_;
  const std::string path_ = folder_.File("spool.db");
};

TEST_F(SpoolRepairTest, ASoundOneHasAllAndNoProblems) {
  Fill();
  const auto found = InspectSpool(folder_.path());
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_THAT(found->problems, IsEmpty());
  EXPECT_TRUE(found->state_found);
  EXPECT_EQ(found->messages[0] + found->messages[1] + found->messages[2], kMessages);
  EXPECT_EQ(found->messages, found->expected);
}

TEST_F(SpoolRepairTest, WhatCanBeReadIsCopiedAndTheDamagedOneStaysAsItIs) {
  Fill();
  Damage(10);
  const std::string before = Octets();
  const auto found = InspectSpool(path_);
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_THAT(found->problems, Not(IsEmpty()));
  const std::string to = folder_.File("repaired");
  const auto report = RepairSpool(path_, to);
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_GT(report->salvaged, kMessages / 2);
  EXPECT_EQ(report->salvaged + report->lost, kMessages);
  EXPECT_EQ(Octets(), before);
  const auto again = InspectSpool(to);
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_THAT(again->problems, IsEmpty());
  const std::unique_ptr<Spool> spool = Open(to + "/spool.db");
  EXPECT_EQ(static_cast<int64_t>(ClaimAll(spool.get()).size()), report->salvaged);
}

TEST_F(SpoolRepairTest, NothingIsDoneInPlaceOrOverAnything) {
  Fill();
  EXPECT_EQ(RepairSpool(path_, folder_.path()).status().code(), absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(InspectSpool(folder_.File("nothing")).status().code(), absl::StatusCode::kNotFound);
}

TEST_F(SpoolRepairTest, OneThatANodeHasIsLeftAlone) {
  const std::unique_ptr<Spool> spool = Open(path_);
  EXPECT_EQ(InspectSpool(path_).status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(RepairSpool(path_, folder_.File("to")).status().code(),
            absl::StatusCode::kFailedPrecondition);
}

TEST_F(SpoolRepairTest, AnyOctetsAreNoSpoolButNoCrash) {
  std::ofstream(path_) << std::string(100'000, 'x');
  const auto found = InspectSpool(path_);
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_FALSE(found->state_found);
  EXPECT_THAT(found->problems, Not(IsEmpty()));
}

}  // namespace
}  // namespace viaduct
