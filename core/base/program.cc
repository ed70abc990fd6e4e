#include "core/base/program.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "core/base/descriptor.h"
#include "core/base/durable_file.h"
#include "core/base/status_macros.h"

namespace viaduct {
namespace {

constexpr int kSliceMs = 100;  // A stop or the end of the time is noticed within it.

// Valid as long as the texts are, and closed by a null pointer.
std::vector<char*> Pointers(std::vector<std::string>* texts) {
  std::vector<char*> out;
  out.reserve(texts->size() + 1);
  for (std::string& text : *texts) out.push_back(text.data());
  out.push_back(nullptr);
  return out;
}

std::vector<std::string> EnvironmentOf(const ProgramCall& call) {
  std::vector<std::string> environment = call.environment;
  for (char** each = environ; *each != nullptr; ++each) {
    const std::string entry = *each;
    const std::string name = entry.substr(0, entry.find('=') + 1);
    const auto same = [&name](const std::string& given) { return given.rfind(name, 0) == 0; };
    if (std::none_of(call.environment.begin(), call.environment.end(), same)) {
      environment.push_back(entry);
    }
  }
  return environment;
}

struct Streams {
  int input;
  int output;
  int errors;
};

absl::StatusOr<pid_t> Spawn(const ProgramCall& call, const Streams& streams) {
  std::vector<std::string> words = call.words;
  std::vector<std::string> environment = EnvironmentOf(call);
  const std::vector<char*> argv = Pointers(&words);
  const std::vector<char*> envp = Pointers(&environment);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, streams.input, STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, streams.output, STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, streams.errors, STDERR_FILENO);
  posix_spawn_file_actions_addclosefrom_np(&actions, STDERR_FILENO + 1);
  if (!call.folder.empty()) {
    posix_spawn_file_actions_addchdir_np(&actions, call.folder.c_str());
  }
  pid_t child = -1;
  const int error = posix_spawnp(&child, argv[0], &actions, nullptr, argv.data(), envp.data());
  posix_spawn_file_actions_destroy(&actions);
  if (error == 0) return child;
  return absl::UnavailableError(
      absl::StrCat(call.words.front(), ": cannot be started, ", std::strerror(error)));
}

// From its beginning.
std::string WhatIsIn(int file, size_t most) {
  std::string text(most, '\0');
  const ssize_t got = pread(file, text.data(), text.size(), 0);
  text.resize(got < 0 ? 0 : static_cast<size_t>(got));
  return text;
}

// Reads until its end. An error: why it has to be killed.
absl::Status ReadOutput(const ProgramCall& call, int fd, std::string* output) {
  const absl::Time deadline = absl::Now() + call.limit;
  std::array<char, 16384> buffer;
  while (true) {
    if (call.stopping != nullptr && call.stopping->HasBeenNotified()) {
      return absl::CancelledError(absl::StrCat(call.words.front(), ": ended, as it was told to"));
    }
    if (absl::Now() > deadline) {
      return absl::DeadlineExceededError(absl::StrCat(call.words.front(), ": not ready within ",
                                                      absl::FormatDuration(call.limit)));
    }
    pollfd ready{fd, POLLIN, 0};
    if (poll(&ready, 1, kSliceMs) <= 0) continue;
    const ssize_t got = read(fd, buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return absl::OkStatus();
    output->append(buffer.data(),
                   std::min(static_cast<size_t>(got), call.max_output - output->size()));
  }
}

}  // namespace

absl::StatusOr<ProgramEnd> RunProgram(const ProgramCall& call) {
  // In memory, so that neither side waits for the other.
  const Descriptor input(memfd_create("viaduct-program-input", MFD_CLOEXEC));
  const Descriptor errors(call.errors_apart ? memfd_create("viaduct-program-errors", MFD_CLOEXEC)
                                            : -1);
  if (input.get() < 0 || (call.errors_apart && errors.get() < 0)) {
    return FileFailure(call.words.front(), "prepare");
  }
  VD_RETURN_IF_ERROR(WriteAll(input.get(), call.words.front(), call.input));
  lseek(input.get(), 0, SEEK_SET);
  int ends[2] = {-1, -1};
  if (pipe2(ends, O_CLOEXEC) != 0) {
    return absl::ResourceExhaustedError(absl::StrCat("pipe: ", std::strerror(errno)));
  }
  const Descriptor in(ends[0]);
  pid_t child = -1;
  {
    const Descriptor out(ends[1]);
    const int errors_to = call.errors_apart ? errors.get() : out.get();
    VD_ASSIGN_OR_RETURN(child, Spawn(call, {input.get(), out.get(), errors_to}));
  }
  ProgramEnd end;
  const absl::Status read = ReadOutput(call, in.get(), &end.output);
  if (!read.ok()) kill(child, SIGKILL);
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  VD_RETURN_IF_ERROR(read);
  if (call.errors_apart) end.errors = WhatIsIn(errors.get(), call.max_output);
  constexpr int kSignalled = 128;
  end.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : kSignalled + WTERMSIG(status);
  return end;
}

std::string FindProgram(const std::string& name, const std::vector<std::string>& folders) {
  for (const std::string& folder : folders) {
    std::string path = absl::StrCat(folder, "/", name);
    if (access(path.c_str(), X_OK) == 0) return path;
  }
  return "";
}

}  // namespace viaduct
