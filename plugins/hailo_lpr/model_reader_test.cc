#include "plugins/hailo_lpr/model_reader.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "plugins/hailo_lpr/hailo/testing/hailo_test_support.h"
#include "plugins/hailo_lpr/opencv_runner.h"

namespace viaduct::hailo_lpr {
namespace {

const std::vector<std::string> kLetters = {"A", "B"};

Detection Character(float left, float top, int label, float score = 1) {
  Detection one;
  one.box = {left, top, left + 8, top + 20};
  one.label = label;
  one.score = score;
  return one;
}

TEST(JoinCharacters, ReadsRowsFromTheLeft) {
  const Reading reading = JoinCharacters({Character(30, 12, 0, .5F), Character(10, 10, 1),
                                          Character(20, 11, 1, .8F), Character(40, 11, 7)},
                                         kLetters);
  EXPECT_EQ(reading.text(), "BBA");
  EXPECT_FLOAT_EQ(reading.confidence, .4F);
  EXPECT_FLOAT_EQ(reading.characters[1].confidence, .8F);
  // Two rows.
  EXPECT_EQ(JoinCharacters({Character(10, 40, 0), Character(30, 10, 1), Character(20, 12, 0),
                            Character(30, 41, 1)},
                           kLetters)
                .text(),
            "ABAB");
  EXPECT_EQ(JoinCharacters({}, kLetters).confidence, 0);
}

// Behind each form a model of the double, so that the runner is a real one.
class ModelReaderTest : public HailoTest {
 protected:
  std::unique_ptr<Runner> Load(hailort::DoubleModel model) {
    ModelSpec spec;
    spec.path = AddModel("reader.hef", std::move(model));
    BackendHealth health;
    auto runner = HailoRunner::Load(spec, device_, &health);
    EXPECT_TRUE(runner.ok()) << runner.status();
    return *std::move(runner);
  }
  absl::Status Read(const hailort::DoubleModel& model, const ReaderOptions& options,
                    std::vector<Reading>* readings) {
    const auto reader = ModelReader::Create(Load(model), options);
    if (!reader.ok()) return reader.status();
    Detection whole;
    whole.box = {0, 0, 200, 60};
    return (*reader)->Read(SomePicture({200, 60}, 3, 5), whole, readings);
  }
  static hailort::DoubleModel Ours() {
    hailort::DoubleModel model;
    model.onnx = std::string(HAILO_LPR_MODELS) + "/reader.onnx";
    model.input = kReaderInput;
    return model;
  }

