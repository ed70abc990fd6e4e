// What can still be read of a damaged database that was set aside is copied into its successor, a
// few rows at a time between the groups of the writer.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "absl/container/flat_hash_set.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "core/base/clock.h"
#include "core/observe/log.h"
#include "core/store/sqlite_damaged_file.h"
#include "core/store/sqlite_db.h"

namespace viaduct {

// Lives on the writer thread.
class SqliteSalvage {
 public:
  // Begins, or takes up what a stop or crash interrupted. Devices and sources are copied at once
  // (they are few and others refer to them), and the row numbers of the rest are reserved in `db`.
  // Null when there is nothing to copy or nothing can be read.
  static std::unique_ptr<SqliteSalvage> Begin(SqliteDamagedFile damaged, SqliteDb* db,
                                              const Clock* clock, Log* log);

  // Copies up to `max_rows` in one transaction. False when there is no more.
  bool Step(SqliteDb* db, absl::TimeZone zone, int max_rows);

 private:
  struct Table;
  struct Counts;
  static const Table kTables[];

  SqliteSalvage(SqliteDamagedFile damaged, std::unique_ptr<SqliteDb> source, Log* log);
  absl::Status Prepare(SqliteDb* db);
  absl::Status CopyParents(SqliteDb* db);
  absl::Status AddStandIn(SqliteDb* db);
  void LoadParents();
  bool Knows(const Table& table, int64_t parent) const;
  absl::Status ReserveIds(SqliteDb* db);
  absl::StatusOr<int> CopyRows(SqliteDb* db, const Table& table, int max_rows, Counts* counts);
  void CopyColumns(const Table& table, const SqliteStatement& row, SqliteStatement* insert) const;
  void SkipUnreadable();
  void NextTable();
  void Finish();

  SqliteDamagedFile damaged_;
  std::unique_ptr<SqliteDb> source_;
  Log* const log_;
  absl::flat_hash_set<int64_t> devices_;  // That came over; rows of others go to a stand-in.
  absl::flat_hash_set<int64_t> sources_;
  int64_t max_id_ = 0;      // Highest row number of any table that may be there.
  size_t table_ = 0;        // Index into kTables.
  int64_t after_id_ = 0;    // Rows up to here are done.
  int64_t unreadable_ = 0;  // Attempts that met damage, of this table in a row.
  int64_t copied_ = 0;
  int64_t damaged_places_ = 0;
};

}  // namespace viaduct
