#include "core/security/audit_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/test_folder.h"
#include "core/security/audit_log.h"

namespace viaduct::security {
namespace {

using ::testing::ElementsAre;

class AuditReaderTest : public testing::Test {
 protected:
  void Open(uint64_t max_file_bytes = 2'000, size_t max_files = 1'000) {
    log_.reset();
    auto log = AuditLog::Open(folder_.path(), {max_file_bytes, max_files}, &clock_);
    ASSERT_TRUE(log.ok()) << log.status();
    log_ = std::move(*log);
  }
  void Write(int count, const std::string& who = "user anna (password)") {
    for (int i = 0; i < count; ++i) {
      clock_.Advance(absl::Seconds(1));
      const AuditRecord record = {who, "Config.Apply", "r1", "192.0.2.7:1", "ok"};
      ASSERT_TRUE(log_->AppendDurably(record).ok());
    }
  }
  AuditPage Read(size_t max_entries, const std::optional<AuditPosition>& from = std::nullopt,
                 const AuditFilter& filter = AuditFilter()) {
    auto page = ReadAudit(folder_.path(), filter, from, max_entries, nullptr);
    EXPECT_TRUE(page.ok()) << page.status();
    return page.ok() ? *std::move(page) : AuditPage();
  }
  // The numbers of all pages, while `between` happens after each.
  template <typename Between>
  std::vector<uint64_t> ReadAll(size_t max_entries, Between between) {
    std::vector<uint64_t> numbers;
    std::optional<AuditPosition> from;
    do {
      const AuditPage page = Read(max_entries, from);
      EXPECT_LE(page.entries.size(), max_entries);
      for (const AuditEntry& entry : page.entries) numbers.push_back(entry.sequence);
      from = page.next;
      between();
    } while (from.has_value());
    return numbers;
  }

  TestFolder folder_;
  FakeClock clock_;
  std::unique_ptr<AuditLog> log_;
};

std::vector<uint64_t> Down(uint64_t from) {
  std::vector<uint64_t> numbers;
  for (; from > 0; --from) numbers.push_back(from);
  return numbers;
}

TEST_F(AuditReaderTest, GivesTheNewestFirstAndWholeRecords) {
  Open();
  Write(1);
  Write(1, "user b\"ert\n");
  const AuditPage page = Read(10);
  ASSERT_EQ(page.entries.size(), 2u);
  EXPECT_EQ(page.entries[0].record.who, "user b\"ert\n");
  EXPECT_EQ(page.entries[0].sequence, 2u);
  EXPECT_EQ(page.entries[0].time, clock_.Now());
  EXPECT_EQ(page.entries[1].record.what, "Config.Apply");
  EXPECT_EQ(page.entries[1].record.subject, "r1");
  EXPECT_EQ(page.entries[1].record.from, "192.0.2.7:1");
  EXPECT_EQ(page.entries[1].record.result, "ok");
  EXPECT_FALSE(page.next.has_value());
}

TEST_F(AuditReaderTest, PagesThroughAllFilesWithoutAGap) {
  Open();
  Write(50);
  ASSERT_GT(audit::ListFiles(folder_.path())->size(), 5u);
  for (const size_t size : {1u, 3u, 7u, 50u, 100u}) {
    EXPECT_EQ(ReadAll(size, [] {}), Down(50)) << size;
  }
}

TEST_F(AuditReaderTest, APlaceStaysWhileRecordsComeAndFilesGetFull) {
  Open();
  Write(30);
  EXPECT_EQ(ReadAll(4, [&] { Write(9); }), Down(30));
}

TEST_F(AuditReaderTest, AFileThatHasGoneMeanwhileEndsTheList) {
  Open(2'000, 3);
  Write(30);
  const std::vector<uint64_t> numbers = ReadAll(2, [&] { Write(5); });
  EXPECT_EQ(numbers.front(), 30u);
  for (size_t i = 1; i < numbers.size(); ++i) EXPECT_EQ(numbers[i], numbers[i - 1] - 1);
}

TEST_F(AuditReaderTest, Filters) {
  Open();
  Write(20);
  const absl::Time later = clock_.Now();
  Write(5, "key of BERT");
  Write(5);
  AuditFilter filter;
  filter.who = "bert";
  EXPECT_EQ(Read(100, std::nullopt, filter).entries.size(), 5u);
  filter.what = "config";
  filter.subject = "R1";
  EXPECT_EQ(Read(100, std::nullopt, filter).entries.size(), 5u);
  filter.what = "Plugins";
  EXPECT_TRUE(Read(100, std::nullopt, filter).entries.empty());
  AuditFilter recent;
  recent.since = later + absl::Milliseconds(1);
  EXPECT_EQ(Read(100, std::nullopt, recent).entries.size(), 10u);
}

TEST_F(AuditReaderTest, DamagedAndUnfinishedLinesAreLeftOut) {
  Open(1u << 20);
  Write(3);
  {
    std::ofstream file(folder_.File("audit.jsonl"), std::ios::binary | std::ios::app);
    file << "no record\n" << std::string(200'000, 'x') << "\n\n{\"seq\":9}\n";
  }
  Write(2);
  std::ofstream(folder_.File("audit.jsonl"), std::ios::binary | std::ios::app) << "{\"seq\":6,\"ti";
  const AuditPage page = Read(100);
  EXPECT_EQ(page.unreadable, 4u);
  std::vector<uint64_t> numbers;
  for (const AuditEntry& entry : page.entries) numbers.push_back(entry.sequence);
  EXPECT_THAT(numbers, ElementsAre(5, 4, 3, 2, 1));
  EXPECT_EQ(ReadAll(1, [] {}), Down(5));
}

TEST_F(AuditReaderTest, NothingThereIsNothing) {
  EXPECT_TRUE(Read(10).entries.empty());
  EXPECT_FALSE(ReadAudit(folder_.File("none"), AuditFilter(), std::nullopt, 10, nullptr).ok());
  // Places that can not be.
  Open();
  Write(3);
  EXPECT_EQ(Read(10, AuditPosition{1, 1'000'000}).entries.size(), 3u);
  EXPECT_TRUE(Read(10, AuditPosition{1, 0}).entries.empty());
  EXPECT_TRUE(Read(10, AuditPosition{0, 17}).entries.empty());
  EXPECT_LE(Read(10, AuditPosition{1, 17}).entries.size(), 3u);
}

TEST_F(AuditReaderTest, NobodyWaitsAnyMore) {
  Open(1u << 20);
  Write(1'100);
  const auto page =
      ReadAudit(folder_.path(), AuditFilter(), std::nullopt, 2'000, [] { return false; });
  EXPECT_TRUE(absl::IsCancelled(page.status()));
}

}  // namespace
}  // namespace viaduct::security
