#include "plugins/hailo_lpr/models.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <utility>

#include "plugins/hailo_lpr/analyser.h"
#include "plugins/hailo_lpr/testing/drawn_plates.h"

namespace viaduct::hailo_lpr {
namespace {

namespace fs = std::filesystem;

using ::testing::HasSubstr;

class ModelsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "vd-models-XXXXXX").string();
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
    options_.data = HAILO_LPR_FOLDER;
  }
  void TearDown() override { fs::remove_all(folder_); }

  std::string Write(const std::string& name, const std::string& text) {
    std::ofstream(folder_ / name, std::ios::binary) << text;
    return (folder_ / name).string();
  }
  std::string Facts() {
    std::ifstream file(std::string(HAILO_LPR_FOLDER) + "/models/reader.yaml");
    return {std::istreambuf_iterator<char>(file), {}};
  }
  absl::Status Load() { return LoadModels(options_).status(); }

  fs::path folder_;
  ModelOptions options_;
};

TEST_F(ModelsTest, TheInstalledOnes) {
  options_.grammars = {"th", "eu"};
  options_.vehicle_finder = VehicleFinder::kMotion;
  const absl::StatusOr<Models> models = LoadModels(options_);
  ASSERT_TRUE(models.ok()) << models.status();
  EXPECT_EQ(models->grammars.size(), 2u);
  EXPECT_GT(models->reject_below, 0.5F);
  EXPECT_TRUE(models->vehicles_by_motion);
}

TEST_F(ModelsTest, WhatIsMissingIsNamed) {
  options_.data = folder_.string();
  EXPECT_TRUE(absl::IsNotFound(Load()));
  EXPECT_THAT(std::string(Load().message()), HasSubstr("reader.yaml"));
  options_.data = HAILO_LPR_FOLDER;
  options_.reader = (folder_ / "own.onnx").string();
  Write("own.yaml", Facts());
  EXPECT_TRUE(absl::IsNotFound(Load())) << Load();
  EXPECT_THAT(std::string(Load().message()), HasSubstr("own.onnx"));
  options_.reader.clear();
  options_.grammars = {"atlantis"};
  EXPECT_TRUE(absl::IsNotFound(Load()));
  options_.grammars.clear();
  options_.plate_model = "/nowhere.onnx";
  EXPECT_TRUE(absl::IsNotFound(Load()));
}

TEST_F(ModelsTest, AFileThatIsNoModelIsRefused) {
  options_.reader = Write("own.onnx", "this is no model");
  Write("own.yaml", Facts());
  EXPECT_TRUE(absl::IsInvalidArgument(Load())) << Load();
  options_.reader = Write("own.onnx", "");
  EXPECT_TRUE(absl::IsInvalidArgument(Load())) << Load();
}

// At the start, not with the first plate.
TEST_F(ModelsTest, AModelWithAnotherInputOrOutputIsRefused) {
  const std::string models = std::string(HAILO_LPR_FOLDER) + "/models/";
  // The alphabet has a letter less than the model has classes.
  std::string facts = Facts();
  fs::copy_file(models + "reader.onnx", folder_ / "own.onnx");
  options_.reader = (folder_ / "own.onnx").string();
  const size_t letter = facts.find("ABC");
  Write("own.yaml", facts.substr(0, letter) + facts.substr(letter + 1));
  EXPECT_TRUE(absl::IsInvalidArgument(Load())) << Load();
  EXPECT_THAT(std::string(Load().message()), HasSubstr("own.onnx"));
  Write("own.yaml", facts);
  EXPECT_TRUE(Load().ok()) << Load();
  // A reader is no detector.
  options_.reader.clear();
  options_.plate_model = models + "reader.onnx";
  EXPECT_FALSE(Load().ok());
  EXPECT_THAT(std::string(Load().message()), HasSubstr("reader.onnx"));
}

