#include "host/ctl/fleet_commands.h"

#include <google/protobuf/util/json_util.h>

#include <algorithm>
#include <iostream>
#include <map>
#include <memory>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "host/ctl/arguments.h"
#include "host/ctl/format.h"
#include "host/ctl/session.h"
#include "viaduct/control/v1/fleet.grpc.pb.h"

namespace viaduct::ctl {
namespace {

namespace pb = viaduct::control::v1;
using Stub = pb::Fleet::Stub;

std::string StatusText(pb::NodeStatus status) {
  return EnumText(pb::NodeStatus_Name(status), "NODE_STATUS_");
}

std::string RoadsText(const pb::FleetNode& node) {
  return absl::StrJoin(node.roads(), " ", [](std::string* out, const pb::DeviceRoad& road) {
    absl::StrAppend(out, road.name(), "/", road.protocol());
    if (road.has_round_trip()) absl::StrAppend(out, "(", DurationText(road.round_trip()), ")");
  });
}

std::vector<std::string> Row(const pb::FleetNode& node) {
  return {Cell(node.id()),
          StatusText(node.status()),
          node.has_last_seen() ? TimeText(node.last_seen()) : "-",
          Cell(RoadsText(node)),
          Cell(node.hostname()),
          Cell(node.address()),
          Cell(node.version())};
}

Table NodeTable() {
  return Table({"NODE", "STATUS", "LAST SEEN", "ROADS", "HOSTNAME", "ADDRESS", "VERSION"});
}

struct ListArguments {
  uint32_t limit = 1000;
  std::string status;
  std::string prefix;
};

// All pages, up to the limit.
ExitCode List(Session* session, const ListArguments& arguments) {
  pb::FleetListNodesRequest request;
  request.set_id_prefix(arguments.prefix);
  if (arguments.status == "online") request.set_status(pb::NODE_STATUS_ONLINE);
  if (arguments.status == "offline") request.set_status(pb::NODE_STATUS_OFFLINE);
  pb::FleetListNodesResponse all;
  do {
    const auto left = arguments.limit - static_cast<uint32_t>(all.nodes_size());
    request.set_page_size(std::min<uint32_t>(left, 1000));
    request.set_page_token(all.next_page_token());
    pb::FleetListNodesResponse page;
    const ExitCode code = session->Call<pb::Fleet>(&Stub::ListNodes, request, &page);
    if (code != kOk) return code;
    all.mutable_nodes()->MergeFrom(page.nodes());
    all.set_next_page_token(page.next_page_token());
  } while (!all.next_page_token().empty() &&
           static_cast<uint32_t>(all.nodes_size()) < arguments.limit);
  if (session->json()) {
    Session::PrintJson(all);
    return kOk;
  }
  Table table = NodeTable();
  for (const auto& node : all.nodes()) table.Add(Row(node));
  table.Print(std::cout);
  if (!all.next_page_token().empty()) std::cout << "There are more: --limit\n";
  return kOk;
}

struct SendArguments {
  std::string device;
  std::string command;
  std::vector<std::string> values;  // name=value
  std::string arguments;            // One JSON object.
  std::string file;                 // Becomes "yaml".
  std::string road;
  std::string wait;
};

// name=value: the value is JSON, or else a text.
bool AddValue(const std::string& text, google::protobuf::Struct* out) {
  const size_t mark = text.find('=');
  if (mark == std::string::npos || mark == 0) {
    std::cerr << "viaductctl: expected name=value, got \"" << text << "\"\n";
    return false;
  }
  google::protobuf::Value value;
  const std::string written = text.substr(mark + 1);
  if (!google::protobuf::util::JsonStringToMessage(written, &value).ok()) {
    value.set_string_value(written);
  }
  (*out->mutable_fields())[text.substr(0, mark)] = std::move(value);
  return true;
}

bool FillRequest(const SendArguments& arguments, pb::FleetSendControlRequest* request) {
  request->set_device_id(arguments.device);
  request->set_command(arguments.command);
  request->set_road(arguments.road);
  auto* const out = request->mutable_arguments();
  if (!arguments.arguments.empty() &&
      !google::protobuf::util::JsonStringToMessage(arguments.arguments, out).ok()) {
    std::cerr << "viaductctl: --arguments is no JSON object\n";
    return false;
  }
  for (const std::string& value : arguments.values) {
    if (!AddValue(value, out)) return false;
  }
  if (!arguments.file.empty()) {
    std::string text;
    if (!ReadInput(arguments.file, &text)) return false;
    (*out->mutable_fields())["yaml"].set_string_value(text);
  }
  return arguments.wait.empty() || SetDuration(arguments.wait, request->mutable_timeout());
}

ExitCode Send(Session* session, const SendArguments& arguments) {
  pb::FleetSendControlRequest request;
  if (!FillRequest(arguments, &request)) return kUsage;
  OutlastWait(arguments.wait, &session->options.timeout);
  pb::FleetSendControlResponse response;
  const ExitCode code = session->Call<pb::Fleet>(&Stub::SendControl, request, &response);
  if (code != kOk) return code;
  // Its refusal is an answer, but not the one that was asked for.
  const ExitCode end = response.ok() ? kOk : kFailed;
  if (session->json()) {
    Session::PrintJson(response);
    return end;
  }
  std::cout << Cell(arguments.device) << ": " << (response.ok() ? "done" : "refused") << ", "
            << response.status();
  if (!response.error().empty()) std::cout << " " << Cell(response.error());
  std::cout << ", by " << Cell(response.road()) << " in " << DurationText(response.round_trip())
            << "\n";
  if (response.has_result()) Session::PrintJson(response.result());
  return end;
}

// A picture that is redrawn on a terminal, a line for each change on a pipe.
class WatchView {
 public:
  void Take(const pb::FleetWatchNodesResponse& response) {
    if (response.has_node()) Put(response.node());
    if (response.has_lagged()) {
      std::cerr << "viaductctl: missed " << response.lagged().missed() << " changes\n";
    }
    synced_ = synced_ || response.has_synced();
    if (synced_ && OutputIsTerminal()) Draw();
  }

