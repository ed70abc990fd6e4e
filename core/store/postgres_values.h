// Values in PostgreSQL's binary format: parameters, arrays of them, and columns of results.
#pragma once

#include <libpq-fe.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/time/time.h"
#include "core/store/message_key.h"

namespace viaduct {

// Built-in types by their fixed numbers.
enum class PgType : uint32_t {
  kBool = 16,
  kInt8 = 20,
  kInt4 = 23,
  kText = 25,
  kFloat8 = 701,
  kTime = 1184,  // timestamptz
  kUuid = 2950,
  kJsonb = 3802,
};

// What PostgreSQL refuses inside of text (octet 0) and of jsonb (the escapes of octet 0 and of half
// surrogate pairs) becomes U+FFFD.
std::string PgText(std::string_view text);
std::string PgJson(std::string_view json);

// One column of many rows, for unnest(). Thread-compatible.
class PgArray {
 public:
  explicit PgArray(PgType element) : element_(element) {}

  void Add(std::string_view text);  // kText, kJsonb
  void Add(int64_t value);          // kInt8
  void Add(int32_t value);          // kInt4
  void Add(double value);           // kFloat8
  void Add(bool value);             // kBool
  void Add(absl::Time value);       // kTime
  void Add(const MessageKey& key);  // kUuid
  void AddNull();
  void AddTextOrNull(std::string_view text) { text.empty() ? AddNull() : Add(text); }
  void Add(const std::optional<double>& value) { value.has_value() ? Add(*value) : AddNull(); }

  int32_t size() const { return count_; }
  PgType element() const { return element_; }
  std::string Encode() const;

 private:
  const PgType element_;
  int32_t count_ = 0;
  bool has_null_ = false;
  std::string body_;
};

// Rows for COPY ... (FORMAT binary): so many fields make a row. Thread-compatible.
class PgRows {
 public:
  explicit PgRows(int16_t columns) : columns_(columns) {}

  void Add(std::string_view text);
  void AddTextOrNull(std::string_view text) { text.empty() ? AddNull() : Add(text); }
  void AddJsonOrNull(std::string_view json);
  void Add(int64_t value);
  void Add(int32_t value);
  void Add(double value);
  void Add(const std::optional<double>& value) { value.has_value() ? Add(*value) : AddNull(); }
  void Add(bool value);
  void Add(absl::Time value);
  void Add(const MessageKey& key);
  void AddNull();

  bool empty() const { return body_.empty(); }
  // What is sent; nothing can be added afterwards.
  std::string Finish();

 private:
  // Where the next field goes.
  std::string* Field();

  const int16_t columns_;
  int16_t column_ = 0;
  std::string body_;
};

// The parameters of one statement, $1 first. Thread-compatible.
class PgParams {
 public:
  PgParams& Add(std::string_view text);
  PgParams& Add(const char* text) { return Add(std::string_view(text)); }
  PgParams& Add(const std::string& text) { return Add(std::string_view(text)); }
  PgParams& Add(int64_t value);
  PgParams& Add(double value);
  PgParams& Add(bool value);
  PgParams& Add(absl::Time value);
  PgParams& Add(const MessageKey& key);
  PgParams& Add(const PgArray& array);
  PgParams& AddNull(PgType type);
  PgParams& AddJson(std::string_view json);
  PgParams& Add(const std::optional<std::string>& text) {
    return text.has_value() ? Add(*text) : AddNull(PgType::kText);
  }
  PgParams& Add(const std::optional<double>& value) {
    return value.has_value() ? Add(*value) : AddNull(PgType::kFloat8);
  }
  PgParams& Add(const std::optional<absl::Time>& value) {
    return value.has_value() ? Add(*value) : AddNull(PgType::kTime);
  }
  PgParams& AddTextOrNull(std::string_view text) {
    return text.empty() ? AddNull(PgType::kText) : Add(text);
  }

  int size() const { return static_cast<int>(values_.size()); }
  const std::vector<Oid>& types() const { return types_; }
  // Borrowed pointers for libpq, good until the next Add.
  std::vector<const char*> Pointers() const;
  std::vector<int> Lengths() const;

 private:
  PgParams& Push(uint32_t type, std::string value);

  std::vector<Oid> types_;
  std::vector<std::optional<std::string>> values_;
};

// Rows that came back, in binary format. Thread-compatible.
class PgResult {
 public:
  explicit PgResult(PGresult* result) : result_(result, &PQclear) {}

  int rows() const { return PQntuples(result_.get()); }
  int64_t affected() const;
  bool IsNull(int row, int column) const { return PQgetisnull(result_.get(), row, column) != 0; }
  std::string_view View(int row, int column) const;  // As long as this lives; "" for null.
  std::string Text(int row, int column) const { return std::string(View(row, column)); }
  int64_t Int(int row, int column) const;  // Of any width; 0 for null.
  bool Bool(int row, int column) const { return Int(row, column) != 0; }
  std::optional<double> Real(int row, int column) const;
  absl::Time Time(int row, int column) const;  // InfinitePast for null.
  MessageKey Key(int row, int column) const;
  PGresult* get() const { return result_.get(); }

 private:
  std::unique_ptr<PGresult, void (*)(PGresult*)> result_;
};

}  // namespace viaduct