  std::shared_ptr<HailoDevice> device_ = MakeDevice();
  std::vector<Reading> readings_;
};

TEST_F(ModelReaderTest, CtcIsToldByTheAlphabet) {
  ReaderOptions options;
  options.alphabet = ReaderAlphabet();
  EXPECT_TRUE(Read(Ours(), options, &readings_).ok());
  EXPECT_FALSE(readings_.empty());
  options.alphabet.pop_back();
  EXPECT_TRUE(absl::IsInvalidArgument(Read(Ours(), options, &readings_)));
}

TEST_F(ModelReaderTest, CharactersAreRead) {
  hailort::DoubleModel model = DetectorModel("yolo8.onnx");
  model.form = TensorForm::kNmsByClass;
  model.classes = 2;
  model.most_of_a_class = 100;
  ReaderOptions options;
  options.alphabet = kLetters;
  options.decode.least_score = 0.05F;
  ASSERT_TRUE(Read(model, options, &readings_).ok());
  ASSERT_EQ(readings_.size(), 1U);
  EXPECT_EQ(readings_[0].text().find_first_not_of("AB"), std::string::npos);
  options.output = "ctc";
  EXPECT_TRUE(absl::IsInvalidArgument(Read(model, options, &readings_)));
  options.decode.least_score = 2;  // Nothing there.
  options.output = "characters";
  ASSERT_TRUE(Read(model, options, &readings_).ok());
  EXPECT_TRUE(readings_.empty());
}

// 300x75, five rows of 19 places with ten digits and a blank.
TEST_F(ModelReaderTest, LprnetReadsTheSameOnACpu) {
  hailort::DoubleModel model;
  model.onnx = std::string(HAILO_LPR_TEST_MODELS) + "/lprnet.onnx";
  model.input.sizes = {1, 3, 75, 300};
  ReaderOptions options;
  for (char digit = '0'; digit <= '9'; ++digit) options.alphabet.emplace_back(1, digit);
  options.blank = 10;
  ASSERT_TRUE(Read(model, options, &readings_).ok());
  ASSERT_FALSE(readings_.empty());
  EXPECT_NE(readings_[0].text(), "");
  auto runner = OpenCvRunner::Load(model.onnx, model.input);
  ASSERT_TRUE(runner.ok()) << runner.status();
  const auto reader = ModelReader::Create(*std::move(runner), options);
  ASSERT_TRUE(reader.ok()) << reader.status();
  Detection whole;
  whole.box = {0, 0, 200, 60};
  std::vector<Reading> by_cpu;
  ASSERT_TRUE((*reader)->Read(SomePicture({200, 60}, 3, 5), whole, &by_cpu).ok());
  ASSERT_EQ(by_cpu.size(), readings_.size());
  for (size_t i = 0; i < by_cpu.size(); ++i) {
    EXPECT_EQ(by_cpu[i].text(), readings_[i].text());
    EXPECT_NEAR(by_cpu[i].confidence, readings_[i].confidence, 1e-6F);
  }
}

TEST_F(ModelReaderTest, SaysWhatIsWrong) {
  ReaderOptions options;
  EXPECT_TRUE(absl::IsInvalidArgument(Read(Ours(), options, &readings_)));
  options.alphabet = ReaderAlphabet();
  options.output = "words";
  EXPECT_TRUE(absl::IsInvalidArgument(Read(Ours(), options, &readings_)));
  options.output = "characters";
  EXPECT_TRUE(absl::IsInvalidArgument(Read(Ours(), options, &readings_)));
}

// Rows of scores as LPRNet leaves them: 3 rows, 4 places, 3 classes.
class RowsOfScores final : public Runner {
 public:
  explicit RowsOfScores(bool channels_last) {
    Tensor& output = tensor_;
    output.channels_last = channels_last;
    output.shape.sizes =
        channels_last ? std::vector<int>{1, 3, 4, 3} : std::vector<int>{1, 3, 3, 4};
    output.values.assign(36, 0);
    const std::vector<int> classes = {0, 2, 1, 0};  // Blank last: A, blank, B, A.
    for (int row = 0; row < 3; ++row) {
      for (int place = 0; place < 4; ++place) {
        // One row is of another opinion, less strongly.
        const int says = row == 1 ? 2 : classes[static_cast<size_t>(place)];
        const int at = channels_last ? (row * 4 + place) * 3 + says : (says * 3 + row) * 4 + place;
        output.values[static_cast<size_t>(at)] = row == 1 ? 4 : 9;
      }
    }
    infos_ = {static_cast<const TensorInfo&>(output)};
  }
  const TensorShape& input() const override { return input_; }
  const std::vector<TensorInfo>& outputs() const override { return infos_; }
  absl::Status Run(const cv::Mat&, std::vector<Tensor>* outputs) override {
    *outputs = {tensor_};
    return absl::OkStatus();
  }
  absl::Status RunPicture(const cv::Mat& picture, std::vector<Tensor>* outputs) override {
    return Run(picture, outputs);
  }
  BackendHealth health() const override { return {}; }

 private:
  const TensorShape input_ = {{1, 3, 75, 300}};
  Tensor tensor_;
  std::vector<TensorInfo> infos_;
};

TEST(ModelReader, RowsOfScoresAreAveraged) {
  for (const bool channels_last : {true, false}) {
    ReaderOptions options;
    options.alphabet = kLetters;
    options.blank = 2;
    const auto reader = ModelReader::Create(std::make_unique<RowsOfScores>(channels_last), options);
    ASSERT_TRUE(reader.ok()) << reader.status();
    Detection whole;
    whole.box = {0, 0, 100, 30};
    std::vector<Reading> readings;
    for (int i = 0; i < 2; ++i) {
      ASSERT_TRUE((*reader)->Read(SomePicture({100, 30}, 3), whole, &readings).ok());
      ASSERT_FALSE(readings.empty());
      EXPECT_EQ(readings[0].text(), "ABA");
    }
    whole.box = {300, 0, 400, 30};
    ASSERT_TRUE((*reader)->Read(SomePicture({100, 30}, 3), whole, &readings).ok());
    EXPECT_TRUE(readings.empty());
  }
}

}  // namespace
}  // namespace viaduct::hailo_lpr
