#include "plugins/rsync/outcome.h"

#include <gtest/gtest.h>

#include <csignal>

namespace viaduct::rsync {
namespace {

using Code = absl::StatusCode;

int Exited(int code) { return code << 8; }

TEST(ReadRunEnd, SaysWhatTheHostIsToDo) {
  const struct {
    int status;
    const char* err;
    Code code;
    bool session;
  } kCases[] = {
      {Exited(0), "a warning\n", Code::kOk, false},
      {Exited(255), "Host key verification failed.\r\n", Code::kFailedPrecondition, true},
      {Exited(12), "u@h: Permission denied (publickey).\n", Code::kUnauthenticated, true},
      {Exited(5), "@ERROR: auth failed on module cam001\n", Code::kUnauthenticated, true},
      {Exited(5), "@ERROR: max connections (2) reached\n", Code::kUnavailable, true},
      {Exited(23), "mkstemp \"x\" failed: Permission denied (13)\n", Code::kPermissionDenied,
       false},
      {Exited(11), "write failed: No space left on device (28)\n", Code::kResourceExhausted, false},
      {Exited(23), "x\n", Code::kUnavailable, false},
      {Exited(24), "x\n", Code::kUnavailable, false},
      {Exited(30), "timeout\n", Code::kUnavailable, true},
      {Exited(35), "timeout\n", Code::kUnavailable, true},
      {Exited(127), "", Code::kFailedPrecondition, true},
      {Exited(77), "", Code::kUnavailable, true},
      {SIGKILL, "", Code::kUnavailable, true},
  };
  for (const auto& c : kCases) {
    const RunEnd end = ReadRunEnd(c.status, c.err);
    EXPECT_EQ(end.status.code(), c.code) << c.err << end.status;
    EXPECT_EQ(end.session, c.session) << c.err;
  }
}

TEST(ReadRunEnd, TellsTheLineThatSaysWhyAndNoControlCharacters) {
  const RunEnd end = ReadRunEnd(Exited(11), "first\nthe\x1b disk: No space left on device (28)\n");
  EXPECT_EQ(end.status.message(), "rsync: the\\x1b disk: No space left on device (28)");
}

TEST(ReadRunEnd, KnowsAServerWithoutFsync) {
  EXPECT_TRUE(ReadRunEnd(Exited(1), "rsync: --fsync: unknown option\n").no_fsync);
  EXPECT_FALSE(ReadRunEnd(Exited(1), "rsync: --x: unknown option\n").no_fsync);
}

TEST(Progress, CountsInPiecesAsTheyCome) {
  Progress progress;
  const std::string said =
      "\r         10   0%    0.00kB/s    0:00:00  \r    3000010 100%  317.89MB/s (xfr#2)\n"
      "Number of files: 2\nTotal bytes sent: 3,1\nTotal bytes sent: 3001234\nLiteral 5%\n";
  for (const char c : said) progress.Feed(std::string(1, c));
  EXPECT_EQ(progress.moved(), 3000010u);
  EXPECT_EQ(progress.sent(), 3001234u);
  progress.Feed(std::string(1 << 20, 'x'));  // Of bounded memory.
  progress.Feed("\r 7 1%\r");
  EXPECT_EQ(progress.moved(), 7u);
}

}  // namespace
}  // namespace viaduct::rsync
