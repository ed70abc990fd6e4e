#include "core/lpr/refusal_tally.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace viaduct {

using security::AuditRecord;

std::vector<AuditRecord> RefusalTally::Note(const AuditRecord& refusal, const std::string& listener,
                                            int64_t now_ns) {
  std::vector<AuditRecord> records;
  absl::MutexLock lock(&mutex_);
  security::BucketTable& table = listener.empty() ? principals_ : nobody_;
  const std::string& name = listener.empty() ? refusal.who : listener;
  const bool interval_over =
      absl::Nanoseconds(now_ns - counting_since_ns_) >= kInterval && !counted_.empty();
  if (interval_over) records = Numbers();
  if (table.WaitFor(name, 1, now_ns) <= absl::ZeroDuration()) {
    table.Take(name, 1, now_ns);
    records.insert(records.begin(), refusal);
    return records;
  }
  if (counted_.empty()) counting_since_ns_ = now_ns;
  std::string who = listener.empty() ? refusal.who : absl::StrCat("nobody at ", listener);
  if (counted_.size() >= kMaxCounted && !counted_.contains(who)) who = "others";
  ++counted_[std::move(who)];
  return records;
}

std::vector<AuditRecord> RefusalTally::Rest() {
  absl::MutexLock lock(&mutex_);
  return Numbers();
}

std::vector<AuditRecord> RefusalTally::Numbers() {
  std::vector<AuditRecord> records;
  for (const auto& [who, number] : counted_) {
    AuditRecord record;
    record.who = who;
    record.what = "refused calls";
    record.result = absl::StrCat(number, " more were refused");
    records.push_back(std::move(record));
  }
  counted_.clear();
  return records;
}

}  // namespace viaduct
