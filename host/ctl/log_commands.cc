#include <iostream>
#include <map>
#include <memory>

#include "absl/strings/str_cat.h"
#include "host/ctl/arguments.h"
#include "host/ctl/format.h"
#include "host/ctl/session.h"
#include "viaduct/control/v1/logs.grpc.pb.h"

namespace viaduct::ctl {
namespace {

namespace pb = viaduct::control::v1;
using Stub = pb::Logs::Stub;

pb::LogLevel LevelOf(const std::string& text) {
  std::string name = "LOG_LEVEL_";
  for (char c : text) name += static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  pb::LogLevel level = pb::LOG_LEVEL_UNSPECIFIED;
  pb::LogLevel_Parse(name, &level);
  return level;
}

std::string LevelText(pb::LogLevel level) {
  return EnumText(pb::LogLevel_Name(level), "LOG_LEVEL_");
}

CLI::Validator IsLevel() {
  return CLI::IsMember({"trace", "debug", "info", "warning", "error", "off"});
}

bool PrintRecord(const pb::LogsTailResponse& response) {
  if (response.has_lagged()) {
    std::cout << "... " << response.lagged().missed() << " records missed" << std::endl;
  }
  if (!response.has_record()) return true;
  const auto& record = response.record();
  std::cout << TimeText(record.time()) << " " << LevelText(record.level()) << " "
            << Cell(record.component()) << ": " << Cell(record.message());
  std::map<std::string, std::string> fields(record.fields().begin(), record.fields().end());
  for (const auto& [key, value] : fields) std::cout << " " << key << "=" << Cell(value);
  std::cout << std::endl;
  return true;
}

struct TailArguments {
  uint32_t last = 20;
  bool follow = false;
  std::string level = "info";
  std::string component;
};

ExitCode Tail(Session* session, const TailArguments& arguments) {
  pb::LogsTailRequest request;
  request.set_last(arguments.last);
  request.set_follow(arguments.follow);
  request.set_min_level(LevelOf(arguments.level));
  request.set_component(arguments.component);
  return session->Stream<pb::Logs, Stub, pb::LogsTailRequest, pb::LogsTailResponse>(
      &Stub::Tail, request,
      [session](const auto& response) { return session->json() || PrintRecord(response); });
}

// GetLevels, SetLevel and ResetLevel all answer with the levels.
template <typename Request, typename Response>
ExitCode ShowLevels(Session* session, Session::UnaryMethod<Stub, Request, Response> method,
                    const Request& request) {
  Response response;
  ExitCode code = session->Call<pb::Logs>(method, request, &response);
  if (code != kOk) return code;
  if (session->json()) {
    Session::PrintJson(response);
    return kOk;
  }
  Table table({"COMPONENT", "LEVEL", "EXPIRES IN"});
  for (const auto& level : response.levels()) {
    table.Add({level.component().empty() ? "(default)" : Cell(level.component()),
               LevelText(level.level()),
               level.has_expires_in() ? DurationText(level.expires_in()) : "-"});
  }
  table.Print(std::cout);
  return kOk;
}

void AddLevelCommands(CLI::App* logs, Session* session) {
  AddCommand(logs, session, "levels", "what is logged", [session] {
    return ShowLevels(session, &Stub::GetLevels, pb::LogsGetLevelsRequest());
  });
  auto component = std::make_shared<std::string>();
  auto level = std::make_shared<std::string>();
  auto time_to_live = std::make_shared<std::string>();
  CLI::App* set = AddCommand(logs, session, "set-level", "log more or less of a component", [=] {
    pb::LogsSetLevelRequest request;
    request.set_component(*component == "default" ? "" : *component);
    request.set_level(LevelOf(*level));
    if (!time_to_live->empty() && !SetDuration(*time_to_live, request.mutable_time_to_live())) {
      return kUsage;
    }
    return ShowLevels(session, &Stub::SetLevel, request);
  });
  set->add_option("component", *component, "e.g. spool, instance/http; \"default\" for the rest")
      ->required();
  set->add_option("level", *level)->required()->check(IsLevel());
  set->add_option("--for", *time_to_live, "back by itself after, e.g. 10m")->check(IsDuration);
  AddCommand(logs, session, "reset-level", "back to what the configuration says", [=] {
    pb::LogsResetLevelRequest request;
    request.set_component(*component);
    return ShowLevels(session, &Stub::ResetLevel, request);
  })->add_option("component", *component, "default: every component");
}

}  // namespace

void AddLogCommands(CLI::App* app, Session* session) {
  CLI::App* logs = app->add_subcommand("logs", "the node's log");
  logs->require_subcommand(1);
  auto arguments = std::make_shared<TailArguments>();
  CLI::App* tail = AddCommand(logs, session, "tail", "the last records, and new ones with -f",
                              [=] { return Tail(session, *arguments); });
  tail->add_option("-n,--last", arguments->last, "how many past records")->capture_default_str();
  tail->add_flag("-f,--follow", arguments->follow, "stay and show new ones");
  tail->add_option("-l,--level", arguments->level, "this level and above")
      ->capture_default_str()
      ->check(IsLevel());
  tail->add_option("-c,--component", arguments->component, "only this one and those below it");
  AddLevelCommands(logs, session);
}

}  // namespace viaduct::ctl
