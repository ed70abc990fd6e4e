// The machine and the user: clock, limits, zone.
#include <pwd.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/timex.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <string>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "core/base/durable_file.h"
#include "host/doctor/diagnosis.h"

namespace viaduct::doctor {
namespace {

constexpr int kLeastYear = 2024;
constexpr uint64_t kLeastDescriptors = 4'096;  // Thousands of cameras, a descriptor each.
constexpr size_t kMaxProcBytes = 65'536;
constexpr char kSynchronized[] = "/run/systemd/timesync/synchronized";

std::string UserName(uid_t uid) {
  const passwd* const entry = getpwuid(uid);
  return entry != nullptr ? entry->pw_name : absl::StrCat("user ", uid);
}

void CheckUser(const Patient& patient, Diagnoses* out) {
  struct stat info {};
  const std::string& data_dir = patient.config->node.data_dir;
  const std::string self = UserName(geteuid());
  if (stat(data_dir.c_str(), &info) != 0 || info.st_uid == geteuid()) {
    if (geteuid() != 0) return out->Ok("user", self);
    return out->Warn("user", "root, and so may be the node",
                     "give the node a user of its own (deploy/systemd)");
  }
  out->Warn("user", absl::StrCat(self, ", but ", data_dir, " belongs to ", UserName(info.st_uid)),
            "run this as the node's user: what others may do says little of the node");
}

void CheckClock(const Patient& patient, Diagnoses* out) {
  const absl::Time now = patient.clock->Now();
  const auto year = absl::ToCivilYear(now, absl::UTCTimeZone()).year();
  const std::string text = absl::FormatTime(absl::RFC3339_sec, now, absl::UTCTimeZone());
  if (year < kLeastYear) {
    return out->Fail("clock", absl::StrCat("says ", text, ", that is years behind"),
                     "set the clock, or give the machine a time server (systemd-timesyncd)");
  }
  timex state{};
  const int answer = adjtimex(&state);
  const bool told = access(kSynchronized, F_OK) == 0;
  if (!told && (answer == TIME_ERROR || (state.status & STA_UNSYNC) != 0)) {
    return out->Warn("clock", absl::StrCat(text, ", not synchronized"),
                     "give the machine a time server: timedatectl set-ntp true");
  }
  out->Ok("clock", absl::StrCat(text, ", synchronized"));
}

// "Max open files            1048576              1048576              files"
uint64_t LimitOf(int pid) {
  if (pid == 0) {
    rlimit limit{};
    return getrlimit(RLIMIT_NOFILE, &limit) == 0 ? limit.rlim_max : 0;
  }
  const auto text = ReadWholeFile(absl::StrCat("/proc/", pid, "/limits"), kMaxProcBytes);
  if (!text.ok()) return 0;
  for (const absl::string_view line : absl::StrSplit(*text, '\n')) {
    if (line.substr(0, 14) != "Max open files") continue;
    const std::vector<std::string> words = absl::StrSplit(line, ' ', absl::SkipEmpty());
    uint64_t limit = 0;
    if (words.size() > 3 && words[3] == "unlimited") return UINT64_MAX;
    if (words.size() > 3 && absl::SimpleAtoi(words[3], &limit)) return limit;
  }
  return 0;
}

void CheckLimits(const Patient& patient, Diagnoses* out) {
  const uint64_t limit = LimitOf(patient.node_pid);
  const std::string found =
      absl::StrCat(limit, " open files", patient.node_pid > 0 ? " for the node" : " for this user");
  if (limit >= kLeastDescriptors) return out->Ok("limits", found);
  out->Warn("limits", found,
            absl::StrCat("allow at least ", kLeastDescriptors,
                         ": LimitNOFILE= of the unit, or ulimit -n"));
}

void CheckZone(const Patient& patient, Diagnoses* out) {
  const std::string& name = patient.config->node.timezone_name;
  absl::TimeZone zone;
  if (!absl::LoadTimeZone(name, &zone)) {
    return out->Fail("time zone", absl::StrCat(name, " is not known here, UTC is used"),
                     "install the package tzdata, or mend node.timezone");
  }
  out->Ok("time zone", absl::FormatTime("%Ez, ", patient.clock->Now(), zone) + name);
}

}  // namespace

void CheckHost(const Patient& patient, Diagnoses* out) {
  out->BeginArea("host");
  CheckUser(patient, out);
  CheckClock(patient, out);
  CheckLimits(patient, out);
  CheckZone(patient, out);
}

}  // namespace viaduct::doctor
