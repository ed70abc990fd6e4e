#include <iostream>
#include <memory>

#include "absl/strings/str_cat.h"
#include "host/ctl/arguments.h"
#include "host/ctl/format.h"
#include "host/ctl/session.h"
#include "viaduct/control/v1/node.grpc.pb.h"

namespace viaduct::ctl {
namespace {

namespace pb = viaduct::control::v1;

void PrintNode(const pb::NodeInfo& node) {
  Table table({"NODE", Cell(node.id())});
  table.Add({"state", EnumText(pb::NodeState_Name(node.state()), "NODE_STATE_")});
  table.Add({"health", EnumText(pb::Health_Name(node.health()), "HEALTH_")});
  table.Add({"version", absl::StrCat(node.build().version(), " (", node.build().type(), ", ",
                                     node.build().compiler(), ")")});
  table.Add({"plugin ABI", absl::StrCat(node.abi().major(), ".", node.abi().minor())});
  table.Add({"gRPC", node.build().grpc_version()});
  table.Add({"host", absl::StrCat(node.host().hostname(), ", ", node.host().os(), ", ",
                                  node.host().kernel(), ", ", node.host().architecture())});
  table.Add({"cpus, memory",
             absl::StrCat(node.host().cpus(), ", ", BytesText(node.host().memory_bytes()))});
  table.Add({"pid", absl::StrCat(node.pid())});
  table.Add({"resident", BytesText(node.resident_bytes())});
  table.Add({"started", TimeText(node.started_at())});
  table.Add({"uptime", DurationText(node.uptime())});
  table.Add({"ready after", DurationText(node.start_time())});
  table.Add({"data folder", Cell(node.data_dir())});
  table.Add({"configuration",
             absl::StrCat(Cell(node.config_file()), ", revision ", node.config_revision())});
  std::string sinks;
  for (const auto& sink : node.sinks()) absl::StrAppend(&sinks, sinks.empty() ? "" : ", ", sink);
  table.Add({"sinks", Cell(sinks)});
  table.Print(std::cout);
}

ExitCode GetInfo(Session* session) {
  pb::NodeGetInfoResponse response;
  ExitCode code =
      session->Call<pb::Node>(&pb::Node::Stub::GetInfo, pb::NodeGetInfoRequest(), &response);
  if (code != kOk) return code;
  if (session->json()) {
    Session::PrintJson(response);
  } else {
    PrintNode(response.node());
  }
  return kOk;
}

ExitCode Drain(Session* session, const std::string& deadline, bool stop) {
  pb::NodeDrainRequest request;
  if (!deadline.empty() && !SetDuration(deadline, request.mutable_deadline())) return kUsage;
  request.set_stop(stop);
  OutlastWait(deadline, &session->options.timeout);
  pb::NodeDrainResponse response;
  ExitCode code = session->Call<pb::Node>(&pb::Node::Stub::Drain, request, &response);
  if (code != kOk) return code;
  if (session->json()) {
    Session::PrintJson(response);
  } else {
    std::cout << (response.drained() ? "drained" : "not everything was finished in time") << ", "
              << response.spooled() << " messages stay in the spool\n";
  }
  return response.drained() ? kOk : kTimeout;
}

bool PrintEvent(const pb::NodeWatchResponse& response) {
  switch (response.event_case()) {
    case pb::NodeWatchResponse::kNode:
      PrintNode(response.node());
      break;
    case pb::NodeWatchResponse::kChange:
      std::cout << TimeText(response.change().time()) << "  "
                << EnumText(pb::EventKind_Name(response.change().kind()), "EVENT_KIND_") << "  "
                << Cell(response.change().subject()) << "  " << Cell(response.change().text())
                << std::endl;
      break;
    case pb::NodeWatchResponse::kLagged:
      std::cout << "... " << response.lagged().missed() << " events missed" << std::endl;
      break;
    default:
      break;
  }
  return true;
}

}  // namespace

void AddNodeCommands(CLI::App* app, Session* session) {
  CLI::App* node = app->add_subcommand("node", "the node as a whole");
  node->require_subcommand(1);
  AddCommand(node, session, "info", "who it is and where it runs",
             [session] { return GetInfo(session); });
  auto deadline = std::make_shared<std::string>();
  auto stop = std::make_shared<bool>(false);
  CLI::App* drain = AddCommand(node, session, "drain", "take nothing new, finish what is in flight",
                               [=] { return Drain(session, *deadline, *stop); });
  drain->add_option("--deadline", *deadline, "how long to wait, e.g. 30s")->check(IsDuration);
  drain->add_flag("--stop", *stop, "then stop the process");
  AddCommand(node, session, "watch", "events as they happen", [session] {
    return session->Stream<pb::Node, pb::Node::Stub, pb::NodeWatchRequest, pb::NodeWatchResponse>(
        &pb::Node::Stub::Watch, pb::NodeWatchRequest(),
        [session](const auto& response) { return session->json() || PrintEvent(response); });
  });
}

}  // namespace viaduct::ctl
