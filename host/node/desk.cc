#include "host/node/desk.h"

#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/string_view.h"
#include "core/lpr/gateway_report.h"
#include "core/lpr/json_writer.h"
#include "core/lpr/replies.h"
#include "core/message/json_scanner.h"
#include "host/node/alert_json.h"

namespace viaduct {
namespace {

constexpr absl::Duration kRetryAfter = absl::Seconds(2);
constexpr char kComponent[] = "desk";

}  // namespace

void Desk::RunOn(Executor* executor, ReplyFn reply, std::function<CallReply()> work) {
  auto shared = std::make_shared<ReplyFn>(std::move(reply));
  const bool taken = executor->Submit([shared, work = std::move(work)] { (*shared)(work()); });
  if (taken) return;
  (*shared)(StatusReply(absl::UnavailableError("busy, too many calls wait"), kRetryAfter));
}

void Desk::ShowLinks(ReplyFn reply) {
  JsonWriter json;
  json.BeginObject().Field("success", true);
  WriteRoads(deps_.gateway->Roads(), &json);
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
    for (const Transfer& transfer : page.transfers) {
      WriteFile(GatewayFacts::FileOf(transfer), &json);
    }
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
