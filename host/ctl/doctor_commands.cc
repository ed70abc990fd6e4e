#include "host/ctl/doctor_commands.h"

#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "absl/strings/str_cat.h"
#include "core/base/clock.h"
#include "host/ctl/format.h"
#include "host/doctor/diagnosis.h"
#include "viaduct/control/v1/instances.grpc.pb.h"

namespace viaduct::ctl {
namespace {

namespace pb = viaduct::control::v1;
using doctor::Diagnoses;
using doctor::Diagnosis;
using doctor::Patient;
using doctor::Verdict;

constexpr char kDefaultConfig[] = "/etc/viaduct/node.yaml";
constexpr char kAdvice[] =
    "look at address, credentials and keys of the instance, and at its README";

void JudgeInstance(const pb::Instance& instance, Diagnoses* out) {
  const std::string state = EnumText(pb::InstanceState_Name(instance.state()), "INSTANCE_STATE_");
  const std::string found = absl::StrCat(instance.plugin(), ": ", state,
                                         instance.reason().empty() ? "" : ", ", instance.reason());
  if (instance.state() == pb::INSTANCE_STATE_FAILED || instance.health() == pb::HEALTH_FAILED) {
    return out->Fail(instance.name(), found, kAdvice);
  }
  if (instance.health() == pb::HEALTH_DEGRADED) return out->Warn(instance.name(), found, kAdvice);
  out->Ok(instance.name(), found);
}

// What a node that runs says of its instances.
void AskNode(Session* session, const Patient& patient, Diagnoses* out) {
  out->BeginArea("instances");
  if (session->options.socket.empty()) session->options.socket = patient.config->control.socket;
  pb::InstancesListResponse response;
  const ExitCode code = session->Call<pb::Instances>(&pb::Instances::Stub::List,
                                                     pb::InstancesListRequest(), &response);
  if (code != kOk) {
    return out->Fail(patient.config->control.socket, "the node does not answer",
                     "run this as the node's user or root; look at its log");
  }
  for (const pb::Instance& instance : response.instances()) JudgeInstance(instance, out);
}

void PrintJson(const Diagnoses& found) {
  nlohmann::json checks = nlohmann::json::array();
  for (const Diagnosis& one : found.list()) {
    checks.push_back({{"verdict", std::string(VerdictName(one.verdict))},
                      {"area", one.area},
                      {"subject", one.subject},
                      {"found", one.found},
                      {"advice", one.advice}});
  }
  const nlohmann::json document = {{"verdict", std::string(VerdictName(found.worst()))},
                                   {"checks", checks}};
  std::cout << document.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) << "\n";
}

void PrintTable(const Diagnoses& found) {
  constexpr const char* kMarks[] = {"OK", "WARN", "FAIL"};
  Table table({"", "WHAT", "WHICH", "FOUND", "WHAT TO DO"});
  for (const Diagnosis& one : found.list()) {
    table.Add({kMarks[static_cast<size_t>(one.verdict)], Cell(one.area), Cell(one.subject),
               Cell(one.found), Cell(one.advice)});
  }
  table.Print(std::cout);
}

ExitCode Doctor(Session* session, const std::string& config) {
  const SystemClock clock;
  Diagnoses found;
  const Patient patient = doctor::Examine(config, &clock, &found);
  if (patient.config.has_value()) {
    CheckHost(patient, &found);
    CheckFolders(patient, &found);
    CheckDisks(patient, &found);
    CheckPorts(patient, &found);
    CheckCertificates(patient, &found);
    CheckDatabase(patient, &found);
    if (patient.node_pid > 0) {
      AskNode(session, patient, &found);
    } else {
      CheckInstances(patient, &found);
    }
  }
  if (session->json()) {
    PrintJson(found);
  } else {
    PrintTable(found);
  }
  return found.worst() == Verdict::kFail ? kUnhealthy : kOk;
}

}  // namespace

void AddDoctorCommands(CLI::App* app, Session* session) {
  auto config = std::make_shared<std::string>(kDefaultConfig);
  CLI::App* doctor = AddCommand(app, session, "doctor", "what is wrong here, and what to do",
                                [=] { return Doctor(session, *config); });
  doctor->add_option("-c,--config", *config, "configuration of the node")->capture_default_str();
}

}  // namespace viaduct::ctl
