// How a record becomes one line that nothing inside it can break out of.
#include <array>
#include <string>
#include <string_view>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/time.h"
#include "core/observe/log_hub.h"
#include "core/observe/utf8.h"

namespace viaduct {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";  // U+FFFD
constexpr std::array<std::string_view, 4> kReservedKeys = {"time", "level", "component", "message"};

// What a terminal or a log viewer would act on instead of showing it.
bool IsUnsafe(uint32_t code) {
  return code < 0x20 || (code >= 0x7F && code <= 0x9F) || code == 0x2028 || code == 0x2029 ||
         (code >= 0x202A && code <= 0x202E) || (code >= 0x2066 && code <= 0x2069);
}

void AppendEscaped(std::string_view text, std::string* out) {
  for (size_t i = 0; i < text.size();) {
    uint32_t code = 0;
    const size_t length = DecodeUtf8(text, i, &code);
    if (length == 0) {
      out->append(kReplacement);
      ++i;
      continue;
    }
    if (code == '"' || code == '\\') {
      out->push_back('\\');
      out->push_back(static_cast<char>(code));
    } else if (code == '\n') {
      out->append("\\n");
    } else if (code == '\t') {
      out->append("\\t");
    } else if (IsUnsafe(code)) {
      absl::StrAppendFormat(out, "\\u%04x", code);
    } else {
      out->append(text.substr(i, length));
    }
    i += length;
  }
}

void AppendQuoted(std::string_view text, std::string* out) {
  out->push_back('"');
  AppendEscaped(text, out);
  out->push_back('"');
}

bool IsBareWord(std::string_view text) {
  if (text.empty()) return false;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte <= 0x20 || byte >= 0x7F || c == '"' || c == '\\' || c == '=') return false;
  }
  return true;
}

void AppendWord(std::string_view text, std::string* out) {
  if (IsBareWord(text)) {
    out->append(text);
  } else {
    AppendQuoted(text, out);
  }
}

std::string FormatStamp(absl::Time time) {
  return absl::FormatTime("%Y-%m-%d%ET%H:%M:%E3SZ", time, absl::UTCTimeZone());
}

std::string FormatJson(const LogRecord& record) {
  std::string out = absl::StrCat("{\"time\":\"", FormatStamp(record.time), "\",\"level\":\"");
  out.append(LogLevelName(record.level)).append("\",\"component\":");
  AppendQuoted(record.component, &out);
  out.append(",\"message\":");
  AppendQuoted(record.message, &out);
  for (const auto& [key, value] : record.fields) {
    out.append(",\"");
    // A field must not be able to pass itself off as one of the record's own members.
    for (const std::string_view reserved : kReservedKeys) {
      if (key == reserved) out.push_back('_');
    }
    AppendEscaped(key, &out);
    out.append("\":");
    AppendQuoted(value, &out);
  }
  out.push_back('}');
  return out;
}

std::string FormatText(const LogRecord& record) {
  std::string out = FormatStamp(record.time);
  out.push_back(' ');
  out.append(LogLevelName(record.level));
  out.push_back(' ');
  AppendWord(record.component, &out);
  out.append(": ");
  AppendEscaped(record.message, &out);
  for (const auto& [key, value] : record.fields) {
    out.push_back(' ');
    AppendWord(key, &out);
    out.push_back('=');
    AppendWord(value, &out);
  }
  return out;
}

}  // namespace

std::string_view LogLevelName(LogLevel level) {
  switch (level) {
    case LogLevel::kTrace:
      return "trace";
    case LogLevel::kDebug:
      return "debug";
    case LogLevel::kInfo:
      return "info";
    case LogLevel::kWarning:
      return "warning";
    case LogLevel::kError:
      return "error";
    case LogLevel::kOff:
      break;
  }
  return "off";
}

absl::StatusOr<LogLevel> ParseLogLevel(std::string_view name) {
  for (const LogLevel level : {LogLevel::kTrace, LogLevel::kDebug, LogLevel::kInfo,
                               LogLevel::kWarning, LogLevel::kError, LogLevel::kOff}) {
    if (name == LogLevelName(level)) return level;
  }
  if (name == "warn") return LogLevel::kWarning;
  return absl::InvalidArgumentError(absl::StrCat("log: not a level, \"", std::string(name), "\""));
}

std::string FormatLogLine(const LogRecord& record, LogFormat format) {
  return format == LogFormat::kJson ? FormatJson(record) : FormatText(record);
}

}  // namespace viaduct
