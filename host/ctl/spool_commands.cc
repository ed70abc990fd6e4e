#include <iostream>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "core/spool/spool_repair.h"
#include "host/ctl/format.h"
#include "host/ctl/session.h"
#include "host/rpc/status.h"
#include "viaduct/control/v1/spool.grpc.pb.h"

namespace viaduct::ctl {
namespace {

namespace pb = viaduct::control::v1;
using Stub = pb::Spool::Stub;

struct FilterArguments {
  std::vector<std::string> ids;
  std::string device;
  std::string type;
  std::string priority;
  std::string state;
};

const std::map<std::string, pb::SpoolEntryState>& States() {
  static const auto& states = *new std::map<std::string, pb::SpoolEntryState>{
      {"waiting", pb::SPOOL_ENTRY_STATE_WAITING},
      {"in_flight", pb::SPOOL_ENTRY_STATE_IN_FLIGHT},
      {"rejected", pb::SPOOL_ENTRY_STATE_REJECTED}};
  return states;
}

void AddFilter(CLI::App* command, FilterArguments* arguments) {
  command->add_option("--id", arguments->ids, "message ids");
  command->add_option("--device", arguments->device, "edge_device_id");
  command->add_option("--type", arguments->type)
      ->check(CLI::IsMember({"detection", "health", "config", "control"}));
  command->add_option("--priority", arguments->priority)
      ->check(CLI::IsMember({"high", "normal", "low"}));
  command->add_option("--state", arguments->state)
      ->check(CLI::IsMember({"waiting", "in_flight", "rejected"}));
}

void Fill(const FilterArguments& arguments, pb::SpoolFilter* filter) {
  for (const auto& id : arguments.ids) filter->add_message_ids(id);
  filter->set_edge_device_id(arguments.device);
  filter->set_data_type(arguments.type);
  filter->set_priority(arguments.priority);
  auto state = States().find(arguments.state);
  if (state != States().end()) filter->set_state(state->second);
}

ExitCode Info(Session* session) {
  pb::SpoolGetInfoResponse response;
  ExitCode code = session->Call<pb::Spool>(&Stub::GetInfo, pb::SpoolGetInfoRequest(), &response);
  if (code != kOk) return code;
  if (session->json()) {
    Session::PrintJson(response);
    return kOk;
  }
  const auto& spool = response.spool();
  Table table({"SPOOL", Cell(spool.path())});
  table.Add({"messages", absl::StrCat(spool.messages(), " of ", spool.max_messages())});
  table.Add(
      {"bytes", absl::StrCat(BytesText(spool.bytes()), " of ", BytesText(spool.max_bytes()))});
  table.Add({"in flight", absl::StrCat(spool.in_flight())});
  table.Add({"rejected", absl::StrCat(spool.rejected())});
  table.Add({"oldest", DurationText(spool.oldest_age())});
  table.Add({"damaged parts", absl::StrCat(spool.damaged())});
  table.Add({"when full", absl::StrCat(spool.when_full(), spool.full() ? " (full now)" : "")});
  table.Print(std::cout);
  return kOk;
}

ExitCode List(Session* session, const FilterArguments& arguments, uint32_t limit,
              const std::string& page, bool envelope) {
  pb::SpoolListRequest request;
  Fill(arguments, request.mutable_filter());
  request.set_page_size(limit);
  request.set_page_token(page);
  request.set_with_envelope(envelope);
  pb::SpoolListResponse response;
  ExitCode code = session->Call<pb::Spool>(&Stub::List, request, &response);
  if (code != kOk) return code;
  if (session->json()) {
    Session::PrintJson(response);
    return kOk;
  }
  Table table({"SEQUENCE", "MESSAGE", "DEVICE", "TYPE", "PRIORITY", "STATE", "CAPTURED", "ATTEMPTS",
               "BYTES", "LAST ERROR"});
  for (const auto& entry : response.entries()) {
    table.Add({absl::StrCat(entry.sequence()), Cell(entry.message_id()),
               Cell(entry.edge_device_id()), Cell(entry.data_type()), Cell(entry.priority()),
               EnumText(pb::SpoolEntryState_Name(entry.state()), "SPOOL_ENTRY_STATE_"),
               TimeText(entry.timestamp()), absl::StrCat(entry.attempts()),
               absl::StrCat(entry.bytes()), Cell(entry.last_error())});
    if (envelope) table.Add({"", Cell(entry.envelope_json())});
  }
  table.Print(std::cout);
  if (!response.next_page_token().empty()) {
    std::cout << "... and more: --page " << response.next_page_token() << "\n";
  }
  return kOk;
}

ExitCode Retry(Session* session, const FilterArguments& arguments) {
  pb::SpoolRetryRequest request;
  Fill(arguments, request.mutable_filter());
  pb::SpoolRetryResponse response;
  ExitCode code = session->Call<pb::Spool>(&Stub::Retry, request, &response);
  if (code != kOk) return code;
  if (session->json()) {
    Session::PrintJson(response);
  } else {
    std::cout << response.retried() << " messages are back in the queue\n";
  }
  return kOk;
}

ExitCode Drop(Session* session, const FilterArguments& arguments, const std::string& reason) {
  pb::SpoolDropRequest request;
  Fill(arguments, request.mutable_filter());
  request.set_reason(reason);
  pb::SpoolDropResponse response;
  ExitCode code = session->Call<pb::Spool>(&Stub::Drop, request, &response);
  if (code != kOk) return code;
  if (session->json()) {
    Session::PrintJson(response);
  } else {
    std::cout << response.dropped() << " messages dropped\n";
  }
  return kOk;
}

// What follows asks no node.
ExitCode Fail(const Session& session, const absl::Status& status) {
  return session.Report(rpc::ToGrpc(status));
}

// Exit code 6 for one that is damaged.
ExitCode Inspect(Session* session, const std::string& path) {
  const absl::StatusOr<SpoolInspection> found = InspectSpool(path);
  if (!found.ok()) return Fail(*session, found.status());
  const ExitCode code = found->problems.empty() ? kOk : kInvalid;
  if (session->json()) {
    const nlohmann::json document = {{"path", found->path},
                                     {"bytes", found->bytes},
                                     {"log_bytes", found->log_bytes},
                                     {"messages", found->messages},
                                     {"expected", found->expected},
                                     {"dead", found->dead},
                                     {"expected_dead", found->expected_dead},
                                     {"encrypted", found->encrypted},
                                     {"damaged_rows", found->damaged_rows},
                                     {"problems", found->problems}};
    std::cout << document.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) << "\n";
    return code;
  }
  Table table({"SPOOL", Cell(found->path)});
  table.Add({"bytes", absl::StrCat(BytesText(static_cast<uint64_t>(found->bytes)), ", its log ",
                                   BytesText(static_cast<uint64_t>(found->log_bytes)))});
  constexpr const char* kPriorities[] = {"high", "normal", "low"};
  for (size_t i = 0; i < found->messages.size(); ++i) {
    table.Add({kPriorities[i], absl::StrCat(found->messages[i], " of ", found->expected[i])});
  }
  table.Add({"dead letters", absl::StrCat(found->dead, " of ", found->expected_dead)});
  table.Add({"encrypted", absl::StrCat(found->encrypted)});
  table.Print(std::cout);
  for (const std::string& problem : found->problems) std::cout << problem << "\n";
  if (code == kOk) std::cout << "sound\n";
  return code;
}

ExitCode Repair(Session* session, const std::string& path, const std::string& to) {
  const absl::StatusOr<DamageReport> report = RepairSpool(path, to);
  if (!report.ok()) return Fail(*session, report.status());
  if (session->json()) {
    const nlohmann::json document = {{"to", to},
                                     {"saved", report->salvaged},
                                     {"lost", report->lost},
                                     {"lost_known", report->lost_known}};
    std::cout << document.dump(2) << "\n";
    return kOk;
  }
  std::cout << report->salvaged << " messages are in " << to << "/spool.db, " << report->lost
            << (report->lost_known ? "" : " or more") << " could not be read\n";
  return kOk;
}

void AddOffline(CLI::App* spool, Session* session) {
  auto file = std::make_shared<std::string>();
  auto to = std::make_shared<std::string>();
  CLI::App* inspect = AddCommand(spool, session, "inspect", "look at a file, without a node",
                                 [=] { return Inspect(session, *file); });
  inspect->add_option("file", *file, "spool.db, or its folder")->required();
  CLI::App* repair = AddCommand(spool, session, "repair", "copy what can be read of a file",
                                [=] { return Repair(session, *file, *to); });
  repair->add_option("file", *file, "spool.db, or its folder")->required();
  repair->add_option("--to", *to, "folder, absent or empty")->required();
}

}  // namespace

