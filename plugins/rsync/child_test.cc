#include "plugins/rsync/child.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/wait.h>

#include <csignal>
#include <string>

#include "plugins/rsync/client.h"

namespace viaduct::rsync {
namespace {

class ChildTest : public ::testing::Test {
 protected:
  void Run(const std::string& script, std::string input = "") {
    auto child = Child::Start({"/bin/sh", "-c", script, "sh", "a b", "$c"}, {"X=y z"}, input);
    ASSERT_TRUE(child.ok()) << child.status();
    child_ = *std::move(child);
  }
  int Status() {
    int status = 0;
    while (!child_->Ended(&status)) {
      child_->Move(&out_, &err_);
      child_->Advance(MonotonicNs());
      pollfd watched[3] = {
          {child_->out(), POLLIN, 0}, {child_->err(), POLLIN, 0}, {child_->in(), POLLOUT, 0}};
      poll(watched, 3, 20);
    }
    return status;
  }
  std::unique_ptr<Child> child_;
  std::string out_, err_;
};

TEST_F(ChildTest, GetsItsArgumentsItsEnvironmentAndItsInput) {
  const std::string input(300'000, 'i');
  Run("printf '%s|' \"$@\" \"$X\"; cat >&2; exit 3", input);
  EXPECT_EQ(WEXITSTATUS(Status()), 3);
  EXPECT_EQ(out_, "a b|$c|y z|");
  EXPECT_TRUE(err_ == input);
}

TEST_F(ChildTest, HasNoDescriptorsOfOurs) {
  const int fd = dup(2);  // Without FD_CLOEXEC.
  Run("ls /proc/self/fd | wc -l");
  Status();
  EXPECT_EQ(out_, "4\n");  // Three, and that of ls.
  close(fd);
}

TEST_F(ChildTest, EndsWithItsGroupWhenItIsAsked) {
  Run("sleep 100 & sleep 100");
  const pid_t pid = child_->pid();
  child_->Terminate(MonotonicNs());
  EXPECT_EQ(WTERMSIG(Status()), SIGTERM);
  // Somebody else reaps the orphan.
  const int64_t deadline = MonotonicNs() + 10'000'000'000;
  while (kill(-pid, 0) == 0 && MonotonicNs() < deadline) poll(nullptr, 0, 2);
  EXPECT_NE(kill(-pid, 0), 0);
}

TEST_F(ChildTest, IsKilledWhenItDoesNotHear) {
  Run("trap '' TERM; echo; while :; do read x; done");
  while (out_.empty()) child_->Move(&out_, &err_);
  child_->Terminate(MonotonicNs() - Child::kStopNs);
  EXPECT_EQ(WTERMSIG(Status()), SIGKILL);
}

TEST_F(ChildTest, EndsAlthoughAnotherProgramHoldsItsOutput) {
  Run("setsid sleep 100 & echo $!; exit 4");
  EXPECT_EQ(WEXITSTATUS(Status()), 4);
  EXPECT_EQ(kill(std::stoi(out_), SIGKILL), 0);
}

TEST_F(ChildTest, AProgramThatIsNotThere) {
  auto child = Child::Start({"/none"}, {}, "");
  ASSERT_TRUE(child.ok());
  child_ = *std::move(child);
  EXPECT_EQ(WEXITSTATUS(Status()), 127);
}

}  // namespace
}  // namespace viaduct::rsync
