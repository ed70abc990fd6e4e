#include "core/plugin/probe_child.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "core/base/status_macros.h"
#include "core/base/string_view.h"
#include "core/plugin/verdict_cache.h"

extern char** environ;

namespace viaduct {
namespace {

constexpr size_t kMaxVerdictBytes = 8u << 20;
// The first octet of the answer. What the library itself prints comes before it.
constexpr char kGood[] = "\nviaduct-verdict good ";
constexpr char kBad[] = "\nviaduct-verdict bad ";

class Pipe {
 public:
  ~Pipe() {
    CloseEnd(0);
    CloseEnd(1);
  }
  absl::Status Open() {
    return pipe2(ends_, O_CLOEXEC) == 0 ? absl::OkStatus() : absl::ErrnoToStatus(errno, "pipe");
  }
  int end(int i) const { return ends_[i]; }
  void CloseEnd(int i) {
    if (ends_[i] >= 0) close(std::exchange(ends_[i], -1));
  }

 private:
  int ends_[2] = {-1, -1};
};

absl::StatusOr<pid_t> Spawn(const std::vector<std::string>& command, const std::string& path,
                            int output) {
  std::vector<char*> argv;
  std::vector<std::string> words = command;
  words.push_back(path);
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
  posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
  posix_spawn_file_actions_addclosefrom_np(&actions, STDERR_FILENO + 1);
  pid_t child = -1;
  const int error = posix_spawn(&child, argv[0], &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (error == 0) return child;
  return absl::UnavailableError(
      absl::StrCat("can not be tried out, ", words.front(), ": ", strerror(error)));
}

// Reads until the end of the stream. False: `deadline` has passed.
bool ReadToEnd(int fd, absl::Time deadline, std::string* out) {
  while (true) {
    const int64_t left_ms = absl::ToInt64Milliseconds(deadline - absl::Now());
    pollfd ready{fd, POLLIN, 0};
    const int count =
        left_ms <= 0 ? 0 : poll(&ready, 1, static_cast<int>(std::min<int64_t>(left_ms, 60000)));
    if (count < 0 && errno == EINTR) continue;
    if (count == 0 && absl::Now() < deadline) continue;
    if (count <= 0) return false;
    char buffer[65536];
    const ssize_t got = read(fd, buffer, sizeof(buffer));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return true;
    out->append(buffer, std::min(static_cast<size_t>(got), kMaxVerdictBytes - out->size()));
  }
}

// Ends the child at the latest at `deadline` and reaps it. False: it had to be killed.
bool Reap(pid_t child, absl::Time deadline, int* status) {
  absl::Notification ended;
  // It waits without reaping: until it is joined, the number is the child's and no one else's.
  std::thread waiter([child, &ended] {
    siginfo_t info;
    while (waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOWAIT) < 0 &&
           errno == EINTR) {
    }
    ended.Notify();
  });
  const bool in_time = ended.WaitForNotificationWithDeadline(deadline);
  if (!in_time) kill(child, SIGKILL);
  waiter.join();
  while (waitpid(child, status, 0) < 0 && errno == EINTR) {
  }
  return in_time;
}

absl::StatusOr<ModuleInfo> ReadVerdict(std::string_view output, int status) {
  if (WIFSIGNALED(status)) {
    return absl::InvalidArgumentError(
        absl::StrCat("crashed while it was tried out, ", strsignal(WTERMSIG(status))));
  }
  if (const size_t good = output.rfind(kGood); good != std::string_view::npos) {
    return ReadModuleInfo(output.substr(good + std::strlen(kGood)));
  }
  if (const size_t bad = output.rfind(kBad); bad != std::string_view::npos) {
    return absl::InvalidArgumentError(AbslView(output.substr(bad + std::strlen(kBad))));
  }
  return absl::InvalidArgumentError(
      absl::StrCat("gave no verdict when it was tried out, exit code ", WEXITSTATUS(status)));
}

absl::StatusOr<ModuleInfo> Probe(const std::vector<std::string>& command, const std::string& path,
                                 absl::Duration timeout) {
  Pipe pipe;
  VD_RETURN_IF_ERROR(pipe.Open());
  VD_ASSIGN_OR_RETURN(const pid_t child, Spawn(command, path, pipe.end(1)));
  pipe.CloseEnd(1);
  const absl::Time deadline = absl::Now() + timeout;
  std::string output;
  const bool read = ReadToEnd(pipe.end(0), deadline, &output);
  int status = 0;
  // The end of the stream is not that of the child: the library may have closed it and hang.
  if (!Reap(child, read ? deadline : absl::InfinitePast(), &status)) {
    return absl::InvalidArgumentError(
        absl::StrCat("hung while it was tried out, no verdict in ", absl::FormatDuration(timeout)));
  }
  return ReadVerdict(output, status);
}

}  // namespace

int ProbeMain(const std::string& path) {
  const rlimit no_core{0, 0};
  setrlimit(RLIMIT_CORE, &no_core);
  std::string verdict;
  {
    absl::StatusOr<std::string> name = PluginNameOfPath(path);
    const auto plugin = name.ok() ? Plugin::Load(path, *name) : name.status();
    verdict = plugin.ok() ? absl::StrCat(kGood, WriteModuleInfo((*plugin)->info()))
                          : absl::StrCat(kBad, plugin.status().message());
  }  // Unloaded here: a crash in its destructors counts too.
  std::fwrite(verdict.data(), 1, verdict.size(), stdout);
  return std::fflush(stdout) == 0 ? 0 : 1;
}

absl::StatusOr<ModuleInfo> ProbeInChild(const std::vector<std::string>& command,
                                        const std::string& path, absl::Duration timeout) {
  auto info = Probe(command, path, timeout);
  if (info.ok()) return info;
  const std::string text(info.status().message());
  if (text.find(path) != std::string::npos) return info;
  return absl::Status(info.status().code(), absl::StrCat("plugin: ", path, ": ", text));
}

}  // namespace viaduct