void AddSpoolCommands(CLI::App* app, Session* session) {
  CLI::App* spool = app->add_subcommand("spool", "messages that wait for their peer");
  spool->require_subcommand(1);
  AddCommand(spool, session, "info", "how full it is", [session] { return Info(session); });
  auto filter = std::make_shared<FilterArguments>();
  auto limit = std::make_shared<uint32_t>(0);
  auto page = std::make_shared<std::string>();
  auto envelope = std::make_shared<bool>(false);
  CLI::App* list = AddCommand(spool, session, "list", "look at messages without touching them",
                              [=] { return List(session, *filter, *limit, *page, *envelope); });
  AddFilter(list, filter.get());
  list->add_option("-n,--limit", *limit, "how many (default 100, at most 1000)");
  list->add_option("--page", *page, "go on where the list before has ended");
  list->add_flag("--envelope", *envelope, "the whole envelope, too");
  CLI::App* retry = AddCommand(spool, session, "retry", "put rejected messages back",
                               [=] { return Retry(session, *filter); });
  AddFilter(retry, filter.get());
  auto reason = std::make_shared<std::string>();
  CLI::App* drop = AddCommand(spool, session, "drop", "throw messages away for good",
                              [=] { return Drop(session, *filter, *reason); });
  AddFilter(drop, filter.get());
  AddOffline(spool, session);
  drop->add_option("--reason", *reason, "goes into the audit log")->required();
}

}  // namespace viaduct::ctl
