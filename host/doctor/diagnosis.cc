#include "host/doctor/diagnosis.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "core/base/durable_file.h"
#include "core/base/program.h"
#include "core/base/string_view.h"
#include "core/config/validate.h"
#include "host/doctor/plugins.h"

namespace viaduct::doctor {
namespace {

constexpr size_t kMaxConfigBytes = 1u << 20;
constexpr absl::Duration kCheckLimit = absl::Seconds(60);
constexpr size_t kMaxFindings = 20;

// As the node itself says it, with its plugins.
void CheckConfiguration(const Patient& patient, Diagnoses* out) {
  const std::string host = SystemEnvironment().ExecutableDir() + "/viaduct-host";
  if (access(host.c_str(), X_OK) != 0) {
    return out->Warn(host, "is not there, the configuration was read without its plugins",
                     "install viaduct-host beside viaductctl");
  }
  const absl::StatusOr<ProgramEnd> end =
      RunProgram({{host, "--config", patient.config_path, "--check"}, {}, kCheckLimit, nullptr});
  if (!end.ok()) {
    return out->Warn(host, StdView(end.status().message()), "try viaduct-host --check by hand");
  }
  if (end->exit_code == 0) return out->Ok(patient.config_path, "valid");
  size_t shown = 0;
  for (const absl::string_view line : absl::StrSplit(end->output, '\n', absl::SkipEmpty())) {
    if (++shown > kMaxFindings) break;
    out->Fail(patient.config_path, StdView(line), "mend the file, then viaduct-host --check");
  }
  if (shown == 0) {
    out->Fail(patient.config_path, absl::StrCat("viaduct-host --check ends with ", end->exit_code),
              "try it by hand");
  }
}

// The process that says it has data_dir. The lock itself is not touched: a node that starts just
// then would find it taken.
int NodeOf(const std::string& data_dir) {
  constexpr size_t kMaxBytes = 64;
  const absl::StatusOr<std::string> text = ReadWholeFile(data_dir + "/node.lock", kMaxBytes);
  int pid = 0;
  if (!text.ok() || !absl::SimpleAtoi(absl::StripAsciiWhitespace(*text), &pid) || pid <= 0)
    return 0;
  const absl::StatusOr<std::string> name =
      ReadWholeFile(absl::StrCat("/proc/", pid, "/comm"), kMaxBytes);
  return name.ok() && absl::StripAsciiWhitespace(*name) == "viaduct-host" ? pid : 0;
}

}  // namespace

std::string_view VerdictName(Verdict verdict) {
  constexpr std::array<std::string_view, 3> kNames = {"ok", "warn", "fail"};
  return kNames[static_cast<size_t>(verdict)];
}

void Diagnoses::Add(Verdict verdict, std::string_view subject, std::string_view found,
                    std::string_view advice) {
  list_.push_back({verdict, area_, std::string(subject), std::string(found), std::string(advice)});
}
void Diagnoses::Ok(std::string_view subject, std::string_view found) {
  Add(Verdict::kOk, subject, found, "");
}
void Diagnoses::Warn(std::string_view subject, std::string_view found, std::string_view advice) {
  Add(Verdict::kWarn, subject, found, advice);
}
void Diagnoses::Fail(std::string_view subject, std::string_view found, std::string_view advice) {
  Add(Verdict::kFail, subject, found, advice);
}

Verdict Diagnoses::worst() const {
  Verdict worst = Verdict::kOk;
  for (const Diagnosis& one : list_) worst = std::max(worst, one.verdict);
  return worst;
}

Patient Examine(const std::string& config_path, const Clock* clock, Diagnoses* out) {
  Patient patient;
  patient.config_path = config_path;
  patient.clock = clock;
  out->BeginArea("configuration");
  absl::StatusOr<std::string> text = ReadWholeFile(config_path, kMaxConfigBytes);
  if (!text.ok()) {
    out->Fail(config_path, StdView(text.status().message()),
              "name the node's file with --config, and run this as its user");
    return patient;
  }
  patient.config_text = *std::move(text);
  CheckConfiguration(patient, out);
  patient.config = ConfiguredPlugins(patient.config_text, config_path).config();
  if (!patient.config.has_value()) return patient;
  patient.node_pid = NodeOf(patient.config->node.data_dir);
  out->Ok(patient.config->node.data_dir,
          patient.node_pid > 0 ? absl::StrCat("a node runs there, process ", patient.node_pid)
                               : "no node runs there");
  return patient;
}

}  // namespace viaduct::doctor
