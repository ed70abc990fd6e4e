// Writes JSON without building a tree first: replies are short and there are many.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/time/time.h"

namespace viaduct {

// Commas and quotes are the writer's work; that Begin and End match and that members have keys is
// the caller's. What is no UTF-8 in a text becomes U+FFFD. Thread-compatible.
class JsonWriter {
 public:
  JsonWriter& BeginObject() { return Open('{'); }
  JsonWriter& EndObject() { return Close('}'); }
  JsonWriter& BeginArray() { return Open('['); }
  JsonWriter& EndArray() { return Close(']'); }
  JsonWriter& Key(std::string_view key);

  JsonWriter& String(std::string_view text);
  JsonWriter& Int(int64_t value);
  JsonWriter& Real(double value);  // null when it is not finite
  JsonWriter& Bool(bool value);
  JsonWriter& Null();
  JsonWriter& Raw(std::string_view json);  // One JSON value as it is.
  // The same of a file that may be damaged: null where it is no JSON value any more.
  JsonWriter& Stored(std::string_view json);
  JsonWriter& Time(absl::Time time);  // null for InfinitePast

  JsonWriter& Field(std::string_view key, std::string_view text) { return Key(key).String(text); }
  JsonWriter& Field(std::string_view key, const char* text) { return Key(key).String(text); }
  JsonWriter& Field(std::string_view key, int64_t value) { return Key(key).Int(value); }
  JsonWriter& Field(std::string_view key, bool value) { return Key(key).Bool(value); }
  JsonWriter& Field(std::string_view key, absl::Time time) { return Key(key).Time(time); }

  const std::string& text() const { return out_; }
  std::string Take() { return std::move(out_); }

 private:
  JsonWriter& Open(char c);
  JsonWriter& Close(char c);
  void Separate();

  std::string out_;
  bool first_ = true;  // Nothing yet in the open object or array, or a key was just written.
};

}  // namespace viaduct
