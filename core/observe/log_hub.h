// The log of a node: one record is one line on a stream (JSON or text), a ring of the latest ones
// in memory, and bounded subscriptions for whoever tails it.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <cstdio>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "core/base/clock.h"
#include "core/observe/log.h"

namespace spdlog {
class logger;
}

namespace viaduct {

enum class LogFormat : uint8_t { kJson, kText };

std::string_view LogLevelName(LogLevel level);  // "trace", "debug", "info", "warning", ...
// Also takes "warn". INVALID_ARGUMENT names the text.
absl::StatusOr<LogLevel> ParseLogLevel(std::string_view name);

// One record as it was kept: cut to the limits below, still unescaped.
struct LogRecord {
  uint64_t sequence = 0;  // Counts up by one per record kept, from 1.
  absl::Time time;
  LogLevel level = LogLevel::kInfo;
  std::string component;
  std::string message;
  std::vector<std::pair<std::string, std::string>> fields;
};

struct LogHubOptions {
  LogFormat format = LogFormat::kJson;
  LogLevel level = LogLevel::kInfo;
  std::vector<std::pair<std::string, LogLevel>> levels;  // Per component, as configured.
  std::FILE* stream = stderr;                            // Not owned.
  bool journald_prefix = false;  // "<6>" before a line; main sets it where JOURNAL_STREAM is set.
};

// What a tail wants to see.
struct LogFilter {
  LogLevel min_level = LogLevel::kInfo;
  std::string component;  // This one and those below it: "instance" shows "instance/http". "": all.
};

// Records for one tail. Destroy it to unsubscribe; the hub must outlive it. Thread-safe.
class LogSubscription {
 public:
  virtual ~LogSubscription() = default;
  // Takes what has come since the last call, oldest first. `missed` is how many were lost in
  // between because this subscriber was too slow; they are older than everything returned.
  virtual std::vector<LogRecord> Take(uint64_t* missed) = 0;
};

// Thread-safe. Ring and subscribers see records in the order of their sequence; two lines written
// by two threads at once may reach the stream in either order.
class LogHub final : public Log {
 public:
  static constexpr size_t kMaxRingRecords = 1000;
  static constexpr size_t kMaxSubscribers = 32;
  static constexpr size_t kMaxPendingPerSubscriber = 1024;
  static constexpr size_t kMaxMessageBytes = 4096;
  static constexpr size_t kMaxFieldBytes = 1024;
  static constexpr size_t kMaxFields = 24;
  static constexpr size_t kMaxLevels = 256;  // Components with a level of their own.
  static constexpr absl::Duration kMaxTimeToLive = absl::Hours(24);
  // One component may say the same message this often a window; the rest is counted and told with
  // the first record of the next window, in the field "suppressed".
  static constexpr uint32_t kMaxRepeats = 50;
  static constexpr absl::Duration kRepeatWindow = absl::Seconds(10);
  static constexpr size_t kRepeatSlots = 256;
  // What nothing may hold back goes by this component, see Audit.
  static constexpr std::string_view kAuditComponent = "audit";

  // `clock` must outlive the hub.
  LogHub(const LogHubOptions& options, const Clock* clock);
  ~LogHub() override;
  LogHub(const LogHub&) = delete;
  LogHub& operator=(const LogHub&) = delete;

  // Cheap where nothing has a level of its own: two relaxed loads.
  bool Enabled(LogLevel level, std::string_view component) const override;
  void Write(LogLevel level, std::string_view component, std::string_view message,
             absl::Span<const LogField> fields) override;

  // A record of kAuditComponent that is written whatever the levels say and however often it comes.
  void Audit(std::string_view message, absl::Span<const LogField> fields);

  // For the start: lines written from now on. While a node runs its format stays.
  void SetFormat(LogFormat format) { format_.store(format, std::memory_order_relaxed); }

  // Takes over the levels of a new configuration. Levels set at run time stay.
  void Configure(LogLevel level, const std::vector<std::pair<std::string, LogLevel>>& levels);

