#include <iostream>
#include <memory>

#include "grpc/health/v1/health.grpc.pb.h"
#include "host/ctl/session.h"

namespace viaduct::ctl {
namespace {

namespace pb = grpc::health::v1;

ExitCode CodeOf(pb::HealthCheckResponse::ServingStatus status) {
  return status == pb::HealthCheckResponse::SERVING ? kOk : kUnhealthy;
}

ExitCode Print(Session* session, const pb::HealthCheckResponse& response) {
  if (!session->json()) {
    std::cout << pb::HealthCheckResponse::ServingStatus_Name(response.status()) << std::endl;
  }
  return CodeOf(response.status());
}

ExitCode Check(Session* session, const std::string& service) {
  pb::HealthCheckRequest request;
  request.set_service(service);
  pb::HealthCheckResponse response;
  ExitCode code = session->Call<pb::Health>(&pb::Health::Stub::Check, request, &response);
  if (code != kOk) return code;
  if (session->json()) Session::PrintJson(response);
  return Print(session, response);
}

ExitCode Watch(Session* session, const std::string& service) {
  pb::HealthCheckRequest request;
  request.set_service(service);
  return session
      ->Stream<pb::Health, pb::Health::Stub, pb::HealthCheckRequest, pb::HealthCheckResponse>(
          &pb::Health::Stub::Watch, request, [session](const auto& response) {
            Print(session, response);
            return true;
          });
}

}  // namespace

void AddHealthCommands(CLI::App* app, Session* session) {
  auto service = std::make_shared<std::string>();
  auto watch = std::make_shared<bool>(false);
  CLI::App* health = AddCommand(app, session, "health", "grpc.health.v1 of the node", [=] {
    return *watch ? Watch(session, *service) : Check(session, *service);
  });
  health->add_option("service", *service, "\"\", viaduct.node or viaduct.instance/<name>");
  health->add_flag("-w,--watch", *watch, "stay and show changes");
}

}  // namespace viaduct::ctl
