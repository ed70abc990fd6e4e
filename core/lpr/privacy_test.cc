// Exporting, erasing and forgetting for age, with a real store, image folder and spool.
#include "core/lpr/privacy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "core/lpr/sealing.h"
#include "core/lpr/testing/application_fixture.h"
#include "core/spool/spool_test_support.h"

namespace viaduct {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::SizeIs;

int64_t Rows(const ForgottenCounts& counts, KeptTable table) {
  return counts.rows[static_cast<size_t>(table)];
}

class PrivacyTest : public ApplicationTest {
 protected:
  void SetUp() override { Make(RetentionOptions()); }
  void TearDown() override { privacy_.reset(); }

  void Make(RetentionOptions retention, Spool* spool = nullptr, Privacy::OpenFn open = nullptr) {
    Privacy::Deps deps;
    deps.clock = &clock_;
    deps.log = &log_;
    deps.store = store_.get();
    deps.images = images_.get();
    deps.spool = spool;
    deps.open = std::move(open);
    privacy_ = std::make_unique<Privacy>(retention, std::move(deps));
  }
  void Detect(const std::string& id, const std::string& plate,
              const std::string& camera = "CAM001") {
    Json detection = Detection();
    detection["message_id"] = id;
    detection["camera_id"] = camera;
    detection["ocr_results"] = Json::array({plate});
    detection["annotated_image"] = absl::Base64Escape(TinyJpeg());
    detection["cropped_plates"] = Json::array({absl::Base64Escape(TinyJpeg())});
    ASSERT_EQ(Post("/api/detection", detection).status, 200);
  }
  int64_t Files() {
    int64_t count = 0;
    for (const auto& entry : fs::recursive_directory_iterator(folder_.path() + "/images")) {
      count += entry.is_directory() ? 0 : 1;
    }
    return count;
  }
  std::vector<std::string> Exported(const PrivacySubject& subject) {
    std::vector<std::string> rows;
    const absl::Status status = privacy_->Export(subject, [&](KeptTable table, const KeptRow& row) {
      rows.push_back(absl::StrCat(std::string(KeptTableName(table)), " ", row.json));
      return absl::OkStatus();
    });
    EXPECT_TRUE(status.ok()) << status;
    return rows;
  }

