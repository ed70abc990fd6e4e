// What devices have told of files, and what of them is here.
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "core/base/string_view.h"
#include "core/lpr/application_impl.h"

namespace viaduct {
namespace {

constexpr int kDefaultFiles = 50;

absl::Status ReadState(const std::string& name, std::optional<FileState>* state) {
  if (name.empty()) return absl::OkStatus();
  for (const FileState one : {FileState::kWaiting, FileState::kStored, FileState::kFailed}) {
    if (FileStateName(one) == name) *state = one;
  }
  if (state->has_value()) return absl::OkStatus();
  return absl::InvalidArgumentError("status: expected waiting, stored or failed");
}

absl::Status ReadCursor(const std::string& text, int64_t* after) {
  if (text.empty()) return absl::OkStatus();
  if (absl::SimpleAtoi(text, after) && *after >= 0) return absl::OkStatus();
  return absl::InvalidArgumentError("cursor: not one of ours");
}

void WriteFileJson(const FileTransferRow& row, JsonWriter* json) {
  const FileTransferRecord& r = row.record;
  const auto text_or_null = [json](std::string_view key, const std::string& text) {
    json->Key(key);
    text.empty() ? json->Null() : json->String(text);
  };
  json->BeginObject().Field("transfer_id", std::string_view(r.transfer_id));
  json->Field("edge_device_id", std::string_view(r.device_id));
  text_or_null("node_id", r.node_id);
  text_or_null("message_id", r.message_id);
  json->Field("kind", FileKindName(r.kind)).Field("index", static_cast<int64_t>(r.place));
  json->Field("name", std::string_view(r.name)).Field("size", static_cast<int64_t>(r.size));
  json->Field("sha256", std::string_view(r.sha256)).Field("status", FileStateName(r.state));
  text_or_null("detail", r.detail);
  text_or_null("image_path", r.path);
  json->Field("timestamp", r.captured_at).Field("announced_at", row.announced_at);
  json->Field("settled_at", row.settled_at).EndObject();
}

}  // namespace

void Application::Impl::ListFileTransfers(RoutedRequest request, ReplyFn reply) {
  FileTransfersQuery query;
  const auto read = [&]() -> absl::Status {
    VD_ASSIGN_OR_RETURN(const QueryParams params, QueryParams::Parse(request.call.query));
    query.device_id = params.Text({"device"});
    if (query.device_id.empty()) query.device_id = params.Identity();
    VD_RETURN_IF_ERROR(PermitList(request.call, &query.device_id));
    VD_RETURN_IF_ERROR(ReadState(params.Text({"status"}), &query.state));
    VD_RETURN_IF_ERROR(ReadCursor(params.Text({"cursor"}), &query.after));
    VD_ASSIGN_OR_RETURN(query.limit, params.Int("limit", kDefaultFiles, 1, kMaxPageRows));
    return absl::OkStatus();
  };
  const absl::Status status = read();
  if (!status.ok()) return reply(Failed(status));
  const absl::StatusOr<std::vector<FileTransferRow>> rows = parts_.store->ListFileTransfers(query);
  if (!rows.ok()) return reply(Failed(rows.status()));
  JsonWriter json;
  json.BeginObject().Field("success", true).Key("files").BeginArray();
  for (const FileTransferRow& row : *rows) WriteFileJson(row, &json);
  json.EndArray().Field("returned_count", static_cast<int64_t>(rows->size()));
  json.Key("next_cursor");
  const bool more = rows->size() == static_cast<size_t>(query.limit);
  more ? json.String(absl::StrCat(rows->back().number)) : json.Null();
  json.EndObject();
  reply(JsonReply(200, json.Take()));
}

// As of the last look through the folder; the first of them by name.
void Application::Impl::ListUnannouncedFiles(RoutedRequest /*request*/, ReplyFn reply) {
  if (!parts_.incoming) return reply(ErrorReply(501, "this node takes no files in"));
  const ReceiverInfo info = parts_.incoming();
  JsonWriter json;
  json.BeginObject().Field("success", true).Key("names").BeginArray();
  for (const std::string& name : info.unannounced_names) json.String(name);
  json.EndArray().Field("returned_count", static_cast<int64_t>(info.unannounced_names.size()));
  json.Field("total_count", static_cast<int64_t>(info.unannounced)).EndObject();
  reply(JsonReply(200, json.Take()));
}

}  // namespace viaduct
