#include "core/observe/log_hub.h"

#include <spdlog/logger.h>
#include <spdlog/sinks/stdout_sinks.h>

#include <algorithm>
#include <limits>

#include "absl/hash/hash.h"
#include "absl/strings/str_cat.h"

namespace viaduct {
namespace {

std::unique_ptr<spdlog::logger> MakeLogger(std::FILE* stream) {
  auto sink =
      std::make_shared<spdlog::sinks::stdout_sink_base<spdlog::details::console_mutex>>(stream);
  auto logger = std::make_unique<spdlog::logger>("viaduct", std::move(sink));
  logger->set_pattern("%v");
  logger->set_level(spdlog::level::trace);
  logger->flush_on(spdlog::level::trace);
  return logger;
}

// Cuts at a character and says so.
std::string Clip(std::string_view text, size_t max) {
  if (text.size() <= max) return std::string(text);
  size_t end = max;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0u) == 0x80u) --end;
  return absl::StrCat(std::string(text.substr(0, end)), "...");
}

std::string_view SyslogPrefix(LogLevel level) {
  switch (level) {
    case LogLevel::kError:
      return "<3>";
    case LogLevel::kWarning:
      return "<4>";
    case LogLevel::kInfo:
      return "<6>";
    default:
      return "<7>";
  }
}

bool IsComponentName(std::string_view name) {
  if (name.size() > 160) return false;
  return std::all_of(name.begin(), name.end(), [](char c) {
    return static_cast<unsigned char>(c) > 0x20 && static_cast<unsigned char>(c) < 0x7F;
  });
}

// "instance" is above "instance/http".
bool IsAtOrBelow(std::string_view component, std::string_view above) {
  if (above.empty() || component == above) return true;
  return component.size() > above.size() && component[above.size()] == '/' &&
         component.substr(0, above.size()) == above;
}

bool Passes(const LogRecord& record, const LogFilter& filter) {
  return record.level >= filter.min_level && IsAtOrBelow(record.component, filter.component);
}

LogRecord MakeRecord(absl::Time now, LogLevel level, std::string_view component,
                     std::string_view message, absl::Span<const LogField> fields) {
  LogRecord record;
  record.time = now;
  record.level = level;
  record.component = Clip(component, 160);
  record.message = Clip(message, LogHub::kMaxMessageBytes);
  const size_t kept = std::min(fields.size(), LogHub::kMaxFields);
  record.fields.reserve(kept + 1);
  for (size_t i = 0; i < kept; ++i) {
    record.fields.emplace_back(Clip(fields[i].key, 128),
                               Clip(fields[i].value, LogHub::kMaxFieldBytes));
  }
  return record;
}

}  // namespace

// Thread-safe. Owned by the hub's list and by its handle.
class LogHub::Subscriber {
 public:
  Subscriber(LogFilter filter, std::function<void()> on_ready)
      : filter_(std::move(filter)), on_ready_(std::move(on_ready)) {}

  const LogFilter& filter() const { return filter_; }

  // Returns true when the subscriber has to be told, which the caller does without locks.
  bool Push(const LogRecord& record) {
    absl::MutexLock lock(&mutex_);
    if (pending_.size() >= kMaxPendingPerSubscriber) {
      pending_.pop_front();
      ++missed_;
    }
    pending_.push_back(record);
    return !std::exchange(told_, true);
  }

  void Tell() {
    // Held over the call so that Close() can wait for it; on_ready must not log (see the header).
    absl::MutexLock lock(&call_mutex_);
    if (on_ready_) on_ready_();
  }

  void Close() {
    absl::MutexLock lock(&call_mutex_);
    on_ready_ = nullptr;
  }

  std::vector<LogRecord> Take(uint64_t* missed) {
    absl::MutexLock lock(&mutex_);
    told_ = false;
    if (missed != nullptr) *missed = std::exchange(missed_, 0);
    std::vector<LogRecord> out(std::make_move_iterator(pending_.begin()),
                               std::make_move_iterator(pending_.end()));
    pending_.clear();
    return out;
  }

 private:
  const LogFilter filter_;
  absl::Mutex call_mutex_;
  std::function<void()> on_ready_ ABSL_GUARDED_BY(call_mutex_);
  absl::Mutex mutex_;
  std::deque<LogRecord> pending_ ABSL_GUARDED_BY(mutex_);
  uint64_t missed_ ABSL_GUARDED_BY(mutex_) = 0;
  bool told_ ABSL_GUARDED_BY(mutex_) = false;
};

LogHub::LogHub(const LogHubOptions& options, const Clock* clock)
    : clock_(clock),
      format_(options.format),
      journald_prefix_(options.journald_prefix),
      logger_(MakeLogger(options.stream)),
      repeats_(std::make_unique<std::array<RepeatSlot, kRepeatSlots>>()) {
  Configure(options.level, options.levels);
}

LogHub::~LogHub() = default;

