#include "process_state.h"

#include <dirent.h>
#include <malloc.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <climits>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>

// Sanitizers have their own allocator, of which mallinfo2 knows nothing.
// NOLINTNEXTLINE(bugprone-reserved-identifier): the name is theirs.
extern "C" size_t __sanitizer_get_current_allocated_bytes() __attribute__((weak));

namespace viaduct::check {
namespace {

// A thread that was joined may stand in /proc for a moment longer.
constexpr std::chrono::seconds kPatience(2);
constexpr int kLookAgainMs = 5;

std::vector<std::string> ListFolder(const char* path) {
  std::vector<std::string> names;
  DIR* folder = opendir(path);
  if (folder == nullptr) return names;
  const std::string own = std::to_string(dirfd(folder));
  while (const dirent* entry = readdir(folder)) {
    const std::string name = entry->d_name;
    if (name != "." && name != ".." && name != own) names.push_back(name);
  }
  closedir(folder);
  return names;
}

std::string Surplus(const ProcessState& before, const ProcessState& now) {
  if (now.threads > before.threads) {
    return std::to_string(now.threads - before.threads) + " thread(s) still run";
  }
  std::vector<std::string> more;
  std::set_difference(now.descriptors.begin(), now.descriptors.end(), before.descriptors.begin(),
                      before.descriptors.end(), std::back_inserter(more));
  return more.empty() ? std::string() : "descriptor " + more.front() + " is still open";
}

}  // namespace

ProcessState ReadProcessState() {
  ProcessState state;
  state.threads = ListFolder("/proc/self/task").size();
  for (const std::string& number : ListFolder("/proc/self/fd")) {
    char target[PATH_MAX];
    const std::string link = "/proc/self/fd/" + number;
    const ssize_t size = readlink(link.c_str(), target, sizeof(target));
    if (size < 0) continue;
    state.descriptors.push_back(number + " -> " + std::string(target, static_cast<size_t>(size)));
  }
  std::sort(state.descriptors.begin(), state.descriptors.end());
  if (__sanitizer_get_current_allocated_bytes != nullptr) {
    state.heap_bytes = __sanitizer_get_current_allocated_bytes();
  } else {
    const struct mallinfo2 heap = mallinfo2();
    state.heap_bytes = heap.uordblks + heap.hblkhd;
  }
  return state;
}

bool IsMapped(const std::string& path) {
  char real[PATH_MAX];
  if (realpath(path.c_str(), real) == nullptr) return false;
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    if (std::strstr(line.c_str(), real) != nullptr) return true;
  }
  return false;
}

void ExpectNothingLeft(Fixture& fixture, const ProcessState& before, const std::string& when) {
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  std::string surplus;
  while (!(surplus = Surplus(before, ReadProcessState())).empty()) {
    if (std::chrono::steady_clock::now() > deadline) fixture.Fail(when + ": " + surplus);
    poll(nullptr, 0, kLookAgainMs);
  }
}

}  // namespace viaduct::check
