#include <iostream>
#include <memory>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "host/ctl/arguments.h"
#include "host/ctl/format.h"
#include "host/ctl/session.h"
#include "viaduct/control/v1/stats.grpc.pb.h"

namespace viaduct::ctl {
namespace {

namespace pb = viaduct::control::v1;

void PrintInstances(const pb::Snapshot& snapshot) {
  Table table({"INSTANCE", "SENT", "CONFIRMED", "RETRIED", "REJECTED", "EXPIRED", "RECEIVED",
               "IN FLIGHT", "P50", "P99", "QUALITY"});
  for (const auto& instance : snapshot.instances()) {
    std::string p50 = "-";
    std::string p99 = "-";
    for (const auto& phase : instance.phases()) {
      if (phase.phase() != "deliver" || phase.latency().count() == 0) continue;
      p50 = DurationText(phase.latency().p50());
      p99 = DurationText(phase.latency().p99());
    }
    table.Add({Cell(instance.instance()), absl::StrCat(instance.sent()),
               absl::StrCat(instance.confirmed()), absl::StrCat(instance.retried()),
               absl::StrCat(instance.rejected()), absl::StrCat(instance.expired()),
               absl::StrCat(instance.received()), absl::StrCat(instance.in_flight()), p50, p99,
               EnumText(pb::LinkQuality_Name(instance.quality()), "LINK_QUALITY_")});
  }
  table.Print(std::cout);
}

void PrintLinks(const pb::Snapshot& snapshot) {
  Table table(
      {"LINK", "BREAKER", "SCORE", "LATENCY", "P50", "P99", "LOSS", "BYTES/S", "UPTIME", "PROBES"});
  for (const auto& instance : snapshot.instances()) {
    if (!instance.has_link()) continue;
    const pb::LinkReading& link = instance.link();
    table.Add({Cell(instance.instance()),
               EnumText(pb::BreakerState_Name(link.breaker()), "BREAKER_STATE_"),
               absl::StrFormat("%.2f", link.score()), DurationText(link.latency()),
               DurationText(link.latency_p50()), DurationText(link.latency_p99()),
               absl::StrFormat("%.1f %%", link.loss() * 100),
               absl::StrFormat("%.0f", link.bytes_per_second()),
               absl::StrFormat("%.1f %%", link.uptime() * 100), absl::StrCat(link.probes())});
  }
  std::cout << "\n";
  table.Print(std::cout);
  for (const auto& change : snapshot.switches()) {
    std::cout << (change.from().empty() ? "-" : Cell(change.from())) << " -> " << Cell(change.to())
              << ": " << change.why() << "\n";
  }
}

void PrintSnapshot(const pb::Snapshot& snapshot) {
  const auto& spool = snapshot.spool();
  Table table({"AT", TimeText(snapshot.time())});
  table.Add({"since", TimeText(snapshot.epoch())});
  table.Add({"spooled", absl::StrCat(spool.messages(), " (", BytesText(spool.bytes()), "), oldest ",
                                     DurationText(spool.oldest_age()))});
  table.Add({"accepted", absl::StrCat(spool.accepted())});
  table.Add(
      {"ended", absl::StrCat(spool.confirmed(), " confirmed, ", spool.rejected(), " rejected, ",
                             spool.expired(), " expired, ", spool.dropped(), " dropped")});
  table.Add({"resident", BytesText(snapshot.resident_bytes())});
  table.Add({"cpu", DurationText(snapshot.cpu_time())});
  table.Print(std::cout);
  std::cout << "\n";
  PrintInstances(snapshot);
  PrintLinks(snapshot);
  for (const auto& sample : snapshot.samples()) {
    std::cout << sample.name();
    for (const auto& [name, value] : sample.labels()) std::cout << " " << name << "=" << value;
    std::cout << " " << sample.value() << "\n";
  }
  std::cout.flush();
}

ExitCode Show(Session* session, bool samples) {
  pb::StatsSnapshotRequest request;
  request.set_samples(samples);
  pb::StatsSnapshotResponse response;
  ExitCode code = session->Call<pb::Stats>(&pb::Stats::Stub::Snapshot, request, &response);
  if (code != kOk) return code;
  session->json() ? Session::PrintJson(response) : PrintSnapshot(response.snapshot());
  return kOk;
}

ExitCode Watch(Session* session, const std::string& interval, bool samples) {
  pb::StatsWatchRequest request;
  if (!interval.empty() && !SetDuration(interval, request.mutable_interval())) return kUsage;
  request.set_samples(samples);
  return session->Stream<pb::Stats, pb::Stats::Stub, pb::StatsWatchRequest, pb::StatsWatchResponse>(
      &pb::Stats::Stub::Watch, request, [session](const auto& response) {
        if (session->json()) return true;
        BeginPicture();
        PrintSnapshot(response.snapshot());
        return true;
      });
}

}  // namespace

void AddStatsCommands(CLI::App* app, Session* session) {
  CLI::App* stats = app->add_subcommand("stats", "numbers");
  stats->require_subcommand(1);
  auto samples = std::make_shared<bool>(false);
  auto interval = std::make_shared<std::string>();
  AddCommand(stats, session, "show", "one snapshot", [=] {
    return Show(session, *samples);
  })->add_flag("--samples", *samples, "every sample of the metrics registry, too");
  CLI::App* watch = AddCommand(stats, session, "watch", "a snapshot each interval",
                               [=] { return Watch(session, *interval, *samples); });
  watch->add_option("-i,--interval", *interval, "e.g. 2s")->check(IsDuration);
  watch->add_flag("--samples", *samples, "every sample of the metrics registry, too");
}

}  // namespace viaduct::ctl
