// The spool with encryption of what lies in its file.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "absl/strings/escaping.h"
#include "core/spool/spool.h"
#include "core/spool/spool_test_support.h"

namespace viaduct {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

constexpr char kPlate[] = "SECRETPLATE42";

security::KeyRing Keys(const std::vector<std::string>& ids) {
  std::string text;
  for (const std::string& id : ids) {
    absl::StrAppend(&text, id, " ", absl::Base64Escape(std::string(32, id.back())), "\n");
  }
  return std::move(*security::KeyRing::Parse(text));
}

class SpoolSealingTest : public testing::Test {
 protected:
  void Use(const std::vector<std::string>& ids) {
    spool_.reset();
    cipher_ = ids.empty() ? nullptr : std::make_unique<security::RecordCipher>(Keys(ids), "spool");
  }
  void UseOther(const std::string& id) {
    spool_.reset();
    const std::string line = absl::StrCat(id, " ", absl::Base64Escape(std::string(32, '!')));
    cipher_ = std::make_unique<security::RecordCipher>(*security::KeyRing::Parse(line), "spool");
  }
  absl::Status Open(bool encrypt) {
    spool_.reset();
    SpoolOptions options;
    options.path = folder_.File("spool.db");
    options.confirm_delay = absl::ZeroDuration();
    options.reserve_bytes = 64 << 10;
    options.cipher = cipher_.get();
    options.encrypt = encrypt;
    auto spool = Spool::Open(options, &clock_, &log_);
    if (!spool.ok()) return spool.status();
    spool_ = *std::move(spool);
    return absl::OkStatus();
  }
  static Envelope Message(const std::string& id) {
    Envelope envelope = TestEnvelope(id);
    envelope.payload_json = absl::StrCat(R"({"license_plate":")", kPlate, R"("})");
    return envelope;
  }
  void Put(const std::string& id) { ASSERT_TRUE(AppendOne(spool_.get(), Message(id)).ok()); }
  bool FilesHold(const std::string& text) {
    for (const char* suffix : {"", "-wal"}) {
      std::ifstream file(folder_.File("spool.db") + suffix, std::ios::binary);
      std::stringstream octets;
      octets << file.rdbuf();
      if (octets.str().find(text) != std::string::npos) return true;
    }
    return false;
  }

