// Looking through all rows of a table.
#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "core/store/kept_rows.h"
#include "core/store/page_cursor.h"
#include "core/store/postgres_queries.h"

namespace viaduct {
namespace {

class PgRow final : public KeptRowSource {
 public:
  PgRow(const PgResult* rows, int row) : rows_(rows), row_(row) {}
  bool IsNull(int column) const override { return rows_->IsNull(row_, column); }
  std::string_view View(int column) const override { return rows_->View(row_, column); }
  int64_t Int(int column) const override { return rows_->Int(row_, column); }
  std::optional<double> Real(int column) const override { return rows_->Real(row_, column); }
  absl::Time Time(int column) const override { return rows_->Time(row_, column); }

 private:
  const PgResult* const rows_;
  const int row_;
};

}  // namespace

absl::StatusOr<KeptPage> PgKept(PgConnection* db, const KeptQuery& query) {
  const KeptTableShape& shape = ShapeOf(query.table);
  const std::string sql = absl::StrCat(KeptSelect(shape, query), " WHERE ", shape.order,
                                       " > $1 ORDER BY ", shape.order, " LIMIT ", KeptQuery::kRows);
  PgParams params;
  if (shape.order_is_text) {
    params.Add(query.after);
  } else {
    int64_t after = 0;
    if (!query.after.empty()) {
      VD_ASSIGN_OR_RETURN(after, ParseCursor(query.after));
    }
    params.Add(after);
  }
  VD_ASSIGN_OR_RETURN(const PgResult rows, db->Run(sql, params, "cannot look through a table"));
  KeptPage page;
  for (int i = 0; i < rows.rows(); ++i) AddKeptRow(shape, query, PgRow(&rows, i), &page);
  if (rows.rows() < KeptQuery::kRows) return page;
  const int last = rows.rows() - 1;
  constexpr int kCursor = kKeptHeadColumns - 1;
  page.next =
      shape.order_is_text ? rows.Text(last, kCursor) : absl::StrCat(rows.Int(last, kCursor));
  return page;
}

}  // namespace viaduct
