#include "tests/support/stored_rows.h"

#include <gtest/gtest.h>
#include <sqlite3.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "tests/support/digest.h"
#include "tests/support/ledger.h"
#include "tests/support/message_source.h"

namespace viaduct::support {
namespace {

constexpr char kJpeg[] = "\xff\xd8\xff picture";

// A store file with the two tables that the reader looks at, written by hand.
class StoredRowsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/stored_rows_XXXXXX";
    folder_ = mkdtemp(name);
    files_.database = folder_ + "/store.db";
    files_.images = folder_ + "/images";
    std::filesystem::create_directory(files_.images);
    ASSERT_EQ(sqlite3_open(files_.database.c_str(), &db_), SQLITE_OK);
    Execute("PRAGMA journal_mode=WAL");
    Execute("CREATE TABLE detections (payload TEXT, image_path TEXT, plate_images TEXT)");
    Execute("CREATE TABLE lpr_events (license_plate TEXT)");
    MessageSpec spec;
    spec.prefix = "T";
    spec.image = kJpeg;
    source_ = std::make_unique<MessageSource>(spec);
  }
  void TearDown() override {
    sqlite3_close(db_);
    std::filesystem::remove_all(folder_);
  }
  void Execute(const std::string& sql) {
    char* error = nullptr;
    ASSERT_EQ(sqlite3_exec(db_, sql.c_str(), nullptr, nullptr, &error), SQLITE_OK) << error;
  }
  // Stores a message as the server does: the picture as a file, the rest as JSON.
  Message StoreOne(const std::string& image) {
    const Message m = source_->Next(true);
    std::string text;
    source_->AppendPayload(m, &text);
    nlohmann::json payload = nlohmann::json::parse(text);
    payload.erase("annotated_image");
    std::ofstream(absl::StrCat(files_.images, "/", m.id, ".jpg")) << image;
    Execute(absl::StrCat("INSERT INTO detections VALUES ('", payload.dump(), "','", m.id,
                         ".jpg',NULL)"));
    Execute(absl::StrCat("INSERT INTO lpr_events VALUES ('", m.id, "')"));
    ledger_.Claim(m.id, m.digest);
    EXPECT_TRUE(ledger_.Accept(m.id).ok());
    return m;
  }
  Verdict Judge() {
    const std::string log = folder_ + "/stored.log";
    EXPECT_TRUE(WriteStoredRows(files_, log).ok());
    EXPECT_TRUE(ledger_.ReadFile(log).ok());
    return ledger_.Judge({});
  }

  std::string folder_;
  StoreFiles files_;
  sqlite3* db_ = nullptr;
  std::unique_ptr<MessageSource> source_;
  Ledger ledger_;
};

TEST_F(StoredRowsTest, FindsWhatWasStoredWithItsPicture) {
  StoreOne(kJpeg);
  StoreOne(kJpeg);
  const Verdict verdict = Judge();
  EXPECT_TRUE(verdict.ok()) << verdict.ToText();
  EXPECT_EQ(verdict.sources.at("sqlite").stored, 2u);
  EXPECT_EQ(verdict.sources.at("sqlite-events").stored, 2u);
}

TEST_F(StoredRowsTest, SeesAChangedPicture) {
  StoreOne("\xff\xd8\xff pixture");
  EXPECT_EQ(Judge().sources.at("sqlite").changed, 1u);
}

TEST_F(StoredRowsTest, SeesAMissingPicture) {
  const Message m = StoreOne(kJpeg);
  std::filesystem::remove(files_.images + "/" + m.id + ".jpg");
  EXPECT_EQ(Judge().sources.at("sqlite").changed, 1u);
}

TEST_F(StoredRowsTest, SeesAMissingEventAndADoubleRow) {
  const Message m = StoreOne(kJpeg);
  StoreOne(kJpeg);
  Execute("DELETE FROM lpr_events WHERE license_plate = '" + m.id + "'");
  Execute("INSERT INTO detections SELECT * FROM detections LIMIT 1");
  const Verdict verdict = Judge();
  EXPECT_EQ(verdict.sources.at("sqlite-events").lost, 1u);
  EXPECT_EQ(verdict.sources.at("sqlite").doubled, 1u);
}

TEST_F(StoredRowsTest, SeesAChangedValue) {
  StoreOne(kJpeg);
  Execute("UPDATE detections SET payload = replace(payload, '0.93', '0.94')");
  EXPECT_EQ(Judge().sources.at("sqlite").changed, 1u);
}

TEST_F(StoredRowsTest, SaysThatThereIsNoStore) {
  files_.database = folder_ + "/none.db";
  EXPECT_FALSE(WriteStoredRows(files_, folder_ + "/log").ok());
}

}  // namespace
}  // namespace viaduct::support
