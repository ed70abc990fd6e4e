#include "core/transfer/transfer.h"

#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "core/base/sha256.h"
#include "core/base/string_view.h"

namespace viaduct {
namespace {

using nlohmann::json;

std::string TextIn(const json& row, const char* key) {
  const auto found = row.find(key);
  return found != row.end() && found->is_string() ? found->get<std::string>() : "";
}

uint64_t NumberIn(const json& row, const char* key) {
  const auto found = row.find(key);
  return found != row.end() && found->is_number_unsigned() ? found->get<uint64_t>() : 0;
}

absl::Time TimeIn(const json& row, const char* key) {
  const auto found = row.find(key);
  return absl::FromUnixMillis(
      found != row.end() && found->is_number_integer() ? found->get<int64_t>() : 0);
}

FileStamp StampIn(const json& row) {
  constexpr size_t kMembers = 4;
  FileStamp stamp;
  const auto found = row.find("stamp");
  if (found == row.end() || !found->is_array() || found->size() != kMembers) return stamp;
  for (const json& member : *found) {
    if (!member.is_number_integer()) return stamp;
  }
  stamp.device = (*found)[0].get<uint64_t>();
  stamp.inode = (*found)[1].get<uint64_t>();
  stamp.size = (*found)[2].get<uint64_t>();
  stamp.modified_ns = (*found)[3].get<int64_t>();
  return stamp;
}

bool FlagIn(const json& row, const char* key) {
  const auto found = row.find(key);
  return found != row.end() && found->is_boolean() && found->get<bool>();
}

}  // namespace

std::string_view TransferStateName(TransferState state) {
  static constexpr std::string_view kNames[kTransferStates] = {
      "queued", "active", "waiting_confirmation", "done", "failed", "cancelled"};
  const auto number = static_cast<size_t>(state);
  return number < kTransferStates ? kNames[number] : "unknown";
}

bool IsFinished(TransferState state) {
  return state == TransferState::kDone || state == TransferState::kCancelled;
}

void TellAnew(Transfer* transfer) {
  transfer->announced = false;
  ++transfer->tellings;
}

std::string TellingId(const Transfer& transfer) {
  if (transfer.tellings == 0) return transfer.id;
  return UuidOfText(absl::StrCat(transfer.id, "|", transfer.sha256, "|", transfer.tellings));
}

std::string UuidOfText(std::string_view text) {
  const std::string digest = HexSha256(text);
  return absl::StrCat(digest.substr(0, 8), "-", digest.substr(8, 4), "-8", digest.substr(13, 3),
                      "-a", digest.substr(17, 3), "-", digest.substr(20, 12));
}

std::string EncodeTransfer(const Transfer& transfer) {
  json row = {
      {"path", transfer.local_path},
      {"owner", static_cast<unsigned>(transfer.owner)},
      {"name", transfer.remote_name},
      {"size", transfer.size},
      {"sha256", transfer.sha256},
      {"kind", transfer.kind},
      {"index", transfer.index},
      {"message_id", transfer.message_id},
      {"captured", absl::ToUnixMillis(transfer.captured)},
      {"created", absl::ToUnixMillis(transfer.created)},
      {"changed", absl::ToUnixMillis(transfer.changed)},
      {"attempts", transfer.attempts},
      {"strikes", transfer.strikes},
      {"error", transfer.last_error},
      {"road", transfer.road},
      {"durable", transfer.durable},
      {"announced", transfer.announced},
      {"tellings", transfer.tellings},
      {"server_stored", transfer.server_stored},
  };
  const FileStamp& stamp = transfer.stamp;
  if (stamp.inode != 0) {
    row["stamp"] = {stamp.device, stamp.inode, stamp.size, stamp.modified_ns};
  }
  return row.dump(-1, ' ', false, json::error_handler_t::replace);
}

absl::Status DecodeTransfer(std::string_view text, Transfer* transfer) {
  const json row = json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!row.is_object()) {
    return absl::DataLossError(absl::StrCat("transfers: not a row, ", transfer->sequence));
  }
  transfer->local_path = TextIn(row, "path");
  transfer->owner = static_cast<FileOwner>(NumberIn(row, "owner"));
  transfer->remote_name = TextIn(row, "name");
  transfer->stamp = StampIn(row);
  transfer->size = NumberIn(row, "size");
  transfer->sha256 = TextIn(row, "sha256");
  transfer->kind = TextIn(row, "kind");
  transfer->index = static_cast<uint32_t>(NumberIn(row, "index"));
  transfer->message_id = TextIn(row, "message_id");
  transfer->captured = TimeIn(row, "captured");
  transfer->created = TimeIn(row, "created");
  transfer->changed = TimeIn(row, "changed");
  transfer->attempts = static_cast<uint32_t>(NumberIn(row, "attempts"));
  transfer->strikes = static_cast<uint32_t>(NumberIn(row, "strikes"));
  transfer->last_error = TextIn(row, "error");
  transfer->road = TextIn(row, "road");
  transfer->announced = FlagIn(row, "announced");
  transfer->tellings = static_cast<uint32_t>(NumberIn(row, "tellings"));
  transfer->server_stored = FlagIn(row, "server_stored");
  const auto durable = row.find("durable");
  if (durable == row.end() || !durable->is_object()) return absl::OkStatus();
  for (const auto& [road, offset] : durable->items()) {
    if (offset.is_number_unsigned()) transfer->durable[road] = offset.get<uint64_t>();
  }
  return absl::OkStatus();
}

}  // namespace viaduct
