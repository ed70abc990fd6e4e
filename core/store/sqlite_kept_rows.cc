// Looking through all rows of a table.
#include "core/store/kept_rows.h"
#include "core/store/sqlite_queries.h"
#include "core/store/sqlite_query_parts.h"

namespace viaduct {
namespace {

class SqliteRow final : public KeptRowSource {
 public:
  explicit SqliteRow(const SqliteStatement* row) : row_(row) {}
  bool IsNull(int column) const override { return row_->IsNull(column); }
  std::string_view View(int column) const override { return row_->View(column); }
  int64_t Int(int column) const override { return row_->Int(column); }
  std::optional<double> Real(int column) const override { return RealAt(*row_, column); }
  absl::Time Time(int column) const override { return TimeAt(*row_, column); }

 private:
  const SqliteStatement* const row_;
};

}  // namespace

absl::StatusOr<KeptPage> QueryKept(SqliteDb* db, const KeptQuery& query) {
  const KeptTableShape& shape = ShapeOf(query.table);
  const std::string sql = absl::StrCat(KeptSelect(shape, query, "group_concat"), " FROM ",
                                       shape.from, " ", shape.joins, " WHERE ", shape.order,
                                       " > ? ORDER BY ", shape.order, " LIMIT ", KeptQuery::kRows);
  VD_ASSIGN_OR_RETURN(SqliteStatement statement, db->Prepare(sql));
  if (shape.order_is_text) {
    statement.Bind(1, std::string_view(query.after));
  } else {
    int64_t after = 0;
    if (!query.after.empty()) {
      VD_ASSIGN_OR_RETURN(after, ParseCursor(query.after));
    }
    statement.Bind(1, after);
  }
  KeptPage page;
  size_t bytes = 0;
  const SqliteRow row(&statement);
  while (bytes < kMaxPageBytes) {
    VD_ASSIGN_OR_RETURN(const bool more, statement.Next("cannot look through a table"));
    if (!more) break;
    bytes += AddKeptRow(shape, query, row, &page);
  }
  return page;
}

}  // namespace viaduct
