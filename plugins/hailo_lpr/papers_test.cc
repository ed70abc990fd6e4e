#include "plugins/hailo_lpr/papers.h"

#include <gtest/gtest.h>

#include <vector>

#include "opencv2/imgproc.hpp"
#include "plugins/hailo_lpr/character_lines.h"

namespace viaduct::hailo_lpr {
namespace {

Box BoxOf(const cv::Rect& rect) {
  return {static_cast<float>(rect.x), static_cast<float>(rect.y),
          static_cast<float>(rect.x + rect.width), static_cast<float>(rect.y + rect.height)};
}

// A plate of `paper` on bodywork, with characters of `ink` where `characters` are.
cv::Mat Scene(const cv::Rect& plate, const std::vector<cv::Rect>& characters, int paper, int ink) {
  cv::Mat scene(720, 1280, CV_8UC1, cv::Scalar(110));
  cv::rectangle(scene, plate, cv::Scalar(paper), cv::FILLED);
  for (const cv::Rect& character : characters) {
    cv::rectangle(scene, character, cv::Scalar(ink), 4);
  }
  return scene;
}

const cv::Rect kPlate(600, 300, 136, 60);
// Two figures; before them a letter whose tail touches the words below.
const std::vector<cv::Rect> kCharacters = {{680, 310, 14, 24}, {702, 310, 14, 24}};

float BestIou(const std::vector<Paper>& papers, const Box& box) {
  float best = 0;
  for (const Paper& paper : papers) best = std::max(best, Iou(paper.box, box));
  return best;
}

TEST(PaperFinder, FindsLighterAndDarkerOnes) {
  PaperFinder finder;
  for (const auto& [paper, ink] : {std::pair(220, 20), std::pair(30, 230)}) {
    const std::vector<Paper>& found = finder.Find(Scene(kPlate, kCharacters, paper, ink));
    EXPECT_GE(BestIou(found, BoxOf(kPlate)), 0.9F) << paper;
    EXPECT_GE(found[0].levels, 3) << paper;
    EXPECT_NEAR(found[0].slope, 0, 0.02F);
  }
}

TEST(PaperFinder, FollowsASlope) {
  const cv::Mat flat = Scene(kPlate, {}, 220, 20);
  cv::Mat scene;
  const float slope = 0.2F;
  cv::warpAffine(flat, scene, cv::Matx23f(1, 0, 0, slope, 1, 0), flat.size(), cv::INTER_LINEAR,
                 cv::BORDER_REPLICATE);
  PaperFinder finder;
  const std::vector<Paper>& found = finder.Find(scene);
  ASSERT_FALSE(found.empty());
  EXPECT_NEAR(found[0].slope, slope, 0.04F);
  EXPECT_NEAR(found[0].height(), 60, 5);
}

TEST(PaperFinder, FindsAColouredOneThatIsAsBrightAsWhatIsAroundIt) {
  cv::Mat scene(720, 1280, CV_8UC3, cv::Scalar(128, 128, 128));
  const cv::Scalar green(80, 148, 98);  // Of the same grey.
  cv::rectangle(scene, kPlate, green, cv::FILLED);
  PaperFinder finder;
  EXPECT_GE(BestIou(finder.Find(scene), BoxOf(kPlate)), 0.9F);
}

TEST(PaperFinder, TakesNoiseAndSmallPictures) {
  PaperFinder finder;
  for (const cv::Size size :
       {cv::Size(1, 1), cv::Size(2000, 3), cv::Size(3, 2000), cv::Size(700, 700)}) {
    cv::Mat noise(size, CV_8UC1);
    cv::randu(noise, 0, 256);
    EXPECT_LE(finder.Find(noise).size(), PaperFinder::kMostPapers) << size;
  }
}

TEST(CountCharacters, CountsThoseOfOneHeightOnOneLine) {
  Paper paper;
  paper.box = BoxOf(kPlate);
  std::vector<Paper> papers = {paper};
  std::vector<Shape> shapes;
  for (const float left : {610.0F, 640.0F, 680.0F}) shapes.push_back({left, 310, 14, 24});
  shapes.push_back({700, 310, 5, 8});    // A screw,
  shapes.push_back({705, 330, 14, 24});  // another line,
  shapes.push_back({900, 310, 14, 24});  // and elsewhere.
  CountCharacters(shapes, 1, &papers);
  EXPECT_EQ(papers[0].characters, 3u);
  CountCharacters({}, 1, &papers);
  EXPECT_EQ(papers[0].characters, 3u);  // The most of all contrasts.
}

TEST(CountCharacters, LeavesOutTheRestOfVeryMany) {
  Paper paper;
  paper.box = BoxOf(kPlate);
  std::vector<Paper> papers = {paper};
  std::vector<Shape> shapes;
  for (int i = 0; i < 2000; ++i) shapes.push_back({610 + static_cast<float>(i) / 20, 310, 14, 24});
  CountCharacters(shapes, 1, &papers);
  EXPECT_LE(papers[0].characters, 64u);
}

TEST(JoinPapers, MakesOnePlateOfAPaperAndTheLineOnIt) {
  Paper paper;
  paper.box = BoxOf(kPlate);
  Detection on;
  on.box = {672, 300, 726, 344};
  on.score = 4;
  Detection elsewhere = on;
  elsewhere.box = Moved(on.box, 300, 0);
  const std::vector<Detection> plates = JoinPapers({paper}, {on, elsewhere});
  ASSERT_EQ(plates.size(), 2u);
  EXPECT_GE(Iou(plates[0].box, BoxOf(kPlate)), 0.99F);
  ASSERT_EQ(plates[0].looks.size(), 1u);
  EXPECT_EQ(plates[0].looks[0].box.left, on.box.left);
  ASSERT_FALSE(plates[0].words.empty());
  EXPECT_EQ(plates[1].box.left, elsewhere.box.left);
  EXPECT_TRUE(plates[1].looks.empty());
}

TEST(JoinPapers, TakesNoBodyworkAroundAPlateForThePlate) {
  Paper paper;
  paper.box = {500, 280, 900, 400};
  Detection on;
  on.box = {600, 300, 800, 380};
  on.score = 7;
  on.characters = 7;
  std::vector<Detection> plates = JoinPapers({paper}, {on});
  ASSERT_EQ(plates.size(), 1u);
  EXPECT_GT(Iou(plates[0].box, on.box), 0.5F);
  EXPECT_GT(Iou(plates[0].box, paper.box), 0.5F);
  // A line at its side is a part of what stands there.
  on.box = Moved(on.box, 80, 0);
  plates = JoinPapers({paper}, {on});
  ASSERT_EQ(plates.size(), 1u);
  EXPECT_GT(Iou(plates[0].box, paper.box), 0.99F);
}

TEST(JoinPapers, LeavesOutWhatHasNoCharacters) {
  Paper paper;
  paper.box = BoxOf(kPlate);
  paper.characters = 1;
  EXPECT_TRUE(JoinPapers({paper}, {}).empty());
}

TEST(JoinPapers, APoorLineIsAPlateOnlyOnAPaper) {
  Paper paper;
  paper.box = BoxOf(kPlate);
  Detection poor;
  poor.box = {672, 300, 726, 344};
  poor.score = 3;
  EXPECT_TRUE(JoinPapers({}, {poor}).empty());
  EXPECT_EQ(JoinPapers({paper}, {poor}).size(), 1u);
}

TEST(JoinPapers, LeavesOutAHighPaperWithTwoCharacters) {
  Paper paper;
  paper.box = BoxOf({600, 300, 130, 110});
  paper.characters = 2;
  EXPECT_TRUE(JoinPapers({paper}, {}).empty());
  paper.characters = 3;
  EXPECT_EQ(JoinPapers({paper}, {}).size(), 1u);
}

TEST(TrimLines, CutsAHighPaperInTwoLines) {
  const cv::Rect plate(600, 300, 130, 110);
  Paper paper;
  paper.box = BoxOf(plate);
  paper.characters = 4;
  const cv::Mat scene =
      Scene(plate, {{640, 316, 20, 30}, {670, 316, 20, 30}, {655, 366, 20, 30}}, 220, 20);
  std::vector<Detection> plates = JoinPapers({paper}, {});
  TrimLines(scene, &plates);
  ASSERT_EQ(plates.size(), 1u);
  EXPECT_TRUE(plates[0].looks.empty());
  const std::vector<Detection>& lines = plates[0].lines;
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_LE(lines[0].box.bottom, lines[1].box.top + 1);
  // As wide as what stands there, and a margin.
  EXPECT_LT(lines[1].box.width(), 70);
  EXPECT_LT(lines[1].box.left, 655);
  EXPECT_GT(lines[1].box.right, 675);
}

TEST(TrimLines, LeavesLinesThatWereFoundByTheirCharacters) {
  Detection line;
  line.box = {600, 300, 730, 330};
  line.characters = 4;
  std::vector<Detection> plates(1);
  plates[0].lines = {line, line};
  TrimLines(Scene(kPlate, kCharacters, 220, 20), &plates);
  EXPECT_EQ(plates[0].lines[0].box.left, line.box.left);
  EXPECT_EQ(plates[0].lines[0].box.right, line.box.right);
}

TEST(CharacterLines, FindsAPlateWithFewCharactersByItsOutline) {
  CharacterLines lines;
  std::vector<Detection> found;
  ASSERT_TRUE(lines.Detect(Scene(kPlate, kCharacters, 220, 20), &found).ok());
  ASSERT_FALSE(found.empty());
  EXPECT_GE(Iou(found[0].box, BoxOf(kPlate)), 0.9F);
}

}  // namespace
}  // namespace viaduct::hailo_lpr
