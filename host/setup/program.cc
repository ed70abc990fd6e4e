#include "host/setup/program.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "core/base/descriptor.h"
#include "core/base/durable_file.h"
#include "core/base/status_macros.h"

extern char** environ;

namespace viaduct::setup {
namespace {

constexpr absl::Duration kPatience = absl::Minutes(1);
constexpr int kPollMs = 1000;

absl::StatusOr<pid_t> Spawn(const std::vector<std::string>& command, int input, int output,
                            int errors) {
  std::vector<std::string> words = command;
  std::vector<char*> argv;
  argv.reserve(words.size() + 1);
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, input, STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, errors, STDERR_FILENO);
  posix_spawn_file_actions_addclosefrom_np(&actions, STDERR_FILENO + 1);
  posix_spawn_file_actions_addchdir_np(&actions, "/");  // Where every user may be.
  pid_t child = -1;
  const int error = posix_spawnp(&child, argv[0], &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (error == 0) return child;
  return absl::UnavailableError(
      absl::StrCat(command.front(), ": cannot be started, ", std::strerror(error)));
}

// Reads until the end of the stream. False: `deadline` has passed. What is too much is dropped.
bool ReadToEnd(int fd, absl::Time deadline, std::string* text) {
  std::array<char, 16384> buffer;
  while (absl::Now() < deadline) {
    pollfd ready{fd, POLLIN, 0};
    if (::poll(&ready, 1, kPollMs) <= 0) continue;
    const ssize_t got = ::read(fd, buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return true;
    text->append(buffer.data(),
                 std::min(static_cast<size_t>(got), kMaxProgramOutput - text->size()));
  }
  return false;
}

// From its beginning.
std::string WhatIsIn(int file) {
  std::string text(kMaxProgramOutput, '\0');
  const ssize_t got = ::pread(file, text.data(), text.size(), 0);
  text.resize(got < 0 ? 0 : static_cast<size_t>(got));
  return text;
}

int Reap(pid_t child) {
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace

absl::StatusOr<ProgramResult> RunProgram(const std::vector<std::string>& command,
                                         std::string_view input) {
  const Descriptor in(::memfd_create("viaduct-setup-input", MFD_CLOEXEC));
  const Descriptor errors(::memfd_create("viaduct-setup-errors", MFD_CLOEXEC));
  if (in.get() < 0 || errors.get() < 0) return FileFailure(command.front(), "prepare");
  VD_RETURN_IF_ERROR(WriteAll(in.get(), command.front(), input));
  ::lseek(in.get(), 0, SEEK_SET);
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return FileFailure(command.front(), "prepare");
  const Descriptor read_end(ends[0]);
  absl::StatusOr<pid_t> child = Spawn(command, in.get(), ends[1], errors.get());
  ::close(ends[1]);
  if (!child.ok()) return child.status();
  ProgramResult result;
  const bool ended = ReadToEnd(read_end.get(), absl::Now() + kPatience, &result.output);
  if (!ended) ::kill(*child, SIGKILL);
  result.exit_code = Reap(*child);
  result.errors = WhatIsIn(errors.get());
  if (ended) return result;
  return absl::DeadlineExceededError(absl::StrCat(absl::StrJoin(command, " "), ": no end after ",
                                                  absl::FormatDuration(kPatience), ", killed"));
}

absl::StatusOr<std::string> RunToSuccess(const std::vector<std::string>& command,
                                         std::string_view input) {
  VD_ASSIGN_OR_RETURN(ProgramResult result, RunProgram(command, input));
  if (result.exit_code == 0) return std::move(result.output);
  return absl::FailedPreconditionError(
      absl::StrCat(absl::StrJoin(command, " "), ": exit code ", result.exit_code, ", ",
                   absl::StripAsciiWhitespace(result.output + result.errors)));
}

}  // namespace viaduct::setup