  // A level set at run time, above the configured one. component "" is the default of all.
  // `time_to_live` zero: until reset. INVALID_ARGUMENT: too long, negative, a bad component name,
  // or kAuditComponent, which has no level; RESOURCE_EXHAUSTED: over kMaxLevels.
  absl::Status SetLevel(std::string_view component, LogLevel level, absl::Duration time_to_live);
  // Back to what the configuration says; "" resets every component.
  void ResetLevel(std::string_view component);

  struct ComponentLevel {
    std::string component;  // "" is the default and always the first.
    LogLevel level = LogLevel::kInfo;
    std::optional<absl::Duration> expires_in;  // Only for one set at run time for a while.
  };
  std::vector<ComponentLevel> GetLevels() const;

  // The latest records that pass `filter`, oldest first.
  std::vector<LogRecord> Recent(size_t max, const LogFilter& filter) const;

  // Subscribes and gives the latest `last` records first, without gap or repetition. `on_ready` is
  // called on the thread that logs, with no lock held, when Take() has something after it had
  // nothing; it must be quick, must not log and must not destroy the subscription.
  // RESOURCE_EXHAUSTED: over kMaxSubscribers.
  absl::StatusOr<std::unique_ptr<LogSubscription>> Subscribe(LogFilter filter, size_t last,
                                                             std::function<void()> on_ready);

  // Records held back by the repeat limit since the start.
  uint64_t suppressed() const { return suppressed_.load(std::memory_order_relaxed); }

 private:
  class Subscriber;
  struct RunTimeLevel {
    LogLevel level = LogLevel::kInfo;
    int64_t expires_ns = 0;  // Monotonic; 0: never.
  };
  struct RepeatSlot {
    uint64_t key = 0;
    int64_t window_start_ns = 0;
    uint32_t count = 0;
    uint32_t held_back = 0;
  };

  LogLevel EffectiveLevel(std::string_view component) const ABSL_SHARED_LOCKS_REQUIRED(mutex_);
  void RefreshFloor() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Nothing: hold it back. Otherwise how many were held back before it.
  std::optional<uint32_t> CountRepeat(LogLevel level, std::string_view component,
                                      std::string_view message)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Numbers the record and gives it to ring and subscribers; returns those to be told.
  std::vector<std::shared_ptr<Subscriber>> Keep(LogRecord* record)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Writes the line and tells, without a lock.
  void Put(const LogRecord& record, const std::vector<std::shared_ptr<Subscriber>>& to_tell);
  void Unsubscribe(Subscriber* subscriber);

  const Clock* const clock_;
  std::atomic<LogFormat> format_;
  const bool journald_prefix_;
  const std::unique_ptr<spdlog::logger> logger_;
  std::atomic<LogLevel> floor_{LogLevel::kInfo};  // No component is more talkative than this.
  std::atomic<bool> uniform_{true};               // No component has a level of its own.
  std::atomic<uint64_t> suppressed_{0};

  mutable absl::Mutex mutex_;
  LogLevel configured_default_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, LogLevel, std::less<>> configured_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, RunTimeLevel, std::less<>> run_time_ ABSL_GUARDED_BY(mutex_);
  std::deque<LogRecord> ring_ ABSL_GUARDED_BY(mutex_);
  uint64_t last_sequence_ ABSL_GUARDED_BY(mutex_) = 0;
  std::vector<std::shared_ptr<Subscriber>> subscribers_ ABSL_GUARDED_BY(mutex_);
  std::unique_ptr<std::array<RepeatSlot, kRepeatSlots>> repeats_ ABSL_GUARDED_BY(mutex_);
};

// One line without its end, as the hub writes it: control characters, line separators and
// direction marks are escaped, invalid UTF-8 becomes U+FFFD.
std::string FormatLogLine(const LogRecord& record, LogFormat format);

}  // namespace viaduct
