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

constexpr char kOwnImages[] =
    " AND (d.image_path IS NULL AND d.plate_images IS NULL OR d.writer = (SELECT id FROM writers "
    "WHERE node_id = $2))";

bool OnlyOwn(const KeptQuery& query) {
  return query.own_images && query.table == KeptTable::kDetections;
}

// All rows of an answer are in memory at once: those whose large texts would be too much together
// are left to the next page.
std::string SelectOf(const KeptTableShape& shape, const KeptQuery& query) {
  const std::string rest =
      absl::StrCat(" WHERE ", shape.order, " > $1", OnlyOwn(query) ? kOwnImages : "", " ORDER BY ",
                   shape.order, " LIMIT ", KeptQuery::kRows);
  const std::string select = KeptSelect(shape, query, "string_agg");
  if (*shape.large == '\0') {
    return absl::StrCat(select, " FROM ", shape.from, " ", shape.joins, rest);
  }
  const std::string alias(1, *shape.order);
  const std::string size = absl::StrCat("octet_length(", alias, ".", shape.large, ")");
  return absl::StrCat(select, " FROM (SELECT ", alias, ".*, sum(", size, ") OVER (ORDER BY ",
                      shape.order, ") - ", size, " AS ahead FROM (SELECT * FROM ", shape.from, rest,
                      ") ", alias, ") ", alias, " ", shape.joins, " WHERE ", alias, ".ahead < ",
                      kMaxPageBytes, " ORDER BY ", shape.order);
}

}  // namespace

absl::StatusOr<KeptPage> PgKept(PgConnection* db, const KeptQuery& query,
                                const std::string& node_id) {
  const KeptTableShape& shape = ShapeOf(query.table);
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
  if (OnlyOwn(query)) params.Add(node_id);
  VD_ASSIGN_OR_RETURN(const PgResult rows,
                      db->Run(SelectOf(shape, query), params, "cannot look through a table"));
  KeptPage page;
  for (int i = 0; i < rows.rows(); ++i) AddKeptRow(shape, query, PgRow(&rows, i), &page);
  return page;
}

}  // namespace viaduct
