// Files that devices send beside their messages.
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "core/base/string_view.h"
#include "core/store/file_records.h"
#include "core/store/page_cursor.h"
#include "core/store/postgres_queries.h"

namespace viaduct {
namespace {

constexpr std::string_view kColumns =
    "SELECT id, transfer_id, device_id, message_id, message_key, kind, place, name, size, sha256, "
    "status, detail, path, captured_at, announced_at, settled_at, node_id FROM file_transfers";

FileTransferRow ReadFile(const PgResult& rows, int row) {
  FileTransferRow out;
  FileTransferRecord& r = out.record;
  out.number = rows.Int(row, 0);
  r.transfer_id = rows.Text(row, 1);
  r.device_id = rows.Text(row, 2);
  r.message_id = rows.Text(row, 3);
  if (!rows.IsNull(row, 4)) r.message_key = rows.Key(row, 4);
  r.kind = FileKindNamed(rows.View(row, 5));
  r.place = static_cast<int32_t>(rows.Int(row, 6));
  r.name = rows.Text(row, 7);
  r.size = static_cast<uint64_t>(rows.Int(row, 8));
  r.sha256 = rows.Text(row, 9);
  r.state = FileStateNamed(rows.View(row, 10));
  r.detail = rows.Text(row, 11);
  r.path = rows.Text(row, 12);
  r.captured_at = rows.Time(row, 13);
  r.at = out.announced_at = rows.Time(row, 14);
  out.settled_at = rows.Time(row, 15);
  r.node_id = rows.Text(row, 16);
  return out;
}

}  // namespace

absl::StatusOr<FileTransferRow> PgFileTransfer(PgConnection* db, std::string_view transfer_id) {
  VD_ASSIGN_OR_RETURN(const PgResult rows,
                      db->Run(absl::StrCat(AbslView(kColumns), " WHERE transfer_id = $1"),
                              PgParams().Add(transfer_id), "cannot read a file transfer"));
  if (rows.rows() > 0) return ReadFile(rows, 0);
  return UnknownFile(transfer_id);
}

absl::StatusOr<std::vector<FileTransferRow>> PgFileTransfers(PgConnection* db,
                                                             const FileTransfersQuery& query) {
  std::string sql = absl::StrCat(AbslView(kColumns), " WHERE id > $1");
  PgParams params;
  params.Add(query.after);
  if (query.state.has_value()) {
    params.Add(FileStateName(*query.state));
    absl::StrAppend(&sql, " AND status = $", params.size());
    // Else the index of those that are open would not be looked at.
    if (*query.state != FileState::kStored) absl::StrAppend(&sql, " AND status <> 'stored'");
  }
  if (!query.device_id.empty()) {
    params.Add(query.device_id);
    absl::StrAppend(&sql, " AND device_id = $", params.size());
  }
  params.Add(int64_t{ClampLimit(query.limit)});
  absl::StrAppend(&sql, " ORDER BY id LIMIT $", params.size());
  VD_ASSIGN_OR_RETURN(const PgResult rows, db->Run(sql, params, "cannot read file transfers"));
  std::vector<FileTransferRow> out;
  for (int row = 0; row < rows.rows(); ++row) out.push_back(ReadFile(rows, row));
  return out;
}

}  // namespace viaduct
