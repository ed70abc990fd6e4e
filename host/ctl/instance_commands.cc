#include <iostream>
#include <map>
#include <memory>

#include "absl/strings/str_cat.h"
#include "host/ctl/arguments.h"
#include "host/ctl/format.h"
#include "host/ctl/session.h"
#include "viaduct/control/v1/instances.grpc.pb.h"

namespace viaduct::ctl {
namespace {

namespace pb = viaduct::control::v1;

std::vector<std::string> Row(const pb::Instance& instance) {
  return {Cell(instance.name()),
          Cell(instance.plugin()),
          EnumText(pb::InstanceState_Name(instance.state()), "INSTANCE_STATE_"),
          EnumText(pb::Health_Name(instance.health()), "HEALTH_"),
          TimeText(instance.since()),
          instance.has_retry_in() ? DurationText(instance.retry_in()) : "-",
          Cell(instance.reason())};
}

Table InstanceTable() {
  return Table({"NAME", "PLUGIN", "STATE", "HEALTH", "SINCE", "RETRY IN", "REASON"});
}

ExitCode List(Session* session) {
  pb::InstancesListResponse response;
  ExitCode code = session->Call<pb::Instances>(&pb::Instances::Stub::List,
                                               pb::InstancesListRequest(), &response);
  if (code != kOk) return code;
  if (session->json()) {
    Session::PrintJson(response);
    return kOk;
  }
  Table table = InstanceTable();
  for (const auto& instance : response.instances()) table.Add(Row(instance));
  table.Print(std::cout);
  return kOk;
}

// All answers but List's carry one instance.
template <typename Request, typename Response>
ExitCode ShowOne(Session* session,
                 Session::UnaryMethod<pb::Instances::Stub, Request, Response> method,
                 const Request& request) {
  Response response;
  ExitCode code = session->Call<pb::Instances>(method, request, &response);
  if (code != kOk) return code;
  if (session->json()) {
    Session::PrintJson(response);
    return kOk;
  }
  Table table = InstanceTable();
  table.Add(Row(response.instance()));
  table.Print(std::cout);
  if constexpr (std::is_same_v<Response, pb::InstancesGetResponse>) {
    std::cout << "\n" << response.config_json() << "\n";
  }
  return response.instance().state() == pb::INSTANCE_STATE_FAILED ? kUnhealthy : kOk;
}

// The live picture on a terminal, a line for each change on a pipe.
class WatchView {
 public:
  void Take(const pb::InstancesWatchResponse& response) {
    switch (response.event_case()) {
      case pb::InstancesWatchResponse::kInstance:
        Put("instance/" + response.instance().name(), Row(response.instance()));
        break;
      case pb::InstancesWatchResponse::kComponent: {
        const auto& component = response.component();
        Put(component.name(), {Cell(component.name()), "-", "-",
                               EnumText(pb::Health_Name(component.health()), "HEALTH_"),
                               TimeText(component.since()), "-", Cell(component.reason())});
        break;
      }
      case pb::InstancesWatchResponse::kRemoved:
        rows_.erase("instance/" + response.removed());
        if (!OutputIsTerminal()) std::cout << response.removed() << "  removed" << std::endl;
        break;
      default:
        synced_ = true;
    }
    if (synced_ && OutputIsTerminal()) Draw();
  }

 private:
  void Put(const std::string& key, std::vector<std::string> row) {
    if (!OutputIsTerminal()) {
      for (const auto& cell : row) std::cout << cell << "  ";
      std::cout << std::endl;
    }
    rows_[key] = std::move(row);
  }
  void Draw() const {
    BeginPicture();
    Table table = InstanceTable();
    for (const auto& [key, row] : rows_) table.Add(row);
    table.Print(std::cout);
  }

  std::map<std::string, std::vector<std::string>> rows_;
  bool synced_ = false;
};

ExitCode Watch(Session* session, const std::vector<std::string>& names) {
  pb::InstancesWatchRequest request;
  for (const auto& name : names) request.add_names(name);
  WatchView view;
  return session->Stream<pb::Instances, pb::Instances::Stub, pb::InstancesWatchRequest,
                         pb::InstancesWatchResponse>(&pb::Instances::Stub::Watch, request,
                                                     [&](const auto& response) {
                                                       if (!session->json()) view.Take(response);
                                                       return true;
                                                     });
}

template <typename Request, typename Response>
void AddChange(CLI::App* parent, Session* session, const char* command, const char* description,
               Session::UnaryMethod<pb::Instances::Stub, Request, Response> method) {
  auto name = std::make_shared<std::string>();
  AddCommand(parent, session, command, description,
             [=] {
               Request request;
               request.set_name(*name);
               return ShowOne(session, method, request);
             })
      ->add_option("name", *name, "name of the instance")
      ->required();
}

}  // namespace

void AddInstanceCommands(CLI::App* app, Session* session) {
  CLI::App* instances = app->add_subcommand("instances", "configured uses of plugins");
  instances->require_subcommand(1);
  AddCommand(instances, session, "list", "all of them", [session] { return List(session); });
  AddChange(instances, session, "get", "one with its configuration", &pb::Instances::Stub::Get);
  AddChange(instances, session, "start", "start it", &pb::Instances::Stub::Start);
  AddChange(instances, session, "stop", "stop it", &pb::Instances::Stub::Stop);
  AddChange(instances, session, "restart", "stop and start it", &pb::Instances::Stub::Restart);
  auto name = std::make_shared<std::string>();
  auto deadline = std::make_shared<std::string>();
  CLI::App* drain =
      AddCommand(instances, session, "drain", "finish what is in flight, then stop", [=] {
        pb::InstancesDrainRequest request;
        request.set_name(*name);
        if (!deadline->empty() && !SetDuration(*deadline, request.mutable_deadline())) {
          return kUsage;
        }
        OutlastWait(*deadline, &session->options.timeout);
        return ShowOne(session, &pb::Instances::Stub::Drain, request);
      });
  drain->add_option("name", *name, "name of the instance")->required();
  drain->add_option("--deadline", *deadline, "how long to wait, e.g. 30s")->check(IsDuration);
  auto names = std::make_shared<std::vector<std::string>>();
  AddCommand(instances, session, "watch", "states and health as they change", [=] {
    return Watch(session, *names);
  })->add_option("names", *names, "only these");
}

}  // namespace viaduct::ctl
