#include "plugins/hailo_lpr/plate_reader.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "opencv2/imgproc.hpp"
#include "plugins/hailo_lpr/opencv_runner.h"

namespace viaduct::hailo_lpr {
namespace {

const TensorShape kInput = {{1, 1, 48, 160}};

std::string Model() { return std::string(HAILO_LPR_MODELS) + "/reader.onnx"; }

CtcOptions Options() {
  CtcOptions options;
  options.alphabet = ReaderAlphabet();
  options.classes_first = true;
  return options;
}

cv::Mat Plate(const std::string& text, cv::Size size) {
  cv::Mat plate(size, CV_8UC3, cv::Scalar::all(225));
  const int font = cv::FONT_HERSHEY_SIMPLEX;
  int base = 0;
  const double scale = size.height * 0.6 / 22;
  const int thickness = std::max(2, size.height / 9);
  const cv::Size extent = cv::getTextSize(text, font, scale, thickness, &base);
  cv::Mat wide(size.height, extent.width + size.height / 2, CV_8UC3, cv::Scalar::all(225));
  cv::putText(wide, text, cv::Point(size.height / 4, (size.height + extent.height) / 2), font,
              scale, cv::Scalar::all(25), thickness, cv::LINE_AA);
  cv::resize(wide, plate, size, 0, 0, cv::INTER_AREA);
  return plate;
}

TEST(ReaderAlphabet, HasDigitsLatinAndThai) {
  const std::vector<std::string> alphabet = ReaderAlphabet();
  ASSERT_EQ(alphabet.size(), 78u);
  EXPECT_EQ(alphabet[0], "0");
  EXPECT_EQ(alphabet[10], "A");
  EXPECT_EQ(alphabet[36], "ก");
  EXPECT_EQ(alphabet[77], "ฮ");
}

class PlateReaderTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto runner = OpenCvRunner::Load(Model(), kInput);
    ASSERT_TRUE(runner.ok()) << runner.status();
    reader_ = std::make_unique<PlateReader>(*std::move(runner), Options());
  }
  std::string Best(const cv::Mat& crop) {
    std::vector<Reading> readings;
    EXPECT_TRUE(reader_->ReadCrop(crop, &readings).ok());
    return readings.empty() ? "" : readings[0].text();
  }

  std::unique_ptr<PlateReader> reader_;
};

TEST_F(PlateReaderTest, ReadsWhatIsWritten) {
  EXPECT_EQ(Best(Plate("KRX 4725", {260, 60})), "KRX4725");
  EXPECT_EQ(Best(Plate("B 8H 339", {200, 46})), "B8H339");
}

TEST_F(PlateReaderTest, ReadsALineThatIsNotLevel) {
  const cv::Mat plate = Plate("KRX 4725", {260, 60});
  cv::Mat scene(400, 600, CV_8UC3, cv::Scalar::all(90));
  const float slope = 0.2F;
  const cv::Matx23f map(1, 0, 150, slope, 1, 150);
  cv::warpAffine(plate, scene, map, scene.size(), cv::INTER_LINEAR, cv::BORDER_TRANSPARENT);
  Detection found;
  found.box = {150, 150, 410, 150 + 60 + slope * 260};
  found.slope = slope;
  std::vector<Reading> readings;
  ASSERT_TRUE(reader_->Read(scene, found, &readings).ok());
  ASSERT_FALSE(readings.empty());
  EXPECT_EQ(readings[0].text(), "KRX4725");
}

TEST_F(PlateReaderTest, ReadsStackedLinesFromAboveToBelow) {
  cv::Mat scene(400, 600, CV_8UC3, cv::Scalar::all(225));
  Plate("KRX", {120, 60}).copyTo(scene(cv::Rect(200, 100, 120, 60)));
  Plate("4725", {160, 60}).copyTo(scene(cv::Rect(180, 180, 160, 60)));
  Detection found;
  found.box = {180, 100, 340, 240};
  found.lines.resize(2);
  found.lines[0].box = {200, 100, 320, 160};
  found.lines[1].box = {180, 180, 340, 240};
  std::vector<Reading> readings;
  ASSERT_TRUE(reader_->Read(scene, found, &readings).ok());
  ASSERT_FALSE(readings.empty());
  EXPECT_EQ(readings[0].text(), "KRX4725");
  EXPECT_LE(readings.size(), kMostReadings);
  for (size_t i = 1; i < readings.size(); ++i) {
    EXPECT_LE(readings[i].confidence, readings[i - 1].confidence);
  }
  std::vector<Reading> alone;
  ASSERT_TRUE(reader_->Read(scene, found.lines[1], &alone).ok());
  ASSERT_FALSE(alone.empty());
  EXPECT_LE(readings[0].confidence, alone[0].confidence);
  found.lines[0].box = {400, 20, 520, 80};  // Nothing stands there.
  ASSERT_TRUE(reader_->Read(scene, found, &readings).ok());
  EXPECT_TRUE(readings.empty());
}

