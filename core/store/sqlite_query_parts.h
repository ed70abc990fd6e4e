// What the files with read queries share. Internal to core/store.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "core/base/status_macros.h"
#include "core/base/string_view.h"
#include "core/store/page_cursor.h"
#include "core/store/sqlite_db.h"
#include "core/store/store.h"

namespace viaduct {

inline absl::Time TimeAt(const SqliteStatement& row, int column) {
  return row.IsNull(column) ? absl::InfinitePast() : absl::FromUnixMillis(row.Int(column));
}

inline std::optional<double> RealAt(const SqliteStatement& row, int column) {
  return row.IsNull(column) ? std::nullopt : std::optional<double>(row.Real(column));
}

inline std::string JsonAt(const SqliteStatement& row, int column) {
  return row.IsNull(column) ? "{}" : row.Text(column);
}

// A WHERE clause whose values are bound, never pasted.
class Filter {
 public:
  using Value = std::variant<int64_t, double, std::string>;

  void Add(std::string_view condition, Value value) {
    absl::StrAppend(&sql_, sql_.empty() ? " WHERE " : " AND ", AbslView(condition));
    values_.push_back(std::move(value));
  }
  void AddPair(std::string_view condition, int64_t first, int64_t second) {
    Add(condition, first);
    values_.emplace_back(second);
  }
  const std::string& sql() const { return sql_; }
  void BindTo(SqliteStatement* statement) const {
    int index = 0;
    for (const Value& value : values_) {
      ++index;
      if (const auto* text = std::get_if<std::string>(&value)) {
        statement->Bind(index, std::string_view(*text));
      } else if (const auto* real = std::get_if<double>(&value)) {
        statement->Bind(index, *real);
      } else {
        statement->Bind(index, std::get<int64_t>(value));
      }
    }
  }

 private:
  std::string sql_;
  std::vector<Value> values_;
};

inline absl::StatusOr<int64_t> CounterValue(SqliteDb* db, std::string_view name) {
  VD_ASSIGN_OR_RETURN(SqliteStatement statement,
                      db->Prepare("SELECT value FROM counters WHERE name = ?"));
  statement.Bind(1, name);
  VD_ASSIGN_OR_RETURN(const bool found, statement.Next("cannot read a counter"));
  return found ? statement.Int(0) : 0;
}

}  // namespace viaduct
