// Files that devices send beside their messages.
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/store/file_records.h"
#include "core/store/sqlite_queries.h"
#include "core/store/sqlite_query_parts.h"

namespace viaduct {
namespace {

constexpr std::string_view kColumns =
    "SELECT id, transfer_id, device_id, message_id, message_key, kind, place, name, size, sha256, "
    "status, detail, path, captured_at, announced_at, settled_at, node_id FROM file_transfers";

FileTransferRow ReadFile(const SqliteStatement& row) {
  FileTransferRow out;
  FileTransferRecord& r = out.record;
  out.number = row.Int(0);
  r.transfer_id = row.Text(1);
  r.device_id = row.Text(2);
  r.message_id = row.Text(3);
  KeyFromOctets(row.View(4), &r.message_key);
  r.kind = FileKindNamed(row.View(5));
  r.place = static_cast<int32_t>(row.Int(6));
  r.name = row.Text(7);
  r.size = static_cast<uint64_t>(row.Int(8));
  r.sha256 = row.Text(9);
  r.state = FileStateNamed(row.View(10));
  r.detail = row.Text(11);
  r.path = row.Text(12);
  r.captured_at = TimeAt(row, 13);
  r.at = out.announced_at = TimeAt(row, 14);
  out.settled_at = TimeAt(row, 15);
  r.node_id = row.Text(16);
  return out;
}

}  // namespace

absl::StatusOr<FileTransferRow> QueryFileTransfer(SqliteDb* db, std::string_view transfer_id) {
  VD_ASSIGN_OR_RETURN(SqliteStatement statement,
                      db->Prepare(absl::StrCat(AbslView(kColumns), " WHERE transfer_id = ?")));
  statement.Bind(1, transfer_id);
  VD_ASSIGN_OR_RETURN(const bool found, statement.Next("cannot read a file transfer"));
  if (found) return ReadFile(statement);
  return UnknownFile(transfer_id);
}

absl::StatusOr<std::vector<FileTransferRow>> QueryFileTransfers(SqliteDb* db,
                                                                const FileTransfersQuery& query) {
  Filter filter;
  filter.Add("id > ?", query.after);
  if (!query.device_id.empty()) filter.Add("device_id = ?", query.device_id);
  if (query.state.has_value()) {
    filter.Add("status = ?", std::string(FileStateName(*query.state)));
    // Else the index of those that are open would not be looked at.
    if (*query.state != FileState::kStored) filter.Add("status <> 'stored' AND id > ?", int64_t{0});
  }
  VD_ASSIGN_OR_RETURN(SqliteStatement statement,
                      db->Prepare(absl::StrCat(AbslView(kColumns), filter.sql(),
                                               " ORDER BY id LIMIT ", ClampLimit(query.limit))));
  filter.BindTo(&statement);
  std::vector<FileTransferRow> rows;
  while (true) {
    VD_ASSIGN_OR_RETURN(const bool more, statement.Next("cannot read file transfers"));
    if (!more) return rows;
    rows.push_back(ReadFile(statement));
  }
}

}  // namespace viaduct
