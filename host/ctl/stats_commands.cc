#include <iostream>
#include <memory>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "host/ctl/arguments.h"
#include "host/ctl/format.h"
#include "host/ctl/session.h"
#include "viaduct/control/v1/stats.grpc.pb.h"

namespace viaduct::ctl {
namespace {

namespace pb = viaduct::control::v1;

void PrintInstances(const pb::Snapshot& snapshot) {
  Table table({"INSTANCE", "SENT", "CONFIRMED", "RETRIED", "REJECTED", "EXPIRED", "RECEIVED",
               "TIMED OUT", "HEDGED", "IN FLIGHT"});
  for (const auto& instance : snapshot.instances()) {
    table.Add({Cell(instance.instance()), absl::StrCat(instance.sent()),
               absl::StrCat(instance.confirmed()), absl::StrCat(instance.retried()),
               absl::StrCat(instance.rejected()), absl::StrCat(instance.expired()),
               absl::StrCat(instance.received()), absl::StrCat(instance.timed_out()),
               absl::StrCat(instance.hedged()), absl::StrCat(instance.in_flight())});
  }
  table.Print(std::cout);
}

std::string PercentText(double share) { return absl::StrFormat("%.1f %%", share * 100); }

// Until the confirmation, of all deliveries that were confirmed.
std::vector<std::string> Quantiles(const pb::InstanceStats& instance) {
  for (const auto& phase : instance.phases()) {
    const pb::Histogram& latency = phase.latency();
    if (phase.phase() != "deliver" || latency.count() == 0) continue;
    return {DurationText(latency.p50()), DurationText(latency.p90()), DurationText(latency.p99())};
  }
  return {"-", "-", "-"};
}

void PrintSwitches(const pb::Snapshot& snapshot) {
  if (snapshot.switches().empty()) return;
  Table table({"SWITCHED AT", "FROM", "TO", "PRIORITY", "BYTES", "REASON", "WHY"});
  for (const auto& change : snapshot.switches()) {
    table.Add({TimeText(change.at()), Cell(change.from()), Cell(change.to()),
               EnumText(viaduct::gateway::v1::Priority_Name(change.priority()), "PRIORITY_"),
               absl::StrCat(change.bytes()),
               EnumText(pb::SwitchReason_Name(change.reason()), "SWITCH_REASON_"),
               Cell(change.why())});
  }
  std::cout << "\n";
  table.Print(std::cout);
}

void PrintLinks(const pb::Snapshot& snapshot) {
  Table table({"LINK", "USAGE", "SUCCESS", "P50", "P90", "P99", "QUALITY", "BREAKER", "SCORE",
               "LATENCY", "LOSS", "BYTES/S", "UPTIME", "PROBES"});
  for (const auto& instance : snapshot.instances()) {
    if (!instance.has_link()) continue;
    const pb::LinkReading& link = instance.link();
    const std::vector<std::string> times = Quantiles(instance);
    table.Add(
        {Cell(instance.instance()), instance.has_usage() ? PercentText(instance.usage()) : "-",
         instance.has_success_rate() ? PercentText(instance.success_rate()) : "-", times[0],
         times[1], times[2], EnumText(pb::LinkQuality_Name(instance.quality()), "LINK_QUALITY_"),
         EnumText(pb::BreakerState_Name(link.breaker()), "BREAKER_STATE_"),
         absl::StrFormat("%.2f", link.score()), DurationText(link.latency()),
         PercentText(link.loss()), absl::StrFormat("%.0f", link.bytes_per_second()),
         PercentText(link.uptime()), absl::StrCat(link.probes())});
  }
  std::cout << "\n";
  table.Print(std::cout);
  PrintSwitches(snapshot);
}

std::string DropsText(const pb::FeedStats& feed) {
  std::vector<std::string> drops;
  for (const pb::FeedDrop& drop : feed.drops()) {
    drops.push_back(absl::StrCat(drop.pictures(), " ", drop.reason()));
  }
  return drops.empty() ? "-" : absl::StrJoin(drops, ", ");
}

void PrintFeeds(const pb::Snapshot& snapshot) {
  if (snapshot.feeds().empty()) return;
  Table table({"FEED", "INSTANCE", "PICTURES", "GIVEN", "RESULTS", "P50", "P99", "DETECTIONS",
               "UNSENT", "DROPPED"});
  for (const pb::FeedStats& feed : snapshot.feeds()) {
    const bool callers = feed.source().empty();  // What they submit is counted as any message.
    bool first = true;
    for (const pb::FeedInstance& pair : feed.instances()) {
      const pb::Histogram& time = pair.inference();
      const auto once = [first](std::string text) { return first ? text : std::string(); };
      table.Add({once(callers ? "(callers)" : Cell(feed.source())), Cell(pair.instance()),
                 once(absl::StrCat(feed.offered())), absl::StrCat(pair.given()),
                 absl::StrCat(pair.results()), time.count() == 0 ? "-" : DurationText(time.p50()),
                 time.count() == 0 ? "-" : DurationText(time.p99()),
                 once(callers ? "-" : absl::StrCat(feed.detections())),
                 once(callers ? "-" : absl::StrCat(feed.unsent())), once(Cell(DropsText(feed)))});
      first = false;
    }
  }
  std::cout << "\n";
  table.Print(std::cout);
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
  PrintFeeds(snapshot);
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
