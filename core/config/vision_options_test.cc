#include "core/config/vision_options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "core/config/plan.h"
#include "core/config/test_environment.h"
#include "core/config/validate.h"

namespace viaduct {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr char kInstances[] = R"(
node: {id: CAM001}
instances: [{name: camera, plugin: cam}, {name: plates, plugin: eye}, {name: more, plugin: eye}]
)";

class VisionOptionsTest : public ::testing::Test {
 protected:
  ConfigReport Validate(const std::string& yaml) {
    return ConfigValidator(&schemas_, &environment_).Validate(kInstances + yaml, "f.yaml");
  }
  NodeConfig Read(const std::string& yaml) {
    const ConfigReport report = Validate(yaml);
    EXPECT_TRUE(report.ok()) << report.status();
    return report.ok() ? *report.config : NodeConfig();
  }

  FakeSchemas schemas_;
  FakeEnvironment environment_;
};

TEST_F(VisionOptionsTest, NoPicturesAreTakenUnlessItIsAskedFor) {
  EXPECT_THAT(ReadFeeds(Read("")), IsEmpty());
  EXPECT_THAT(ReadFeeds(Read("vision:\n")), IsEmpty());
}

TEST_F(VisionOptionsTest, HasSensibleDefaults) {
  const auto feeds = ReadFeeds(Read("vision: {feeds: [{source: camera, infer: [plates]}]}"));
  ASSERT_THAT(feeds, SizeIs(1));
  FeedOptions expected;
  expected.source = "camera";
  expected.infer = {"plates"};
  expected.device = "CAM001";
  EXPECT_EQ(feeds[0], expected);
}

TEST_F(VisionOptionsTest, ReadsWhatIsGiven) {
  const auto feeds = ReadFeeds(Read(R"(
vision:
  feeds:
    - {source: camera, infer: [plates, more], options: {annotated: true, min: 0.5}, waiting: 2,
       deadline: 500ms, results: all, device: CAM007, checkpoint: GATE1, priority: high}
)"));
  ASSERT_THAT(feeds, SizeIs(1));
  EXPECT_THAT(feeds[0].infer, ElementsAre("plates", "more"));
  EXPECT_EQ(feeds[0].options_json, R"({"annotated":true,"min":0.5})");
  EXPECT_EQ(feeds[0].waiting, 2u);
  EXPECT_EQ(feeds[0].deadline, absl::Milliseconds(500));
  EXPECT_EQ(feeds[0].results, FeedResults::kAll);
  EXPECT_EQ(feeds[0].device, "CAM007");
  EXPECT_EQ(feeds[0].checkpoint, "GATE1");
  EXPECT_EQ(feeds[0].priority, "high");
}

TEST_F(VisionOptionsTest, NamesInstancesThatAreThereAndEachSourceOnce) {
  const ConfigReport report = Validate(R"(
vision:
  feeds:
    - {source: camara, infer: [plates]}
    - {source: camera, infer: [more, plate]}
    - {source: camera, infer: [plates]}
)");
  std::vector<std::string> texts;
  for (const Finding& finding : report.findings) {
    if (finding.severity != FindingSeverity::kError) continue;
    texts.push_back(absl::StrCat(finding.code, " ", finding.pointer, ": ", finding.text));
  }
  EXPECT_THAT(
      texts,
      ElementsAre(
          R"(unknown_reference /vision/feeds/0/source: there is no instance "camara", did you mean "camera"?)",
          R"(unknown_reference /vision/feeds/1/infer/1: there is no instance "plate", did you mean "plates"?)",
          HasSubstr("duplicate_name /vision/feeds/2/source: two feeds have the source")));
}

TEST_F(VisionOptionsTest, RefusesWhatCannotBe) {
  for (const char* bad :
       {"infer: [], source: camera", "source: camera", "source: camera, infer: [plates, plates]",
        "source: camera, infer: [plates], waiting: 0",
        "source: camera, infer: [plates], deadline: 1h",
        "source: camera, infer: [plates], results: some",
        "source: camera, infer: [plates], options: 5"}) {
    EXPECT_FALSE(Validate(absl::StrCat("vision: {feeds: [{", bad, "}]}")).ok()) << bad;
  }
}

TEST_F(VisionOptionsTest, AreTakenOverWhileTheNodeRuns) {
  const auto plan =
      PlanChange(Read("vision: {feeds: [{source: camera, infer: [plates]}]}"),
                 Read("vision: {feeds: [{source: camera, infer: [plates], options: {a: 1}}]}"));
  ASSERT_THAT(plan, SizeIs(4)) << "the instances are untouched";
  EXPECT_EQ(plan[3].subject, "vision");
  EXPECT_EQ(plan[3].kind, EffectKind::kApply);
  EXPECT_EQ(plan[3].text, "changed: vision.feeds");
  EXPECT_FALSE(NeedsNodeRestart(plan));
}

}  // namespace
}  // namespace viaduct
