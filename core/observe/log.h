// The structured log as every room sees it. One record is one line; fields are data, not prose.
// Rooms take a `Log*` and never own it; main builds the real one (see log_hub.h).
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "absl/types/span.h"

namespace viaduct {

enum class LogLevel : uint8_t { kTrace = 0, kDebug, kInfo, kWarning, kError, kOff };

struct LogField {
  std::string_view key;
  std::string_view value;  // For numbers: absl::StrCat(n) at the call site.
};

// Thread-safe. Never blocks on a slow sink for longer than one write; never throws.
class Log {
 public:
  virtual ~Log() = default;
  virtual bool Enabled(LogLevel level, std::string_view component) const = 0;
  // `component` is a room ("spool", "config") or "instance/<name>". No secret may be passed in.
  virtual void Write(LogLevel level, std::string_view component, std::string_view message,
                     absl::Span<const LogField> fields) = 0;

  void Debug(std::string_view component, std::string_view message,
             std::initializer_list<LogField> fields = {}) {
    Emit(LogLevel::kDebug, component, message, fields);
  }
  void Info(std::string_view component, std::string_view message,
            std::initializer_list<LogField> fields = {}) {
    Emit(LogLevel::kInfo, component, message, fields);
  }
  void Warning(std::string_view component, std::string_view message,
               std::initializer_list<LogField> fields = {}) {
    Emit(LogLevel::kWarning, component, message, fields);
  }
  void Error(std::string_view component, std::string_view message,
             std::initializer_list<LogField> fields = {}) {
    Emit(LogLevel::kError, component, message, fields);
  }

 private:
  void Emit(LogLevel level, std::string_view component, std::string_view message,
            std::initializer_list<LogField> fields) {
    if (Enabled(level, component)) {
      Write(level, component, message, absl::Span<const LogField>(fields.begin(), fields.size()));
    }
  }
};

// For tests and tools that want silence.
class NullLog final : public Log {
 public:
  bool Enabled(LogLevel, std::string_view) const override { return false; }
  void Write(LogLevel, std::string_view, std::string_view, absl::Span<const LogField>) override {}
};

}  // namespace viaduct
