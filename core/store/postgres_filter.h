// A WHERE clause whose values are parameters, never pasted. Internal to core/store.
#pragma once

#include <string>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "core/base/string_view.h"
#include "core/store/postgres_values.h"

namespace viaduct {

// Thread-compatible.
class PgFilter {
 public:
  template <typename Value>
  void Add(std::string_view condition, const Value& value) {
    params_.Add(value);
    absl::StrAppend(&sql_, sql_.empty() ? " WHERE " : " AND ", AbslView(condition), "$",
                    params_.size());
  }
  template <typename First, typename Second>
  void AddPair(std::string_view condition, const First& first, const Second& second) {
    params_.Add(first).Add(second);
    absl::StrAppend(&sql_, sql_.empty() ? " WHERE " : " AND ", AbslView(condition), "($",
                    params_.size() - 1, ", $", params_.size(), ")");
  }
  const std::string& sql() const { return sql_; }
  const PgParams& params() const { return params_; }

 private:
  std::string sql_;
  PgParams params_;
};

}  // namespace viaduct