  TestFolder folder_;
  FakeClock clock_;
  NullLog log_;
  std::unique_ptr<security::RecordCipher> cipher_;  // Outlives the spool.
  std::unique_ptr<Spool> spool_;
};

TEST_F(SpoolSealingTest, GivesBackWhatItTookAndWritesNoneOfIt) {
  Use({"k1"});
  ASSERT_TRUE(Open(true).ok());
  Put("m1");
  std::vector<OutboxMessage> messages = ClaimAll(spool_.get());
  ASSERT_THAT(messages, SizeIs(1));
  EXPECT_EQ(messages[0].envelope_json, WriteEnvelope(Message("m1")));
  EXPECT_FALSE(FilesHold(kPlate));
  ASSERT_TRUE(Open(true).ok());  // Now from the file.
  messages = ClaimAll(spool_.get());
  ASSERT_THAT(messages, SizeIs(1));
  EXPECT_EQ(messages[0].envelope_json, WriteEnvelope(Message("m1")));
  EXPECT_FALSE(FilesHold(kPlate));
  const SpoolPage page = spool_->List({}, 10, "", /*with_envelope=*/true).value();
  ASSERT_THAT(page.entries, SizeIs(1));
  EXPECT_EQ(page.entries[0].envelope_json, WriteEnvelope(Message("m1")));
}

TEST_F(SpoolSealingTest, PlainAndEncryptedLieSideBySide) {
  ASSERT_TRUE(Open(false).ok());
  Put("plain");
  Use({"k1"});
  ASSERT_TRUE(Open(true).ok());
  Put("first");
  Use({"k2", "k1"});
  ASSERT_TRUE(Open(true).ok());
  Put("second");
  ASSERT_TRUE(Open(false).ok());  // Switched off: what is there is still read.
  Put("late");
  const std::vector<OutboxMessage> messages = ClaimAll(spool_.get());
  EXPECT_THAT(Ids(messages), ElementsAre("late", "plain", "first", "second"));
  for (const OutboxMessage& message : messages) {
    EXPECT_EQ(message.envelope_json, WriteEnvelope(Message(message.message_id)));
  }
  SettleAll(spool_.get(), messages, SettleKind::kConfirmed);
  ASSERT_TRUE(WaitFor([&] { return spool_->Info().messages == 0; }));
  EXPECT_EQ(spool_->Info().bytes, 0u) << "bytes are counted as they lie in the file";
}

TEST_F(SpoolSealingTest, DoesNotOpenWithoutTheKey) {
  Use({"k1"});
  ASSERT_TRUE(Open(true).ok());
  Put("m1");
  Use({"k2"});
  absl::Status refused = Open(true);
  EXPECT_EQ(refused.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(refused.message()), HasSubstr("k1"));
  Use({});
  EXPECT_EQ(Open(false).code(), absl::StatusCode::kFailedPrecondition);
  Use({"k2", "k1"});
  ASSERT_TRUE(Open(true).ok());
  EXPECT_THAT(Ids(ClaimAll(spool_.get())), ElementsAre("m1"));
}

TEST_F(SpoolSealingTest, DoesNotOpenWithAnotherKeyOfTheSameId) {
  Use({"k1"});
  ASSERT_TRUE(Open(true).ok());
  Put("m1");
  UseOther("k1");
  const absl::Status refused = Open(true);
  EXPECT_EQ(refused.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(refused.message()), HasSubstr("another one of that id"));
  Use({"k1"});
  ASSERT_TRUE(Open(true).ok());
  EXPECT_THAT(Ids(ClaimAll(spool_.get())), ElementsAre("m1"));
}

TEST_F(SpoolSealingTest, SetsAsideWhatAnotherKeyOfTheSameIdDoesNotOpen) {
  // Behind a plain one of the same priority it is not seen at the start.
  Use({"k1"});
  ASSERT_TRUE(Open(false).ok());
  Put("plain");
  ASSERT_TRUE(Open(true).ok());
  Put("sealed");
  UseOther("k1");
  ASSERT_TRUE(Open(true).ok());
  EXPECT_THAT(Ids(ClaimAll(spool_.get())), ElementsAre("plain"));
  ASSERT_TRUE(WaitFor([&] { return spool_->Info().rejected == 1; }));
  EXPECT_EQ(spool_->Info().damages_total, 0u);
  Use({"k1"});
  ASSERT_TRUE(Open(true).ok());
  SpoolFilter dead;
  dead.state = SpoolEntryState::kRejected;
  EXPECT_EQ(spool_->RetryDeadLetters(dead).value(), 1u);
  EXPECT_THAT(Ids(ClaimAll(spool_.get())), testing::Contains("sealed"));
}

TEST_F(SpoolSealingTest, SetsAsideWhatItHasNoKeyForUntilItHas) {
  // Behind a plain one of the same priority it is not seen at the start.
  Use({"k1"});
  ASSERT_TRUE(Open(false).ok());
  Put("plain");
  ASSERT_TRUE(Open(true).ok());
  Put("sealed");
  Use({"k2"});
  ASSERT_TRUE(Open(true).ok());
  Put("new");
  EXPECT_THAT(Ids(ClaimAll(spool_.get())), ElementsAre("new", "plain"));
  ASSERT_TRUE(WaitFor([&] { return spool_->Info().rejected == 1; }));
  SpoolFilter dead;
  dead.state = SpoolEntryState::kRejected;
  SpoolPage page = spool_->List(dead, 10, "", true).value();
  ASSERT_THAT(page.entries, SizeIs(1));
  EXPECT_EQ(page.entries[0].envelope_json, "");
  EXPECT_THAT(page.entries[0].last_error, HasSubstr("k1"));
  Use({"k2", "k1"});
  ASSERT_TRUE(Open(true).ok());
  EXPECT_EQ(spool_->RetryDeadLetters(dead).value(), 1u);
  EXPECT_THAT(Ids(ClaimAll(spool_.get())), testing::Contains("sealed"));
}

}  // namespace
}  // namespace viaduct
