#include "core/lpr/json_writer.h"

#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "core/message/envelope.h"
#include "core/message/json_scanner.h"

namespace viaduct {

void JsonWriter::Separate() {
  if (!first_) out_.push_back(',');
  first_ = false;
}

JsonWriter& JsonWriter::Open(char c) {
  Separate();
  out_.push_back(c);
  first_ = true;
  return *this;
}

JsonWriter& JsonWriter::Close(char c) {
  out_.push_back(c);
  first_ = false;
  return *this;
}

JsonWriter& JsonWriter::Key(std::string_view key) {
  Separate();
  AppendJsonString(key, &out_);
  out_.push_back(':');
  first_ = true;
  return *this;
}

JsonWriter& JsonWriter::String(std::string_view text) {
  Separate();
  AppendJsonString(text, &out_);
  return *this;
}

JsonWriter& JsonWriter::Int(int64_t value) {
  Separate();
  absl::StrAppend(&out_, value);
  return *this;
}

JsonWriter& JsonWriter::Real(double value) {
  if (!std::isfinite(value)) return Null();
  Separate();
  absl::StrAppendFormat(&out_, "%.15g", value);
  return *this;
}

JsonWriter& JsonWriter::Bool(bool value) { return Raw(value ? "true" : "false"); }
JsonWriter& JsonWriter::Null() { return Raw("null"); }

JsonWriter& JsonWriter::Raw(std::string_view json) {
  Separate();
  out_.append(json);
  return *this;
}

JsonWriter& JsonWriter::Stored(std::string_view json) {
  JsonScanLimits limits;
  limits.max_bytes = json.size();
  JsonSlice value;
  return JsonScanner(json, limits).ScanDocument(&value).ok() ? Raw(json) : Null();
}

JsonWriter& JsonWriter::Time(absl::Time time) {
  if (time == absl::InfinitePast()) return Null();
  Separate();
  out_.push_back('"');
  out_.append(FormatTimestamp(time));
  out_.push_back('"');
  return *this;
}

}  // namespace viaduct
