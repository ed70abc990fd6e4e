#include "host/node/node_facts.h"

#include <grpcpp/grpcpp.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include <fstream>
#include <sstream>
#include <thread>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

#ifndef VIADUCT_VERSION
#define VIADUCT_VERSION "unknown"
#endif
#ifndef VIADUCT_BUILD_TYPE
#define VIADUCT_BUILD_TYPE "unknown"
#endif

namespace viaduct {
namespace {

// PRETTY_NAME of /etc/os-release.
std::string OsName() {
  std::ifstream file("/etc/os-release");
  std::string line;
  while (std::getline(file, line)) {
    absl::string_view view = line;
    if (!absl::ConsumePrefix(&view, "PRETTY_NAME=")) continue;
    absl::ConsumePrefix(&view, "\"");
    absl::ConsumeSuffix(&view, "\"");
    return std::string(view);
  }
  return "";
}

}  // namespace

std::string NodeVersion() { return VIADUCT_VERSION; }

control::v1::Build BuildFacts() {
  control::v1::Build build;
  build.set_version(VIADUCT_VERSION);
#ifdef __clang__
  build.set_compiler(absl::StrCat("clang ", __clang_major__, ".", __clang_minor__));
#else
  build.set_compiler(absl::StrCat("gcc ", __GNUC__, ".", __GNUC_MINOR__));
#endif
  build.set_type(VIADUCT_BUILD_TYPE);
  build.set_grpc_version(grpc::Version());
  return build;
}

control::v1::HostFacts HostFactsNow() {
  control::v1::HostFacts facts;
  utsname name{};
  if (uname(&name) == 0) {
    facts.set_hostname(name.nodename);
    facts.set_kernel(absl::StrCat(name.sysname, " ", name.release));
    facts.set_architecture(name.machine);
  }
  facts.set_os(OsName());
  facts.set_cpus(std::thread::hardware_concurrency());
  facts.set_memory_bytes(static_cast<uint64_t>(sysconf(_SC_PHYS_PAGES)) *
                         static_cast<uint64_t>(sysconf(_SC_PAGESIZE)));
  return facts;
}

absl::Duration ProcessAge() {
  std::ifstream file("/proc/self/stat");
  std::string text;
  std::getline(file, text);
  // The program's name may hold anything, so fields are counted from the last parenthesis: field 22
  // of proc(5) is the 20th after it.
  const size_t end = text.rfind(')');
  if (end == std::string::npos) return absl::ZeroDuration();
  const std::vector<std::string> fields =
      absl::StrSplit(text.substr(end + 1), ' ', absl::SkipEmpty());
  constexpr size_t kStartTime = 19;
  int64_t ticks = 0;
  if (fields.size() <= kStartTime || !absl::SimpleAtoi(fields[kStartTime], &ticks)) {
    return absl::ZeroDuration();
  }
  timespec now{};
  if (clock_gettime(CLOCK_BOOTTIME, &now) != 0) return absl::ZeroDuration();
  return absl::DurationFromTimespec(now) -
         absl::Seconds(static_cast<double>(ticks) / static_cast<double>(sysconf(_SC_CLK_TCK)));
}

}  // namespace viaduct