TEST_F(PlateReaderTest, ReadsAPlateThatIsCutInTwoWays) {
  cv::Mat scene(400, 600, CV_8UC3, cv::Scalar::all(225));
  Plate("KRX 4725", {260, 60}).copyTo(scene(cv::Rect(200, 100, 260, 60)));
  Detection whole;
  whole.box = {200, 100, 460, 160};
  Detection blank;  // Nothing is to be seen in this one: the other counts.
  blank.box = {10, 200, 150, 240};
  blank.looks = {whole};
  std::vector<Reading> readings;
  ASSERT_TRUE(reader_->Read(scene, blank, &readings).ok());
  ASSERT_FALSE(readings.empty());
  EXPECT_EQ(readings[0].text(), "KRX4725");
  Detection part = whole;  // Of a text that both say, the more certain one counts.
  part.box.bottom = 145;
  part.looks = {whole};
  std::vector<Reading> alone;
  ASSERT_TRUE(reader_->Read(scene, whole, &alone).ok());
  ASSERT_FALSE(alone.empty());
  ASSERT_TRUE(reader_->Read(scene, part, &readings).ok());
  ASSERT_FALSE(readings.empty());
  EXPECT_LE(readings.size(), kMostReadings);
  for (size_t i = 1; i < readings.size(); ++i) {
    EXPECT_LE(readings[i].confidence, readings[i - 1].confidence);
    EXPECT_FALSE(readings[i].characters.empty());
  }
  EXPECT_GE(readings[0].confidence, std::min(alone[0].confidence, 0.9F));
}

TEST_F(PlateReaderTest, ReadsACompleteLineBeforeItsOutline) {
  cv::Mat scene(400, 600, CV_8UC3, cv::Scalar::all(225));
  Plate("B 8H 339", {200, 46}).copyTo(scene(cv::Rect(200, 100, 200, 46)));
  Detection outline;
  outline.box = {200, 100, 400, 146};
  std::vector<Reading> first;
  ASSERT_TRUE(reader_->Read(scene, outline, &first).ok());
  ASSERT_FALSE(first.empty());
  ASSERT_GE(first[0].confidence, 0.93F);  // What is read first counts.
  Detection line = outline;
  Plate("B 8H 339", {200, 46}).copyTo(scene(cv::Rect(200, 200, 200, 46)));
  cv::rectangle(scene, {200, 200, 70, 46}, cv::Scalar::all(225), cv::FILLED);
  line.box = Moved(line.box, 0, 100);  // Only a part of it stands there.
  std::vector<Reading> part;
  ASSERT_TRUE(reader_->Read(scene, line, &part).ok());
  ASSERT_FALSE(part.empty());
  const std::string text = part[0].text();
  ASSERT_NE(text, "B8H339");
  for (const size_t characters : {5U, 6U}) {
    line.characters = characters;
    outline.looks = {line};
    std::vector<Reading> readings;
    ASSERT_TRUE(reader_->Read(scene, outline, &readings).ok());
    const bool has_part = std::any_of(readings.begin(), readings.end(),
                                      [&](const Reading& one) { return one.text() == text; });
    EXPECT_EQ(has_part, characters == 6) << characters;
  }
}

TEST_F(PlateReaderTest, ReadsNothingWhereNothingIs) {
  EXPECT_EQ(Best(cv::Mat(60, 260, CV_8UC3, cv::Scalar::all(200))), "");
  EXPECT_EQ(Best(cv::Mat()), "");
  Detection outside;
  outside.box = {700, 700, 800, 720};
  std::vector<Reading> readings(1);
  ASSERT_TRUE(reader_->Read(cv::Mat(100, 100, CV_8UC1, cv::Scalar(0)), outside, &readings).ok());
  EXPECT_TRUE(readings.empty());
}

TEST(OpenCvRunner, SaysWhatIsWrongWithAModel) {
  EXPECT_TRUE(absl::IsNotFound(OpenCvRunner::Load("/nowhere/a.onnx", kInput).status()));
  const std::string path = ::testing::TempDir() + "/no_model.onnx";
  std::ofstream(path).close();
  EXPECT_TRUE(absl::IsInvalidArgument(OpenCvRunner::Load(path, kInput).status()));
  std::ofstream(path) << "this is no model";
  EXPECT_TRUE(absl::IsInvalidArgument(OpenCvRunner::Load(path, kInput).status()));
  const auto other = OpenCvRunner::Load(Model(), {{1, 1, 2, 160}});
  EXPECT_TRUE(absl::IsInvalidArgument(other.status())) << other.status();
}

}  // namespace
}  // namespace viaduct::hailo_lpr