bool LogHub::Enabled(LogLevel level, std::string_view component) const {
  if (level == LogLevel::kOff || level < floor_.load(std::memory_order_relaxed)) return false;
  if (uniform_.load(std::memory_order_relaxed)) return true;
  absl::ReaderMutexLock lock(&mutex_);
  return level >= EffectiveLevel(component);
}

LogLevel LogHub::EffectiveLevel(std::string_view component) const {
  const int64_t now = clock_->MonotonicNanos();
  // From the component itself upwards: what was set at run time wins over what was configured.
  for (std::string_view name = component;;) {
    const auto set = run_time_.find(name);
    if (set != run_time_.end() && (set->second.expires_ns == 0 || set->second.expires_ns > now)) {
      return set->second.level;
    }
    if (const auto found = configured_.find(name); found != configured_.end()) {
      return found->second;
    }
    if (name.empty()) return configured_default_;
    const size_t slash = name.rfind('/');
    name = slash == std::string_view::npos ? std::string_view() : name.substr(0, slash);
  }
}

void LogHub::RefreshFloor() {
  const int64_t now = clock_->MonotonicNanos();
  for (auto it = run_time_.begin(); it != run_time_.end();) {
    const bool expired = it->second.expires_ns != 0 && it->second.expires_ns <= now;
    it = expired ? run_time_.erase(it) : std::next(it);
  }
  LogLevel floor = configured_default_;
  for (const auto& [name, level] : configured_) floor = std::min(floor, level);
  for (const auto& [name, level] : run_time_) floor = std::min(floor, level.level);
  uniform_.store(configured_.empty() && run_time_.empty(), std::memory_order_relaxed);
  floor_.store(floor, std::memory_order_relaxed);
}

void LogHub::Configure(LogLevel level,
                       const std::vector<std::pair<std::string, LogLevel>>& levels) {
  absl::MutexLock lock(&mutex_);
  configured_default_ = level;
  configured_.clear();
  for (const auto& [component, component_level] : levels) {
    if (configured_.size() < kMaxLevels) configured_[component] = component_level;
  }
  RefreshFloor();
}

absl::Status LogHub::SetLevel(std::string_view component, LogLevel level,
                              absl::Duration time_to_live) {
  if (!IsComponentName(component)) {
    return absl::InvalidArgumentError("log: not a component name");
  }
  if (component == kAuditComponent) {
    return absl::InvalidArgumentError("log: audit has no level, it is always written");
  }
  if (time_to_live < absl::ZeroDuration() || time_to_live > kMaxTimeToLive) {
    return absl::InvalidArgumentError(absl::StrCat(
        "log: time to live out of range, ", absl::FormatDuration(time_to_live), ", 0 to 24h"));
  }
  absl::MutexLock lock(&mutex_);
  RefreshFloor();  // Drops what has expired before counting.
  if (run_time_.size() >= kMaxLevels && run_time_.find(component) == run_time_.end()) {
    return absl::ResourceExhaustedError("log: too many components with a level of their own");
  }
  const bool forever = time_to_live == absl::ZeroDuration();
  run_time_[std::string(component)] = {
      level, forever ? 0 : clock_->MonotonicNanos() + absl::ToInt64Nanoseconds(time_to_live)};
  RefreshFloor();
  return absl::OkStatus();
}

void LogHub::ResetLevel(std::string_view component) {
  absl::MutexLock lock(&mutex_);
  if (component.empty()) {
    run_time_.clear();
  } else if (const auto found = run_time_.find(component); found != run_time_.end()) {
    run_time_.erase(found);
  }
  RefreshFloor();
}

std::vector<LogHub::ComponentLevel> LogHub::GetLevels() const {
  absl::ReaderMutexLock lock(&mutex_);
  const int64_t now = clock_->MonotonicNanos();
  std::map<std::string, ComponentLevel> levels;
  levels[""] = {"", configured_default_, std::nullopt};
  for (const auto& [name, level] : configured_) levels[name] = {name, level, std::nullopt};
  for (const auto& [name, set] : run_time_) {
    if (set.expires_ns != 0 && set.expires_ns <= now) continue;
    ComponentLevel& level = levels[name];
    level = {name, set.level, std::nullopt};
    if (set.expires_ns != 0) level.expires_in = absl::Nanoseconds(set.expires_ns - now);
  }
  std::vector<ComponentLevel> out;
  out.reserve(levels.size());
  for (auto& [name, level] : levels) out.push_back(std::move(level));
  return out;
}

std::optional<uint32_t> LogHub::CountRepeat(LogLevel level, std::string_view component,
                                            std::string_view message) {
  const uint64_t key = absl::HashOf(static_cast<int>(level), component, message);
  const int64_t now = clock_->MonotonicNanos();
  RepeatSlot& slot = (*repeats_)[key % kRepeatSlots];
  const bool same = slot.key == key;
  if (!same || absl::Nanoseconds(now - slot.window_start_ns) >= kRepeatWindow) {
    const uint32_t held_back = same ? slot.held_back : 0;
    slot = {key, now, 1, 0};
    return held_back;
  }
  if (slot.count < kMaxRepeats) {
    ++slot.count;
    return 0;
  }
  ++slot.held_back;
  return std::nullopt;
}