 private:
  void Put(const pb::FleetNode& node) {
    std::vector<std::string> row = Row(node);
    if (!OutputIsTerminal()) {
      for (const auto& cell : row) std::cout << cell << "  ";
      std::cout << std::endl;
    }
    rows_[node.id()] = std::move(row);
  }
  void Draw() const {
    BeginPicture();
    Table table = NodeTable();
    for (const auto& [id, row] : rows_) table.Add(row);
    table.Print(std::cout);
  }

  std::map<std::string, std::vector<std::string>> rows_;
  bool synced_ = false;
};

ExitCode Watch(Session* session, const std::string& prefix) {
  pb::FleetWatchNodesRequest request;
  request.set_id_prefix(prefix);
  WatchView view;
  return session->Stream<pb::Fleet, Stub, pb::FleetWatchNodesRequest, pb::FleetWatchNodesResponse>(
      &Stub::WatchNodes, request, [&](const auto& response) {
        if (!session->json()) view.Take(response);
        return true;
      });
}

void AddSend(CLI::App* fleet, Session* session) {
  auto arguments = std::make_shared<SendArguments>();
  CLI::App* send = AddCommand(fleet, session, "send", "give a device an order and show its answer",
                              [=] { return Send(session, *arguments); });
  send->add_option("device", arguments->device, "id of the node or device")->required();
  send->add_option("command", arguments->command, "e.g. get_status, restart_instance")->required();
  send->add_option("values", arguments->values, "arguments of the command, name=value");
  send->add_option("--arguments", arguments->arguments, "arguments as one JSON object");
  send->add_option("-f,--file", arguments->file,
                   "file that becomes the argument yaml, - for input");
  send->add_option("--road", arguments->road, "only this one: name of an instance, or a protocol");
  send->add_option("--wait", arguments->wait, "how long the device has, e.g. 10s")
      ->check(IsDuration);
}

struct FilesArguments {
  uint32_t limit = 1000;
  std::string device;
  std::string status;
};

std::vector<std::string> Row(const pb::FleetFile& file) {
  return {file.transfer_id(),
          Cell(file.device_id()),
          file.kind(),
          EnumText(pb::FileStatus_Name(file.status()), "FILE_STATUS_"),
          BytesText(file.size()),
          TimeText(file.announced_at()),
          Cell(file.name()),
          Cell(file.detail())};
}

void Print(const pb::FleetListFilesResponse& all) {
  Table table({"TRANSFER", "DEVICE", "KIND", "STATUS", "SIZE", "ANNOUNCED", "NAME", "DETAIL"});
  for (const auto& file : all.files()) table.Add(Row(file));
  table.Print(std::cout);
  if (!all.next_page_token().empty()) std::cout << "There are more: --limit\n";
  if (all.unannounced() == 0) return;
  std::cout << all.unannounced() << " files that nobody has announced:\n";
  for (const std::string& name : all.unannounced_names()) std::cout << "  " << Cell(name) << "\n";
}

// All pages, up to the limit.
ExitCode Files(Session* session, const FilesArguments& arguments) {
  pb::FleetListFilesRequest request;
  request.set_device_id(arguments.device);
  if (arguments.status == "waiting") request.set_status(pb::FILE_STATUS_WAITING);
  if (arguments.status == "stored") request.set_status(pb::FILE_STATUS_STORED);
  if (arguments.status == "failed") request.set_status(pb::FILE_STATUS_FAILED);
  pb::FleetListFilesResponse all;
  do {
    const auto left = arguments.limit - static_cast<uint32_t>(all.files_size());
    request.set_page_size(std::min<uint32_t>(left, 1000));
    request.set_page_token(all.next_page_token());
    pb::FleetListFilesResponse page;
    const ExitCode code = session->Call<pb::Fleet>(&Stub::ListFiles, request, &page);
    if (code != kOk) return code;
    all.mutable_files()->MergeFrom(page.files());
    page.mutable_files()->Swap(all.mutable_files());
    all.Swap(&page);  // The rest is that of the last one.
  } while (!all.next_page_token().empty() &&
           static_cast<uint32_t>(all.files_size()) < arguments.limit);
  if (session->json()) {
    Session::PrintJson(all);
  } else {
    Print(all);
  }
  return kOk;
}

void AddFiles(CLI::App* fleet, Session* session) {
  auto arguments = std::make_shared<FilesArguments>();
  CLI::App* files = AddCommand(fleet, session, "files", "files that devices have told of",
                               [=] { return Files(session, *arguments); });
  files->add_option("--device", arguments->device, "only of this one");
  files->add_option("--status", arguments->status, "only these")
      ->check(CLI::IsMember({"waiting", "stored", "failed"}));
  files->add_option("--limit", arguments->limit, "at most so many")
      ->check(CLI::Range(1u, 1'000'000u))
      ->capture_default_str();
}

}  // namespace

void AddFleetCommands(CLI::App* app, Session* session) {
  CLI::App* fleet = app->add_subcommand("fleet", "the nodes and devices that send to this server");
  fleet->require_subcommand(1);
  auto list = std::make_shared<ListArguments>();
  CLI::App* command = AddCommand(fleet, session, "list", "who is there, and how it can be reached",
                                 [=] { return List(session, *list); });
  command->add_option("--status", list->status, "only these")
      ->check(CLI::IsMember({"online", "offline"}));
  command->add_option("--prefix", list->prefix, "only ids that begin so");
  command->add_option("--limit", list->limit, "at most so many")
      ->check(CLI::Range(1u, 1'000'000u))
      ->capture_default_str();
  AddSend(fleet, session);
  AddFiles(fleet, session);
  auto prefix = std::make_shared<std::string>();
  AddCommand(fleet, session, "watch", "status and roads as they change", [=] {
    return Watch(session, *prefix);
  })->add_option("--prefix", *prefix, "only ids that begin so");
}

}  // namespace viaduct::ctl