// Small, and what it reads means nothing.
TEST_F(ModelsTest, AReaderOfOnesOwn) {
  options_.reader = (folder_ / "own.onnx").string();
  fs::copy_file(std::string(HAILO_LPR_FOLDER) + "/hailo/testing/models/slots_planes.onnx",
                options_.reader);
  const std::string characters = "characters: 0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_\n";
  const std::string facts = "width: 32\nheight: 16\nreject_below: 0.5\n";
  Write("own.yaml", facts + characters + "output: slots\n");
  absl::StatusOr<Models> models = LoadModels(options_);
  ASSERT_TRUE(models.ok()) << models.status();
  EXPECT_EQ(models->runners.size(), 1u);
  EXPECT_EQ(models->reject_below, 0.5F);
  Detection whole;
  whole.box = {0, 0, 120, 30};
  std::vector<Reading> readings;
  const absl::Status read =
      models->reader->Read(testing::DrawPlate("KX75BN", 120), whole, &readings);
  EXPECT_TRUE(read.ok()) << read;
  Write("own.yaml", facts + "characters: ABC\noutput: slots\nchannels: 2\n");
  EXPECT_TRUE(absl::IsInvalidArgument(Load())) << Load();
  Write("own.yaml", facts + characters + "output: unheard_of\n");
  EXPECT_TRUE(absl::IsInvalidArgument(Load())) << Load();
}

// They are small and find nothing that means anything, but where they are told.
TEST_F(ModelsTest, DetectorsOfOnesOwn) {
  const std::string detectors = std::string(HAILO_LPR_FOLDER) + "/hailo/testing/models/";
  options_.vehicle_finder = VehicleFinder::kModel;
  options_.vehicle_model = detectors + "yolo8.onnx";
  options_.plate_model = detectors + "yolo8_heads.onnx";
  options_.vehicle_width = options_.plate_width = 96;
  options_.vehicle_height = options_.plate_height = 64;
  options_.vehicle_labels = {"car", ""};
  options_.min_vehicle_score = options_.min_plate_score = 0.05F;
  absl::StatusOr<Models> models = LoadModels(options_);
  ASSERT_TRUE(models.ok()) << models.status();
  EXPECT_EQ(models->runners.size(), 4u);  // With those that read.
  PlateOptions any;
  any.min_width = any.min_height = 1;
  Analyser analyser(*std::move(models), any);
  Analysis analysis;
  const cv::Mat picture = testing::DrawStreet({640, 360}, {{"KX75BN", {320, 200}}});
  const absl::Status looked = analyser.Analyse(picture, {}, &analysis);
  ASSERT_TRUE(looked.ok()) << looked;
  ASSERT_FALSE(analysis.vehicles.empty());
  EXPECT_LE(analysis.plates.size(), Analyser::kMostPlates);
  for (const Vehicle& vehicle : analysis.vehicles) EXPECT_EQ(vehicle.label, "car");
  for (const PlateSeen& plate : analysis.plates) EXPECT_LE(plate.plate.box.right, 641);
  options_.plate_output = "nms";
  EXPECT_TRUE(absl::IsInvalidArgument(Load())) << Load();
}

TEST_F(ModelsTest, FactsThatMakeNoSense) {
  for (const char* yaml :
       {"", "width: 0\nheight: 48\ntemperature: 1\nreject_below: 0.5\ncharacters: AB",
        "width: 160\nheight: 48\ntemperature: 0\nreject_below: 0.5\ncharacters: AB",
        "width: 160\nheight: 48\ntemperature: 1\nreject_below: 7\ncharacters: AB",
        "width: 160\nheight: 48\ntemperature: 1\nreject_below: 0.5\ncharacters: ''", "width: wide",
        "[1, 2", "{"}) {
    EXPECT_TRUE(absl::IsInvalidArgument(ParseReaderFacts(yaml).status())) << yaml;
  }
  const absl::StatusOr<ReaderFacts> facts = ParseReaderFacts(
      "width: 160\nheight: 48\ntemperature: 0.8\nreject_below: 0.5\ncharacters: A1ก");
  ASSERT_TRUE(facts.ok()) << facts.status();
  EXPECT_THAT(facts->alphabet, ::testing::ElementsAre("A", "1", "ก"));
}

}  // namespace
}  // namespace viaduct::hailo_lpr
