// A process of a test that dies at a crash point, and what it said before.
#pragma once

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <functional>
#include <string>

namespace viaduct {

struct CrashedLife {
  std::string said;
  bool killed = false;
};

// Runs `life` in a child whose crash points follow `plan` (core/base/crash_point.h; "": none), with
// a descriptor to say things on, until the child is killed or ends with 0; anything else fails the
// test. `life` does not return: a process that has passed a crash point reads no other plan, so
// that one that will fork again executes itself anew.
inline CrashedLife RunToTheCrash(const std::string& plan,
                                 const std::function<void(int out)>& life) {
  constexpr int kReturned = 4;
  int ends[2];
  EXPECT_EQ(pipe(ends), 0);
  const pid_t child = fork();
  if (child == 0) {
    close(ends[0]);
    setenv("VIADUCT_CRASH_AT", plan.c_str(), 1);
    life(ends[1]);
    _exit(kReturned);
  }
  close(ends[1]);
  CrashedLife result;
  char block[512];
  for (ssize_t got = 0; (got = read(ends[0], block, sizeof(block))) > 0;) {
    result.said.append(block, static_cast<size_t>(got));
  }
  close(ends[0]);
  int status = 0;
  waitpid(child, &status, 0);
  result.killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
  EXPECT_TRUE(result.killed || (WIFEXITED(status) && WEXITSTATUS(status) == 0))
      << plan << " " << status;
  return result;
}

}  // namespace viaduct
