// link_emulator: roads between network namespaces that are slow, narrow, lossy or cut, as told. Its
// configuration and its commands are those of link_commands.h.
//   link_emulator CONFIG.json
// Prints its seed and "ready"; on SIGTERM its counts. Exit status 2: the configuration is wrong.
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>

#include <cstdio>
#include <random>
#include <string>
#include <utility>

#include "tests/support/link_emulator.h"

namespace viaduct::support {
namespace {

// Packets arrive on time also where every processor is busy. Without root they are milliseconds
// late there.
void AskForPrecedence() {
  prctl(PR_SET_TIMERSLACK, 1);
  sched_param lowest{};
  lowest.sched_priority = sched_get_priority_min(SCHED_RR);
  sched_setscheduler(0, SCHED_RR, &lowest);
}

int Fail(const absl::Status& status) {
  std::fprintf(stderr, "link_emulator: %s\n", std::string(status.message()).c_str());
  return status.code() == absl::StatusCode::kInvalidArgument ? 2 : 1;
}

int Serve(const std::string& path) {
  absl::StatusOr<EmulatorConfig> config = ReadEmulatorConfig(path);
  if (!config.ok()) return Fail(config.status());
  const uint64_t seed = config->seed ? *config->seed : std::random_device()();
  LinkEmulator emulator(*std::move(config), seed);
  const absl::Status ready = emulator.Open();
  if (!ready.ok()) return Fail(ready);
  std::printf("seed %llu\nready\n", static_cast<unsigned long long>(seed));  // NOLINT: printf's.
  std::fflush(stdout);
  emulator.Run();
  std::printf("%s\n", emulator.Stats().c_str());
  return 0;
}

}  // namespace
}  // namespace viaduct::support

int main(int argc, char** argv) {
  const std::string path = argc == 2 ? argv[1] : "";
  if (path.empty() || path[0] == '-') {
    std::fprintf(stderr, "usage: link_emulator CONFIG.json\n");
    return path == "--help" ? 0 : 2;
  }
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  sigprocmask(SIG_BLOCK, &signals, nullptr);
  viaduct::support::AskForPrecedence();
  return viaduct::support::Serve(path);
}