void LogHub::Write(LogLevel level, std::string_view component, std::string_view message,
                   absl::Span<const LogField> fields) {
  LogRecord record;
  std::vector<std::shared_ptr<Subscriber>> to_tell;
  {
    absl::MutexLock lock(&mutex_);
    if (level >= LogLevel::kOff || level < EffectiveLevel(component)) return;
    const std::optional<uint32_t> held_back = CountRepeat(level, component, message);
    if (!held_back.has_value()) {
      suppressed_.fetch_add(1, std::memory_order_relaxed);
      return;
    }
    record = MakeRecord(clock_->Now(), level, component, message, fields);
    if (*held_back > 0) record.fields.emplace_back("suppressed", absl::StrCat(*held_back));
    to_tell = Keep(&record);
  }
  Put(record, to_tell);
}

void LogHub::Audit(std::string_view message, absl::Span<const LogField> fields) {
  LogRecord record = MakeRecord(clock_->Now(), LogLevel::kInfo, kAuditComponent, message, fields);
  std::vector<std::shared_ptr<Subscriber>> to_tell;
  {
    absl::MutexLock lock(&mutex_);
    to_tell = Keep(&record);
  }
  Put(record, to_tell);
}

std::vector<std::shared_ptr<LogHub::Subscriber>> LogHub::Keep(LogRecord* record) {
  record->sequence = ++last_sequence_;
  if (ring_.size() >= kMaxRingRecords) ring_.pop_front();
  ring_.push_back(*record);
  std::vector<std::shared_ptr<Subscriber>> to_tell;
  for (const auto& subscriber : subscribers_) {
    if (Passes(*record, subscriber->filter()) && subscriber->Push(*record)) {
      to_tell.push_back(subscriber);
    }
  }
  return to_tell;
}

void LogHub::Put(const LogRecord& record, const std::vector<std::shared_ptr<Subscriber>>& to_tell) {
  std::string line = FormatLogLine(record, format_.load(std::memory_order_relaxed));
  if (journald_prefix_) line.insert(0, SyslogPrefix(record.level));
  logger_->log(spdlog::level::info, spdlog::string_view_t(line.data(), line.size()));
  for (const auto& subscriber : to_tell) subscriber->Tell();
}

std::vector<LogRecord> LogHub::Recent(size_t max, const LogFilter& filter) const {
  absl::ReaderMutexLock lock(&mutex_);
  std::vector<LogRecord> out;
  for (auto it = ring_.rbegin(); it != ring_.rend() && out.size() < max; ++it) {
    if (Passes(*it, filter)) out.push_back(*it);
  }
  std::reverse(out.begin(), out.end());
  return out;
}

absl::StatusOr<std::unique_ptr<LogSubscription>> LogHub::Subscribe(LogFilter filter, size_t last,
                                                                   std::function<void()> on_ready) {
  class Handle final : public LogSubscription {
   public:
    Handle(LogHub* hub, std::shared_ptr<Subscriber> subscriber)
        : hub_(hub), subscriber_(std::move(subscriber)) {}
    ~Handle() override { hub_->Unsubscribe(subscriber_.get()); }
    std::vector<LogRecord> Take(uint64_t* missed) override { return subscriber_->Take(missed); }

   private:
    LogHub* const hub_;
    const std::shared_ptr<Subscriber> subscriber_;
  };

  auto subscriber = std::make_shared<Subscriber>(std::move(filter), std::move(on_ready));
  bool ready = false;
  {
    absl::MutexLock lock(&mutex_);
    if (subscribers_.size() >= kMaxSubscribers) {
      return absl::ResourceExhaustedError(
          absl::StrCat("log: too many subscribers, at most ", kMaxSubscribers));
    }
    size_t matching = 0;
    auto first = ring_.end();
    while (first != ring_.begin() && matching < last) {
      --first;
      if (Passes(*first, subscriber->filter())) ++matching;
    }
    for (; first != ring_.end(); ++first) {
      if (Passes(*first, subscriber->filter())) ready = subscriber->Push(*first) || ready;
    }
    subscribers_.push_back(subscriber);
  }
  if (ready) subscriber->Tell();
  return std::make_unique<Handle>(this, std::move(subscriber));
}

void LogHub::Unsubscribe(Subscriber* subscriber) {
  {
    absl::MutexLock lock(&mutex_);
    subscribers_.erase(std::remove_if(subscribers_.begin(), subscribers_.end(),
                                      [&](const auto& s) { return s.get() == subscriber; }),
                       subscribers_.end());
  }
  subscriber->Close();
}

}  // namespace viaduct
