#include "host/node/gateway_reporter.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/ids.h"
#include "core/base/string_view.h"

namespace viaduct {
namespace {

constexpr char kComponent[] = "gateway";

int64_t ConfirmedOf(const GatewayReport& report) {
  int64_t confirmed = 0;
  for (const RoadReport& road : report.links) confirmed += road.confirmed;
  return confirmed;
}

}  // namespace

GatewayReporter::GatewayReporter(absl::Duration interval, Deps deps)
    : interval_(interval), deps_(std::move(deps)) {}

void GatewayReporter::Start() {
  next_ns_ = due_ns_ = deps_.clock->MonotonicNanos() + absl::ToInt64Nanoseconds(kMinGap);
  Arm();
}

void GatewayReporter::Arm() {
  deps_.timers->ArmAfter(kLookEvery, [this] {
    // Looking reads the disk; when the pool is busy there is no look this time.
    const bool taken = deps_.executor->Submit([this] {
      Look();
      Arm();
    });
    if (!taken) Arm();
  });
}

void GatewayReporter::Look() {
  const int64_t now_ns = deps_.clock->MonotonicNanos();
  if (now_ns < next_ns_) return;
  GatewayReport report = deps_.roads();
  std::string mark = MarkOf(report);
  if (now_ns < due_ns_ && mark == told_) return;
  next_ns_ = now_ns + absl::ToInt64Nanoseconds(kMinGap);
  if (report.links.empty() || Waits() || CostsByItself(report)) return;
  if (Refused()) {
    next_ns_ = told_ns_ + absl::ToInt64Nanoseconds(kAfterRefusal);
    if (now_ns < next_ns_) return;
    next_ns_ = now_ns + absl::ToInt64Nanoseconds(kMinGap);
  }
  told_ns_ = now_ns;
  due_ns_ = now_ns + absl::ToInt64Nanoseconds(interval_);
  told_ = std::move(mark);
  told_confirmed_ = ConfirmedOf(report);
  own_ = 1;
  report.interval_s = absl::ToDoubleSeconds(interval_);
  report.files = deps_.files();
  Submit(std::move(report));
}

std::string GatewayReporter::MarkOf(const GatewayReport& report) {
  std::string mark;
  for (const RoadReport& road : report.links)
    absl::StrAppend(&mark, road.name, "=", road.state, " ");
  // The first choice for a kind of message is no news of a road.
  const auto last = std::find_if(report.switches.rbegin(), report.switches.rend(),
                                 [](const RoadSwitchReport& one) { return !one.from.empty(); });
  if (last != report.switches.rend()) absl::StrAppend(&mark, absl::ToUnixNanos(last->at));
  return mark;
}

// Behind so many others of the same priority that it is not found, another would be history when it
// comes.
bool GatewayReporter::Waits() const {
  SpoolFilter filter;
  filter.edge_device_id = deps_.node_id;
  filter.data_type = DataType::kHealth;
  filter.priority = Priority::kLow;
  for (const SpoolEntryState state : {SpoolEntryState::kWaiting, SpoolEntryState::kInFlight}) {
    filter.state = state;
    const absl::StatusOr<SpoolPage> page = deps_.spool->List(filter, 1, "", false);
    if (!page.ok() || !page->entries.empty() || !page->next_page_token.empty()) return true;
  }
  return false;
}

bool GatewayReporter::Refused() const {
  if (told_id_.empty()) return false;
  SpoolFilter filter;
  filter.message_ids = {told_id_};
  filter.state = SpoolEntryState::kRejected;
  const absl::StatusOr<SpoolPage> page = deps_.spool->List(filter, 1, "", false);
  return page.ok() && !page->entries.empty();
}

bool GatewayReporter::CostsByItself(const GatewayReport& report) const {
  const auto free = [](const RoadReport& road) { return road.state == "ready" && !road.metered; };
  const auto metered = [](const RoadReport& road) { return road.state == "ready" && road.metered; };
  if (std::any_of(report.links.begin(), report.links.end(), free)) return false;
  if (std::none_of(report.links.begin(), report.links.end(), metered)) return false;
  return ConfirmedOf(report) - told_confirmed_ <= own_;
}

void GatewayReporter::Submit(GatewayReport report) {
  const absl::Time now = deps_.clock->Now();
  Envelope envelope;
  envelope.message_id = told_id_ = NewUuid(now);
  envelope.timestamp = now;
  envelope.protocol = "rest";  // A name that every server knows; no road has carried it yet.
  envelope.edge_device_id = deps_.node_id;
  envelope.data_type = DataType::kHealth;
  envelope.metadata.priority = Priority::kLow;
  envelope.payload_json = GatewayPayload(std::move(report), deps_.node_id, now);
  deps_.submit(std::move(envelope), [log = deps_.log](const absl::Status& status) {
    if (status.ok() || absl::IsUnavailable(status)) return;  // The node ends, or is busy.
    log->Warning(kComponent, "the report for the server is not taken",
                 {{"reason", StdView(status.message())}});
  });
}

}  // namespace viaduct
