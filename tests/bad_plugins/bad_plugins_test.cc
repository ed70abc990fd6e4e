// Proves every line of README.md's tables.
#include <sys/wait.h>

#include <cstdio>
#include <cstring>
#include <fstream>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "core/plugin/probe_child.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace viaduct {
namespace {

using ::testing::HasSubstr;

constexpr absl::Duration kProbeLimit = absl::Seconds(1);

struct Row {
  std::string plugin;
  std::string second;  // What is wrong, or a test of viaduct-check.
  std::string says;
};

std::string PathOf(const std::string& plugin) {
  return absl::StrCat(BAD_PLUGINS_FOLDER, "/", plugin, ".so");
}

std::string WithoutTicks(std::string text) {
  absl::StripAsciiWhitespace(&text);
  if (text.size() > 1 && text.front() == '`') text = text.substr(1, text.size() - 2);
  return text;
}

// The rows of the table below a heading. A text in a cell has no '|'.
std::vector<Row> RowsBelow(const std::string& heading) {
  std::ifstream in(BAD_PLUGINS_README);
  std::vector<Row> rows;
  bool here = false;
  for (std::string line; std::getline(in, line);) {
    if (absl::StartsWith(line, "## ")) here = line == "## " + heading;
    if (!here || !absl::StartsWith(line, "| `")) continue;
    const std::vector<std::string> cells = absl::StrSplit(line, '|');
    if (cells.size() < 5) continue;
    rows.push_back({WithoutTicks(cells[1]), WithoutTicks(cells[2]), WithoutTicks(cells[3])});
  }
  return rows;
}

// What a command prints, both streams; a signal that ended it is told at the end.
std::string OutputOf(const std::string& command, int* exit_code) {
  std::FILE* const pipe = popen(absl::StrCat("exec ", command, " 2>&1").c_str(), "r");
  std::string output;
  char block[4096];
  for (size_t size = 0; (size = fread(block, 1, sizeof(block), pipe)) > 0;) {
    output.append(block, size);
  }
  const int status = pclose(pipe);
  *exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  if (WIFSIGNALED(status)) absl::StrAppend(&output, "killed: ", strsignal(WTERMSIG(status)), "\n");
  return output;
}

TEST(BadPlugins, AreRefusedWithTheReasonOfTheTable) {
  const std::vector<Row> rows = RowsBelow("Refused when loaded");
  ASSERT_GE(rows.size(), 30u);
  for (const Row& row : rows) {
    SCOPED_TRACE(row.plugin);
    const std::string path = PathOf(row.plugin);
    const auto verdict = ProbeInChild({VIADUCT_PROBE}, path, kProbeLimit);
    ASSERT_FALSE(verdict.ok());
    const std::string text(verdict.status().message());
    EXPECT_THAT(text, HasSubstr(row.says));
    EXPECT_THAT(text, HasSubstr(row.plugin));
  }
}

TEST(BadPlugins, LivesEndAsTheTableSays) {
  const std::vector<Row> rows = RowsBelow("Found while it lives");
  ASSERT_GE(rows.size(), 30u);
  for (const Row& row : rows) {
    SCOPED_TRACE(row.plugin);
    int exit_code = 0;
    const std::string output = OutputOf(
        absl::StrCat(BAD_PLUGINS_ONE_LIFE, " ", BAD_PLUGINS_FOLDER, " ", row.plugin), &exit_code);
    EXPECT_THAT(output, HasSubstr(row.says));
  }
}

TEST(BadPlugins, AreFoundByViaductCheck) {
  const std::vector<Row> rows = RowsBelow("Found by viaduct-check");
  ASSERT_GE(rows.size(), 35u);
  for (const Row& row : rows) {
    SCOPED_TRACE(row.plugin);
    int exit_code = 0;
    const std::string output = OutputOf(
        absl::StrCat(VIADUCT_CHECK, " --test ", row.second, " ", PathOf(row.plugin)), &exit_code);
    EXPECT_EQ(exit_code, 1) << output;
    EXPECT_THAT(output, HasSubstr(row.says));
  }
}

// The base of all of them is sound, so that each has only the fault that it is there for.
TEST(BadPlugins, TheGoodOnePassesViaductCheck) {
  int exit_code = 0;
  const std::string output = OutputOf(absl::StrCat(VIADUCT_CHECK, " ", PathOf("good")), &exit_code);
  EXPECT_EQ(exit_code, 0) << output;
}

TEST(BadPlugins, ResultsCanBeReadAsJunit) {
  const std::string file = absl::StrCat(testing::TempDir(), "viaduct-check-junit.xml");
  int exit_code = 0;
  OutputOf(absl::StrCat(VIADUCT_CHECK, " --level load --junit ", file, " ", PathOf("bad_name")),
           &exit_code);
  EXPECT_EQ(exit_code, 1);
  std::ifstream in(file);
  const std::string xml((std::istreambuf_iterator<char>(in)), {});
  EXPECT_THAT(xml, HasSubstr("<testsuite "));
  EXPECT_THAT(xml, HasSubstr("failures=\"1\""));
  EXPECT_THAT(xml, HasSubstr("<failure message=\"name: &quot;Bad-Name&quot; is not"));
  std::remove(file.c_str());
}

}  // namespace
}  // namespace viaduct
