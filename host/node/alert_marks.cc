#include "host/node/alert_marks.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/durable_file.h"
#include "core/base/status_macros.h"

namespace viaduct {
namespace {

using nlohmann::json;

constexpr size_t kMaxFileBytes = 4u << 20;

std::optional<AlertKind> KindOf(const std::string& name) {
  for (size_t i = 0; i < kAlertKinds; ++i) {
    const auto kind = static_cast<AlertKind>(i);
    if (name == AlertKindName(kind)) return kind;
  }
  return std::nullopt;
}

std::string TextAt(const json& entry, const char* key) {
  const auto found = entry.find(key);
  return found != entry.end() && found->is_string() ? found->get<std::string>() : "";
}

}  // namespace

AlertMarks::AlertMarks(std::string folder, const Clock* clock)
    : folder_(std::move(folder)), clock_(clock), started_ns_(clock->MonotonicNanos()) {
  Load();
}

void AlertMarks::Load() {
  const absl::StatusOr<std::string> text =
      ReadWholeFile(absl::StrCat(folder_, "/", kFileName), kMaxFileBytes);
  if (!text.ok()) return;
  const json list = json::parse(*text, nullptr, /*allow_exceptions=*/false);
  if (!list.is_array()) return;
  absl::MutexLock lock(&mutex_);
  for (const json& one : list) {
    if (!one.is_object() || entries_.size() >= kMaxMarks) continue;
    const std::optional<AlertKind> kind = KindOf(TextAt(one, "kind"));
    const std::string id = TextAt(one, "alert_id");
    const auto at = one.find("at_ms");
    if (!kind.has_value() || id.empty() || at == one.end() || !at->is_number_integer()) continue;
    Entry entry;
    entry.kind = *kind;
    entry.subject = TextAt(one, "subject");
    entry.mark = {TextAt(one, "by"), TextAt(one, "note"), absl::FromUnixMillis(at->get<int64_t>())};
    entry.of_before = true;
    entries_[id] = std::move(entry);
  }
}

std::string AlertMarks::TextLocked() const {
  json list = json::array();
  for (const auto& [id, entry] : entries_) {
    if (entry.cleared) continue;  // Its alert is not remembered either.
    list.push_back({{"alert_id", id},
                    {"kind", std::string(AlertKindName(entry.kind))},
                    {"subject", entry.subject},
                    {"by", entry.mark.by},
                    {"note", entry.mark.note},
                    {"at_ms", absl::ToUnixMillis(entry.mark.at)}});
  }
  return list.dump(-1, ' ', false, json::error_handler_t::replace);
}

absl::Status AlertMarks::Keep() {
  absl::MutexLock file(&file_mutex_);
  std::string text;
  {
    absl::MutexLock lock(&mutex_);
    text = TextLocked();
  }
  return WriteFileDurably(folder_, kFileName, text);
}

absl::Status AlertMarks::Put(const Alert& alert, AlertMark mark) {
  {
    absl::MutexLock lock(&mutex_);
    if (entries_.size() >= kMaxMarks && entries_.find(alert.id) == entries_.end()) {
      auto oldest = entries_.begin();
      for (auto entry = entries_.begin(); entry != entries_.end(); ++entry) {
        if (entry->second.mark.at < oldest->second.mark.at) oldest = entry;
      }
      entries_.erase(oldest);
    }
    Entry& entry = entries_[alert.id];
    entry.kind = alert.kind;
    entry.subject = alert.subject;
    entry.mark = std::move(mark);
    entry.cleared = alert.cleared_at.has_value();
    entry.of_before = false;
  }
  return Keep();
}

std::optional<AlertMark> AlertMarks::Find(const Alert& alert) {
  absl::MutexLock lock(&mutex_);
  const auto known = entries_.find(alert.id);
  if (known != entries_.end()) return known->second.mark;
  const bool soon = absl::Nanoseconds(clock_->MonotonicNanos() - started_ns_) < kCarriedOver;
  for (auto entry = entries_.begin(); entry != entries_.end(); ++entry) {
    if (!entry->second.of_before || entry->second.kind != alert.kind ||
        entry->second.subject != alert.subject) {
      continue;
    }
    Entry carried = std::move(entry->second);
    entries_.erase(entry);
    if (!soon) return std::nullopt;
    carried.of_before = false;
    carried.cleared = alert.cleared_at.has_value();
    return (entries_[alert.id] = std::move(carried)).mark;
  }
  return std::nullopt;
}

bool AlertMarks::NoteCleared(const Alert& alert) {
  Find(alert);  // It may have the mark of one before the start.
  absl::MutexLock lock(&mutex_);
  const auto known = entries_.find(alert.id);
  if (known == entries_.end() || known->second.cleared) return false;
  known->second.cleared = true;
  return true;
}

}  // namespace viaduct
