#include "host/eval/truth.h"

#include <filesystem>
#include <fstream>
#include <string>

#include "core/base/test_folder.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace viaduct::eval {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

void Write(const std::string& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
}

TEST(Truth, ReadsPlatesWithAndWithoutProvince) {
  const auto plates =
      ParseTruth("a.jpg\t10\t20\t30\t8\tAB123\nb.jpg\t-2\t0\t9.5\t4\t1กข12\tกระบี่\r\n\n");
  ASSERT_TRUE(plates.ok()) << plates.status();
  ASSERT_THAT(*plates, SizeIs(2));
  EXPECT_EQ((*plates)[0].text, "AB123");
  EXPECT_EQ((*plates)[0].box.right, 40);
  EXPECT_EQ((*plates)[0].box.bottom, 28);
  EXPECT_EQ((*plates)[0].province, "");
  EXPECT_EQ((*plates)[1].box.left, -2);
  EXPECT_EQ((*plates)[1].province, "กระบี่");
  EXPECT_THAT(*ParseTruth(""), SizeIs(0));
}

TEST(Truth, NamesTheLineThatItCanNotRead) {
  for (const std::string line :
       {"one word", "a\t1\t2\t3\t4", "a\t1\t2\tx\t4\tAB", "a\t1\t2\t0\t4\tAB", "a\t1\t2\t3\t-4\tAB",
        "a\t1\t2\t3\t4\t", "a\t1\t2\tnan\t4\tAB", "a\t1\t2\t1e99\t4\tAB",
        "a\t1\t2\t3\t4\tA\tB\tC"}) {
    const auto plates = ParseTruth("a.jpg\t1\t2\t3\t4\tAB\n" + line + "\n");
    EXPECT_TRUE(absl::IsInvalidArgument(plates.status())) << line;
    EXPECT_THAT(std::string(plates.status().message()), HasSubstr("line 2"));
  }
  std::string many;
  for (size_t i = 0; i <= kMaxPlates; ++i) many += "a\t1\t2\t3\t4\tAB\n";
  EXPECT_TRUE(absl::IsInvalidArgument(ParseTruth(many).status()));
}

TEST(Truth, AFolderAndTheFoldersInItAreSets) {
  const TestFolder folder;
  const std::string& root = folder.path();
  for (const char* name : {"/eu", "/us", "/empty"}) {
    ASSERT_TRUE(std::filesystem::create_directory(root + name));
  }
  Write(root + "/a.jpg", "x");
  Write(root + "/a.txt", "a.jpg\t1\t2\t3\t4\tAB\n");
  Write(root + "/notes.txt", "no picture is called so");
  Write(root + "/eu/b.PNG", "x");
  Write(root + "/eu/b.txt", "");
  Write(root + "/eu/c.jpeg", "x");
  Write(root + "/us/d.jpg", "x");
  Write(root + "/us/d.txt", "nonsense");
  Write(root + "/us/e.jpg", "x");
  Write(root + "/us/e.txt", std::string(kMaxTruthBytes + 1, 'x'));
  const auto sets = ReadSets(root);
  ASSERT_TRUE(sets.ok()) << sets.status();
  ASSERT_THAT(*sets, SizeIs(3));
  EXPECT_THAT((*sets)[0].pictures, SizeIs(1));
  EXPECT_EQ((*sets)[0].pictures[0].name, "a.jpg");
  EXPECT_EQ((*sets)[1].name, "eu");
  ASSERT_THAT((*sets)[1].pictures, SizeIs(1));
  EXPECT_EQ((*sets)[1].pictures[0].name, "eu/b.PNG");
  EXPECT_THAT((*sets)[1].pictures[0].plates, SizeIs(0));
  EXPECT_THAT((*sets)[1].without, ElementsAre("eu/c.jpeg"));
  EXPECT_THAT((*sets)[2].pictures, SizeIs(0));
  EXPECT_THAT((*sets)[2].bad, ElementsAre(HasSubstr("d.txt: line 1"), HasSubstr("e.txt: more")));
}

TEST(Truth, SaysWhereThereIsNothing) {
  const TestFolder folder;
  EXPECT_TRUE(absl::IsNotFound(ReadSets(folder.path() + "/nowhere").status()));
  EXPECT_TRUE(absl::IsNotFound(ReadSets(folder.path()).status()));
}

}  // namespace
}  // namespace viaduct::eval
