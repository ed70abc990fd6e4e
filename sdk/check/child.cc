#include "child.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

extern char** environ;

namespace viaduct::check {
namespace {

using Clock = std::chrono::steady_clock;
constexpr int kResultFd = 3;

pid_t Spawn(std::vector<std::string>& arguments, int result_fd, bool verbose) {
  std::vector<char*> argv;
  argv.reserve(arguments.size() + 1);
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);

  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, result_fd, kResultFd);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  if (verbose) {
    posix_spawn_file_actions_adddup2(&actions, STDERR_FILENO, STDOUT_FILENO);
  } else {
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, STDOUT_FILENO, STDERR_FILENO);
  }
  // A group of its own, so that a time-out also ends what the test has started.
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
  posix_spawnattr_setpgroup(&attributes, 0);
  pid_t pid = -1;
  const int error = posix_spawn(&pid, argv[0], &actions, &attributes, argv.data(), environ);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  return error == 0 ? pid : -1;
}

// What the child has said so far.
struct Lines {
  std::string input;
  std::string phase = "the beginning";
  char verdict = 0;
  std::string text;

  void Take() {
    for (size_t end = 0; (end = input.find('\n')) != std::string::npos; input.erase(0, end + 1)) {
      const std::string line = input.substr(0, end);
      if (line.empty()) continue;
      if (line[0] == 'p') {
        phase = line.substr(1);
      } else if (verdict == 0) {
        verdict = line[0];
        text = line.substr(1);
      }
    }
  }
};

// Reads until the child has closed its end; false at the deadline.
bool ReadAll(int fd, Clock::time_point deadline, Lines* lines) {
  for (;;) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now());
    pollfd wait = {fd, POLLIN, 0};
    const int ready = left.count() > 0 ? poll(&wait, 1, static_cast<int>(left.count())) : 0;
    if (ready < 0 && errno == EINTR) continue;
    if (ready <= 0) return false;
    char block[4096];
    const ssize_t size = read(fd, block, sizeof(block));
    if (size <= 0) return true;
    lines->input.append(block, static_cast<size_t>(size));
    lines->Take();
    if (lines->verdict != 0) return true;
  }
}

Outcome Judge(const Lines& lines, bool in_time, int status, std::chrono::seconds limit) {
  Outcome outcome;
  if (lines.verdict == 'f') {
    outcome.text = lines.text;
  } else if (!in_time) {
    outcome.text =
        "hangs, not back after " + std::to_string(limit.count()) + " s in " + lines.phase;
  } else if (lines.verdict == 's') {
    outcome.verdict = Verdict::kSkipped;
    outcome.text = lines.text;
  } else if (lines.verdict == 'o') {
    outcome.verdict = Verdict::kPassed;
  } else if (WIFSIGNALED(status)) {
    outcome.text = std::string("crashes, ") + strsignal(WTERMSIG(status)) + " in " + lines.phase;
  } else {
    outcome.text =
        "ends the process, exit code " + std::to_string(WEXITSTATUS(status)) + " in " + lines.phase;
  }
  return outcome;
}

}  // namespace

Outcome RunChild(std::vector<std::string> arguments, std::chrono::seconds limit, bool verbose) {
  const Clock::time_point begin = Clock::now();
  for (std::string& argument : arguments) {
    if (argument == "{fd}") argument = std::to_string(kResultFd);
  }
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return {Verdict::kFailed, "no pipe", {}};
  // dup2 onto the same number would keep close-on-exec.
  if (ends[1] == kResultFd) {
    const int other = fcntl(ends[1], F_DUPFD_CLOEXEC, kResultFd + 1);
    close(ends[1]);
    ends[1] = other;
  }
  const pid_t pid = Spawn(arguments, ends[1], verbose);
  close(ends[1]);
  if (pid < 0) {
    close(ends[0]);
    return {Verdict::kFailed, "can not run " + arguments[0], {}};
  }
  Lines lines;
  const bool in_time = ReadAll(ends[0], begin + limit, &lines);
  close(ends[0]);
  // Whatever the test left running in its group goes with it.
  if (!in_time || lines.verdict != 0) kill(-pid, SIGKILL);
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  Outcome outcome = Judge(lines, in_time, status, limit);
  outcome.took = std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - begin);
  return outcome;
}

}  // namespace viaduct::check