  std::unique_ptr<Privacy> privacy_;
};

TEST_F(PrivacyTest, AsksForOneSubject) {
  EXPECT_FALSE(Privacy::CheckSubject({"", ""}).ok());
  EXPECT_FALSE(Privacy::CheckSubject({"A", "B"}).ok());
  EXPECT_FALSE(Privacy::CheckSubject({" - ", ""}).ok());
  EXPECT_FALSE(Privacy::CheckSubject({"1-A", ""}).ok()) << "too much else is that";
  EXPECT_FALSE(Privacy::CheckSubject({"กข", ""}).ok());
  EXPECT_TRUE(Privacy::CheckSubject({"กข1", ""}).ok());
  EXPECT_TRUE(Privacy::CheckSubject({"1AB 2345", ""}).ok());
  EXPECT_FALSE(privacy_->Erase({"", ""}, {}).ok());
}

TEST_F(PrivacyTest, ErasesAPlateInAnySpelling) {
  Detect("m-1", "1AB 2345");
  Detect("m-2", "XY9999");
  ASSERT_EQ(Post("/api/lpr/events", Json{{"event_id", "by-hand"},
                                         {"edge_device_id", "CAM001"},
                                         {"license_plate", "1ab2345"}})
                    .status /
                100,
            2);
  ASSERT_EQ(Post("/api/blacklist", Json{{"license_plate", "1AB2345"}}).status / 100, 2);
  EXPECT_EQ(Files(), 4);
  EXPECT_THAT(Exported({"1ab-2345", ""}), SizeIs(3)) << "a detection, its event, one by hand";

  Privacy::EraseOptions dry;
  dry.dry_run = true;
  ForgottenCounts counts = privacy_->Erase({"1AB-2345", ""}, dry).value();
  EXPECT_EQ(Rows(counts, KeptTable::kDetections), 1);
  EXPECT_EQ(Rows(counts, KeptTable::kEvents), 1);
  EXPECT_EQ(counts.images, 2);
  EXPECT_EQ(Files(), 4);

  counts = privacy_->Erase({"1AB-2345", ""}, {}).value();
  EXPECT_EQ(Rows(counts, KeptTable::kDetections), 1);
  EXPECT_EQ(Rows(counts, KeptTable::kEvents), 1);
  EXPECT_EQ(counts.images, 2);
  EXPECT_FALSE(counts.in_the_log);
  EXPECT_EQ(Files(), 2);
  EXPECT_THAT(Exported({"1AB2345", ""}), SizeIs(0));
  EXPECT_THAT(Exported({"XY9999", ""}), SizeIs(2));
  EXPECT_THAT(Get("/api/blacklist").body, HasSubstr("1AB2345")) << "only when asked for";
  Privacy::EraseOptions listed;
  listed.blacklist = true;
  EXPECT_TRUE(privacy_->Erase({"1AB2345", ""}, listed)->listed);
  EXPECT_FALSE(privacy_->Erase({"1AB2345", ""}, listed)->listed);
}

TEST_F(PrivacyTest, ErasesADevice) {
  Detect("m-1", "A1234", "CAM001");
  Detect("m-2", "B1234", "CAM002");
  ASSERT_EQ(Post("/api/health", Health()).status, 200);
  const ForgottenCounts counts = privacy_->Erase({"", "CAM001"}, {}).value();
  EXPECT_EQ(Rows(counts, KeptTable::kDetections), 1);
  EXPECT_EQ(Rows(counts, KeptTable::kHealth), 1);
  EXPECT_EQ(Rows(counts, KeptTable::kDevices), 1);
  EXPECT_THAT(Exported({"", "CAM001"}), SizeIs(0));
  EXPECT_FALSE(fs::exists(folder_.path() + "/images/CAM001"));
  const Json cameras = Get("/api/cameras").json();
  ASSERT_THAT(cameras["cameras"], SizeIs(1));
  EXPECT_EQ(cameras["cameras"][0]["camera_id"], "CAM002");
}

TEST_F(PrivacyTest, AnEventThatWasChangedTakesItsDetectionAlong) {
  Detect("m-1", "A1234");
  const std::string id = Get("/api/lpr/events").json()["events"][0]["event_id"];
  ASSERT_EQ(Call(application_.get(), "PUT", "/api/lpr/events/" + id,
                 Json{{"license_plate", "CORRECTED1"}}.dump())
                .status,
            200);
  EXPECT_EQ(Rows(*privacy_->Erase({"CORRECTED1", ""}, {}), KeptTable::kDetections), 1);
  EXPECT_EQ(Files(), 0);
  EXPECT_EQ(FirstRecord(), Json());
}

TEST_F(PrivacyTest, ErasesWhatWaits) {
  SpoolOptions options;
  options.path = folder_.path() + "/spool.db";
  auto spool = Spool::Open(options, &clock_, &log_).value();
  Make(RetentionOptions(), spool.get());
  const auto put = [&](const std::string& id, const std::string& payload) {
    Envelope envelope = TestEnvelope(id);
    envelope.payload_json = payload;
    ASSERT_TRUE(AppendOne(spool.get(), envelope).ok());
  };
  put("w-1", R"({"ocr_results":["1AB 2345"]})");
  put("w-2", R"({"ocr_results":["OTHER1"]})");
  Envelope sealed = TestEnvelope("w-3");
  sealed.payload_json = R"({"encrypted":"AAAA"})";
  sealed.metadata.encryption = true;
  ASSERT_TRUE(AppendOne(spool.get(), sealed).ok());
  ForgottenCounts counts = privacy_->Erase({"1AB2345", ""}, {}).value();
  EXPECT_EQ(counts.spooled, 1);
  EXPECT_EQ(counts.unreadable, 1);
  EXPECT_EQ(spool->Info().messages, 2u);
  EXPECT_EQ(privacy_->Erase({"", "CAM001"}, {})->spooled, 2);
  EXPECT_EQ(spool->Info().messages, 0u);
  Make(RetentionOptions());
}

TEST_F(PrivacyTest, ErasesOfTheSpoolOnlyWhatNamesThePlateAndOpensWhatItCan) {
  SpoolOptions options;
  options.path = folder_.path() + "/spool.db";
  auto spool = Spool::Open(options, &clock_, &log_).value();
  const std::string line = absl::StrCat("k1 ", absl::Base64Escape(std::string(32, 'k')));
  auto keys = std::make_shared<const security::KeyRing>(std::move(*security::KeyRing::Parse(line)));
  const Sealing sealing({}, keys);
  security::PayloadCipher cipher(keys);
  Make(RetentionOptions(), spool.get(), [&](Envelope* it) { return sealing.Peek(it); });
  const auto put = [&](const std::string& device, const std::string& plate, bool seal) {
    Envelope envelope = TestEnvelope("same");
    envelope.edge_device_id = device;
    envelope.payload_json = absl::StrCat(R"({"ocr_results":[")", plate, R"("]})");
    if (seal) ASSERT_TRUE(cipher.SealEnvelope(&envelope).ok());
    ASSERT_TRUE(AppendOne(spool.get(), envelope).ok());
  };
  put("CAM001", "1AB2345", false);
  put("CAM002", "OTHER1", false);
  put("CAM003", "1AB2345", true);
  put("CAM004", "OTHER1", true);
  const ForgottenCounts counts = privacy_->Erase({"1AB2345", ""}, {}).value();
  EXPECT_EQ(counts.spooled, 2);
  EXPECT_EQ(counts.unreadable, 0);
  std::vector<std::string> left;
  for (const SpoolEntry& entry : spool->List({}, 10, "", false)->entries) {
    left.push_back(entry.edge_device_id);
  }
  EXPECT_THAT(left, testing::ElementsAre("CAM002", "CAM004"));
  Make(RetentionOptions());
}

TEST_F(PrivacyTest, ForgetsWhatIsTooOld) {
  RetentionOptions retention;
  retention.detections = absl::Hours(24 * 90);
  retention.images = absl::Hours(24 * 30);
  retention.health = absl::Hours(24 * 10);
  Make(retention);
  EXPECT_TRUE(privacy_->has_retention());
  Detect("old", "A1234");
  ASSERT_EQ(Post("/api/health", Health()).status, 200);
  ASSERT_EQ(
      Post("/api/lpr/events",
           Json{{"event_id", "by-hand"}, {"edge_device_id", "CAM001"}, {"license_plate", "A1234"}})
              .status /
          100,
      2);
  clock_.Advance(absl::Hours(24 * 31));
  Detect("new", "B1234");
  bool more = true;
  ForgottenCounts counts = privacy_->Sweep(/*dry_run=*/true, &more).value();
  EXPECT_EQ(counts.images, 2);
  EXPECT_EQ(Rows(counts, KeptTable::kHealth), 1);
  EXPECT_EQ(Files(), 4);
  counts = privacy_->Sweep(false, &more).value();
  EXPECT_FALSE(more);
  EXPECT_EQ(counts.images, 2);
  EXPECT_EQ(Rows(counts, KeptTable::kHealth), 1);
  EXPECT_EQ(Rows(counts, KeptTable::kDetections), 0);
  EXPECT_EQ(Files(), 2);
  EXPECT_EQ(Get("/api/records").json()["total_count"], 2);
  EXPECT_EQ(privacy_->Sweep(false, &more)->images, 0);
  clock_.Advance(absl::Hours(24 * 60));
  counts = privacy_->Sweep(false, &more).value();
  EXPECT_EQ(Rows(counts, KeptTable::kDetections), 1);
  EXPECT_EQ(Rows(counts, KeptTable::kEvents), 1);
  EXPECT_EQ(Files(), 0) << "31 and 60 days are too old for the other's images, too";
  EXPECT_EQ(Get("/api/records").json()["total_count"], 1);
  EXPECT_EQ(privacy_->swept().images, 4);
}

TEST_F(PrivacyTest, AnEventByHandTakesNoImageOfSomebodyElse) {
  Detect("m-1", "A1234", "CAM002");
  const std::string image =
      FirstRecord()["annotated_image"].get<std::string>().substr(std::string("/images/").size());
  ASSERT_EQ(Post("/api/lpr/events", Json{{"event_id", "by-hand"},
                                         {"edge_device_id", "CAM001"},
                                         {"license_plate", "HAND1"},
                                         {"image_path", image}})
                    .status /
                100,
            2);
  EXPECT_THAT(Exported({"HAND1", ""}), testing::ElementsAre(HasSubstr("\"images\":[]")));
  EXPECT_EQ(privacy_->Erase({"HAND1", ""}, {})->images, 0);
  EXPECT_EQ(Files(), 2);
}

TEST_F(PrivacyTest, ForgetsNothingByAClockThatWasSetAhead) {
  RetentionOptions retention;
  retention.detections = absl::Hours(24 * 90);
  Make(retention);
  Detect("m-1", "A1234");
  clock_.JumpWall(absl::Hours(24 * 365));
  bool more = false;
  EXPECT_TRUE(absl::IsFailedPrecondition(privacy_->Sweep(false, &more).status()));
  EXPECT_TRUE(absl::IsFailedPrecondition(privacy_->Sweep(false, &more).status()));
  clock_.JumpWall(-absl::Hours(24 * 365));
  EXPECT_EQ(Rows(*privacy_->Sweep(false, &more), KeptTable::kDetections), 0);
  clock_.JumpWall(absl::Hours(24 * 365));
  EXPECT_FALSE(privacy_->Sweep(false, &more).ok());
  clock_.Advance(absl::Hours(24));
  EXPECT_EQ(Rows(*privacy_->Sweep(false, &more), KeptTable::kDetections), 1) << "it was right";
}

TEST_F(PrivacyTest, WhatCannotBeRemovedKeepsItsRowAlone) {
  RetentionOptions retention;
  retention.detections = absl::Hours(24 * 90);
  Make(retention);
  Detect("m-1", "A1234");
  const std::string image =
      folder_.path() + FirstRecord()["annotated_image"].get<std::string>();  // "/images/..."
  Detect("m-2", "B1234");
  fs::remove(image);
  fs::create_directory(image);  // Not removed by unlink, whoever asks.
  clock_.Advance(absl::Hours(24 * 91));
  bool more = false;
  EXPECT_EQ(Rows(*privacy_->Sweep(false, &more), KeptTable::kDetections), 1);
  EXPECT_EQ(Get("/api/records").json()["total_count"], 1);
}

}  // namespace
}  // namespace viaduct
