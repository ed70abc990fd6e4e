#include <iostream>
#include <memory>

#include "host/ctl/format.h"
#include "host/ctl/session.h"
#include "viaduct/control/v1/stats.grpc.pb.h"

namespace viaduct::ctl {
namespace {

namespace pb = viaduct::control::v1;

std::string KindText(pb::AlertKind kind) {
  return EnumText(pb::AlertKind_Name(kind), "ALERT_KIND_");
}

void AddRow(const pb::Alert& alert, Table* table) {
  table->Add({TimeText(alert.raised_at()),
              alert.has_cleared_at() ? TimeText(alert.cleared_at()) : "-", KindText(alert.kind()),
              Cell(alert.subject()), Cell(alert.text())});
}

ExitCode List(Session* session) {
  pb::StatsListAlertsResponse response;
  const ExitCode code = session->Call<pb::Stats>(&pb::Stats::Stub::ListAlerts,
                                                 pb::StatsListAlertsRequest(), &response);
  if (code != kOk) return code;
  if (session->json()) {
    Session::PrintJson(response);
    return kOk;
  }
  Table table({"RAISED", "CLEARED", "KIND", "SUBJECT", "TEXT"});
  for (const pb::Alert& alert : response.past()) AddRow(alert, &table);
  for (const pb::Alert& alert : response.active()) AddRow(alert, &table);
  table.Print(std::cout);
  return kOk;
}

bool PrintEvent(const pb::StatsWatchAlertsResponse& response) {
  const pb::Alert& alert = response.alert();
  if (response.has_alert()) {
    const bool over = alert.has_cleared_at();
    std::cout << TimeText(over ? alert.cleared_at() : alert.raised_at()) << "  "
              << (over ? "cleared" : "raised") << "  " << KindText(alert.kind()) << "  "
              << Cell(alert.text()) << std::endl;
  }
  if (response.has_lagged()) {
    std::cout << "... " << response.lagged().missed() << " alerts missed" << std::endl;
  }
  return true;
}

ExitCode Watch(Session* session) {
  return session->Stream<pb::Stats, pb::Stats::Stub, pb::StatsWatchAlertsRequest,
                         pb::StatsWatchAlertsResponse>(
      &pb::Stats::Stub::WatchAlerts, pb::StatsWatchAlertsRequest(),
      [session](const auto& response) { return session->json() || PrintEvent(response); });
}

}  // namespace

void AddAlertCommands(CLI::App* app, Session* session) {
  auto watch = std::make_shared<bool>(false);
  AddCommand(app, session, "alerts", "what is raised now, and the last that were cleared", [=] {
    return *watch ? Watch(session) : List(session);
  })->add_flag("-w,--watch", *watch, "stay and show what is raised and cleared");
}

}  // namespace viaduct::ctl
