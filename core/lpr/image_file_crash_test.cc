// An edge that is killed between an image and its message: what was accepted is there, and nothing
// is there twice.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <nlohmann/json.hpp>
#include <set>

#include "core/base/testing/crash_child.h"
#include "core/lpr/image_file_sink_test_support.h"

namespace viaduct {
namespace {

using nlohmann::json;

constexpr int kMessages = 6;

std::string Vehicle(int number) { return JpegOf(5000 + static_cast<size_t>(number), number); }
std::string Plate(int number) { return JpegOf(2000 + static_cast<size_t>(number), number + 7); }

ImageFileOptions Options() {
  ImageFileOptions options;
  options.route = ImageRoute::kFile;
  options.from_bytes = 1000;
  return options;
}

// A life of an edge in a process of its own, to which a camera sends what has no OK yet; says on
// `out` what was accepted.
void Live(const std::string& folder, int first, int out) {
  ImageEdge edge(folder, Options());
  if (!edge.opened()) _exit(2);
  for (int i = first; i < kMessages; ++i) {
    if (!edge.Accept(DetectionOf(TestId(i), Vehicle(i), {Plate(i)})).status.ok()) _exit(2);
    const std::string line = absl::StrCat(i, "\n");
    if (write(out, line.data(), line.size()) < 0) _exit(3);
  }
  _exit(0);
}

// Returns the first message without an OK; `point` "": nothing kills it.
int LiveToTheCrash(const std::string& folder, int first, const std::string& point) {
  std::istringstream lines(RunToTheCrash(point, [&](int out) { Live(folder, first, out); }).said);
  for (std::string line; std::getline(lines, line);) first = std::stoi(line) + 1;
  return first;
}

std::vector<std::string> Points() {
  std::vector<std::string> points(std::begin(kImageCrashPoints), std::end(kImageCrashPoints));
  for (const char* more : {"transfer.add.before", "transfer.add.after", "transfer.commit.before",
                           "transfer.commit.after", "spool.append.before", "spool.commit.before",
                           "spool.commit.after"}) {
    points.emplace_back(more);
  }
  return points;
}

class ImageCrashTest : public testing::TestWithParam<std::string> {};

INSTANTIATE_TEST_SUITE_P(Points, ImageCrashTest, testing::ValuesIn(Points()), [](const auto& info) {
  std::string name = info.param;
  for (char& c : name) c = c == '.' ? '_' : c;
  return name;
});

// What a node finds that starts after all of it.
void Judge(const std::string& folder) {
  ImageEdge edge(folder, Options());
  ASSERT_TRUE(edge.opened());
  std::set<std::string> messages;
  std::set<std::string> named;
  for (const Envelope& message : edge.Messages()) {
    messages.insert(message.message_id);
    const json payload = json::parse(message.payload_json);
    EXPECT_EQ(payload["annotated_image"], nullptr);
    for (const json& file : payload["image_files"]) named.insert(file["transfer_id"]);
  }
  EXPECT_EQ(messages.size(), size_t{kMessages});
  EXPECT_EQ(named.size(), size_t{2 * kMessages});
  EXPECT_EQ(edge.Files().size(), size_t{2 * kMessages});
  for (const Transfer& file : edge.Files()) {
    EXPECT_EQ(named.count(file.id), 1u);
    const int number = std::stoi(file.message_id.substr(24));
    EXPECT_EQ(ReadText(file.local_path), file.kind == "image" ? Vehicle(number) : Plate(number));
  }
}

TEST_P(ImageCrashTest, LosesAndDoublesNothing) {
  const TransferTestFolder folder;
  int next = 0;
  int lives = 0;
  for (const int pass : {1, 2, 3, 1}) {
    next = LiveToTheCrash(folder.path(), next, absl::StrCat(GetParam(), ":", pass));
    ++lives;
    if (next == kMessages) break;
  }
  EXPECT_GE(lives, 2) << "nothing was killed";
  ASSERT_EQ(LiveToTheCrash(folder.path(), next, ""), kMessages);
  // In a process of its own: one that has passed a point reads no other plan any more.
  std::fflush(nullptr);
  const CrashedLife judge = RunToTheCrash("", [&](int /*out*/) {
    Judge(folder.path());
    std::fflush(nullptr);
    _exit(HasFailure() ? 1 : 0);
  });
  EXPECT_FALSE(judge.killed);
}

}  // namespace
}  // namespace viaduct
