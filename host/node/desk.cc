#include "host/node/desk.h"

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/string_view.h"
#include "core/lpr/json_writer.h"
#include "core/lpr/replies.h"
#include "core/message/json_scanner.h"
#include "host/node/alert_json.h"

namespace viaduct {
namespace {

constexpr absl::Duration kRetryAfter = absl::Seconds(2);
constexpr char kComponent[] = "desk";

double Millis(absl::Duration time) { return absl::ToDoubleMilliseconds(time); }

void WriteShare(std::string_view key, uint64_t part, uint64_t whole, JsonWriter* json) {
  json->Key(key);
  whole == 0 ? json->Null() : json->Real(static_cast<double>(part) / static_cast<double>(whole));
}

void WriteLink(const LinkStats& link, std::string_view plugin, uint64_t confirmed,
               JsonWriter* json) {
  // What the node took back says nothing about the link.
  const uint64_t ended =
      link.confirmed + link.retried + link.rejected + link.expired + link.timed_out;
  json->BeginObject().Field("link", std::string_view(link.name)).Field("plugin", plugin);
  json->Field("ready", link.ready).Field("breaker", BreakerStateName(link.breaker));
  WriteShare("share", link.confirmed, confirmed, json);
  json->Field("confirmed", static_cast<int64_t>(link.confirmed));
  WriteShare("success_rate", link.confirmed, ended, json);
  const LinkReading& reading = link.reading;
  json->Key("latency_ms").BeginObject().Key("p50").Real(Millis(reading.latency_p50));
  json->Key("p90").Real(Millis(reading.latency_p90));
  json->Key("p99").Real(Millis(reading.latency_p99)).EndObject();
  json->Field("quality", LinkQualityName(reading.quality));
  json->Key("score").Real(reading.score).EndObject();
}

void WriteSwitches(const Dispatcher* dispatcher, JsonWriter* json) {
  json->Key("switches").BeginArray();
  uint64_t total = 0;
  const std::vector<LinkSwitch> switches =
      dispatcher == nullptr ? std::vector<LinkSwitch>() : dispatcher->Switches(&total);
  for (const LinkSwitch& one : switches) {
    json->BeginObject().Field("at", one.at).Key("from");
    one.from.empty() ? json->Null() : json->String(one.from);
    json->Field("to", std::string_view(one.to)).Field("reason", SwitchReasonName(one.reason));
    json->Field("why", std::string_view(one.why)).EndObject();
  }
  json->EndArray();
}

void WriteBacklog(const SpoolInfo& info, JsonWriter* json) {
  json->Key("backlog").BeginObject();
  json->Field("messages", static_cast<int64_t>(info.messages));
  json->Field("bytes", static_cast<int64_t>(info.bytes));
  json->Key("oldest_s").Real(absl::ToDoubleSeconds(info.oldest_age)).EndObject();
}

// How far it has got: all of it once the peer has it, else what a later attempt need not repeat or
// what has moved just now.
uint64_t SentOf(const Transfer& transfer) {
  if (transfer.state == TransferState::kDone ||
      transfer.state == TransferState::kWaitingConfirmation) {
    return transfer.size;
  }
  const auto durable = transfer.durable.find(transfer.road);
  return std::max(transfer.moved, durable == transfer.durable.end() ? 0 : durable->second);
}

void WriteTransfer(const Transfer& transfer, JsonWriter* json) {
  json->BeginObject().Field("transfer_id", std::string_view(transfer.id));
  json->Field("name", std::string_view(transfer.remote_name));
  json->Field("size", static_cast<int64_t>(transfer.size));
  json->Field("sent", static_cast<int64_t>(SentOf(transfer)));
  json->Field("status", TransferStateName(transfer.state)).Key("road");
  transfer.road.empty() ? json->Null() : json->String(transfer.road);
  json->Field("updated_at", transfer.changed).EndObject();
}

}  // namespace

void Desk::RunOn(Executor* executor, ReplyFn reply, std::function<CallReply()> work) {
  auto shared = std::make_shared<ReplyFn>(std::move(reply));
  const bool taken = executor->Submit([shared, work = std::move(work)] { (*shared)(work()); });
  if (taken) return;
  (*shared)(StatusReply(absl::UnavailableError("busy, too many calls wait"), kRetryAfter));
}

void Desk::ShowLinks(ReplyFn reply) {
  std::vector<LinkStats> links;
  if (deps_.dispatcher != nullptr) links = deps_.dispatcher->Stats();
  uint64_t confirmed = 0;
  for (const LinkStats& link : links) confirmed += link.confirmed;
  JsonWriter json;
  json.BeginObject().Field("success", true).Key("links").BeginArray();
  for (const LinkStats& link : links) {
    const absl::StatusOr<InstanceInfo> instance = deps_.instances->Get(link.name);
    WriteLink(link, instance.ok() ? instance->plugin : "", confirmed, &json);
  }
  json.EndArray();
  WriteSwitches(deps_.dispatcher, &json);
  WriteBacklog(deps_.spool == nullptr ? SpoolInfo() : deps_.spool->Info(), &json);
  json.EndObject();
  reply(JsonReply(200, json.Take()));
}

void Desk::ShowTransfers(int limit, std::string cursor, ReplyFn reply) {
  RunOn(deps_.reads, std::move(reply), [this, limit, cursor = std::move(cursor)] {
    TransferPage page;
    if (deps_.transfers != nullptr) {
      absl::StatusOr<TransferPage> found =
          deps_.transfers->List(TransferFilter(), static_cast<size_t>(limit), cursor);
      if (!found.ok()) return StatusReply(found.status(), kRetryAfter);
      page = *std::move(found);
    }
    JsonWriter json;
    json.BeginObject().Field("success", true).Key("transfers").BeginArray();
    for (const Transfer& transfer : page.transfers) WriteTransfer(transfer, &json);
    json.EndArray().Key("next_cursor");
    page.next_page_token.empty() ? json.Null() : json.String(page.next_page_token);
    json.EndObject();
    return JsonReply(200, json.Take());
  });
}

// Those that are raised first, then those that were cleared; the newest first.
void Desk::ShowAlerts(ReplyFn reply) {
  JsonWriter json;
  json.BeginObject().Field("success", true).Key("alerts").BeginArray();
  for (std::vector<Alert> alerts : {deps_.alerts->Active(), deps_.alerts->Past()}) {
    for (auto alert = alerts.rbegin(); alert != alerts.rend(); ++alert) {
      WriteShownAlert(deps_.node_id, *alert, deps_.marks->Find(*alert), &json);
    }
  }
  json.EndArray().EndObject();
  reply(JsonReply(200, json.Take()));
}

std::optional<Alert> Desk::FindAlert(const std::string& id) const {
  for (std::vector<Alert> alerts : {deps_.alerts->Active(), deps_.alerts->Past()}) {
    for (Alert& alert : alerts) {
      if (alert.id == id) return std::move(alert);
    }
  }
  return std::nullopt;
}

void Desk::Acknowledge(std::string alert_id, std::string by, std::string note, ReplyFn reply) {
  AlertMark mark{std::move(by), std::move(note), deps_.clock->Now()};
  RunOn(deps_.reads, std::move(reply),
        [this, alert_id = std::move(alert_id), mark = std::move(mark)] {
          return Mark(alert_id, mark);
        });
}

CallReply Desk::Mark(const std::string& alert_id, AlertMark mark) {
  const std::optional<Alert> alert = FindAlert(alert_id);
  if (!alert.has_value()) {
    return ErrorReply(404, absl::StrCat("alert: there is none ", ShownText(alert_id)));
  }
  const absl::Status kept = deps_.marks->Put(*alert, mark);
  if (!kept.ok()) return StatusReply(kept, kRetryAfter);
  deps_.marked(*alert, mark);
  JsonWriter json;
  json.BeginObject().Field("success", true).Key("alert");
  WriteShownAlert(deps_.node_id, *alert, mark, &json);
  json.EndObject();
  return JsonReply(200, json.Take());
}

void Desk::OnCleared(const Alert& alert) {
  if (!deps_.marks->NoteCleared(alert)) return;
  deps_.reads->Submit([this] {
    const absl::Status kept = deps_.marks->Keep();
    if (kept.ok()) return;
    deps_.log->Warning(kComponent, "cannot note that an alert is over",
                       {{"reason", StdView(kept.message())}});
  });
}

}  // namespace viaduct
