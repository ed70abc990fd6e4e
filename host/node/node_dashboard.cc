// What the pages of the dashboard need of the node.
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "core/base/string_view.h"
#include "core/config/dashboard_options.h"
#include "core/config/members.h"
#include "core/config/validate.h"
#include "core/lpr/dashboard_files.h"
#include "host/node/alert_marks.h"
#include "host/node/alert_monitor.h"
#include "host/node/desk.h"
#include "host/node/node.h"

namespace viaduct {
namespace {

namespace fs = std::filesystem;

constexpr char kComponent[] = "dashboard";

// Of a build and of an installation: the programs are in bin/ of each.
std::vector<std::string> Folders(const DashboardOptionsConfig& options) {
  if (!options.path.empty()) return {options.path};
  const fs::path programs = SystemEnvironment().ExecutableDir();
  return {(programs / "../dashboard").lexically_normal().string(),
          (programs / "../share/viaduct/dashboard").lexically_normal().string()};
}

}  // namespace

// A node without pages is a node all the same: it says so and goes on.
void Node::ReadDashboard() {
  const DashboardOptionsConfig options = ReadDashboardOptions(foundation_->config);
  if (!options.enabled || store_ == nullptr) return;
  absl::Status why;
  for (const std::string& folder : Folders(options)) {
    absl::StatusOr<std::unique_ptr<DashboardFiles>> files = DashboardFiles::Read(folder);
    if (files.ok()) {
      dashboard_ = *std::move(files);
      return;
    }
    why = files.status();
    if (!absl::IsNotFound(why)) break;
  }
  // Not every package has them; who names a folder wants it.
  if (absl::IsNotFound(why) && options.path.empty()) {
    return foundation_->log->Info(kComponent, "no pages are installed", {});
  }
  foundation_->log->Warning(kComponent, "its pages cannot be read",
                            {{"reason", StdView(why.message())}});
}

void Node::BuildDashboard(ApplicationOptions* options, ApplicationParts* parts) {
  ReadDashboard();
  parts->dashboard = dashboard_.get();
  marks_ = std::make_unique<AlertMarks>(foundation_->data_dir->path(), &foundation_->clock);
  desk_ = std::make_unique<Desk>();
  parts->desk = desk_.get();
  const bool said = !members::SectionOf(foundation_->config, "auth").is_null();
  options->unguarded = said ? "none" : "local";
  if (!access_->guarded()) return;
  parts->signing_in.log_in = [this](const Peer& peer, std::string name, std::string password,
                                    SigningIn::DoneFn done) {
    access_->gatekeeper()->LogIn(peer, std::move(name), std::move(password), std::move(done));
  };
  parts->signing_in.log_out = [this](const Peer& peer, const security::Principal& who) {
    access_->gatekeeper()->LogOut(peer, who);
  };
}

// The parts that it asks are made after the application, and before anybody can reach that.
void Node::BeginDesk() {
  Desk::Deps deps;
  deps.node_id = foundation_->config.node.id;
  deps.clock = &foundation_->clock;
  deps.log = foundation_->log.get();
  deps.gateway = gateway_facts_.get();
  deps.transfers = transfers_.get();
  deps.alerts = &alerts_->alerts();
  deps.marks = marks_.get();
  deps.config = config_.get();
  deps.reads = &pools_.reads;
  deps.commands = &pools_.commands;
  deps.changes = &pools_.changes;
  deps.marked = [this](const Alert& alert, const AlertMark& mark) {
    fleet_events_->OnAlert(alert, mark, health_.Aggregate());
  };
  desk_->Begin(std::move(deps));
}

}  // namespace viaduct
