#include "core/store/write_queue.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace viaduct {
namespace {

constexpr size_t kRecordOverheadBytes = 512;

size_t BytesOf(const StoreRecord& record) {
  size_t payload = 0;
  if (const auto* detection = std::get_if<DetectionRecord>(&record)) {
    payload = detection->payload_json.size();
  } else if (const auto* health = std::get_if<HealthRecord>(&record)) {
    payload = health->payload_json.size();
  } else if (const auto* message = std::get_if<MessageRecord>(&record)) {
    payload = message->payload_json.size();
  }
  return payload + kRecordOverheadBytes;
}

}  // namespace

std::vector<AppendResult> AllResults(size_t count, const absl::Status& status) {
  return std::vector<AppendResult>(count, AppendResult{status, false, "", {}});
}

void WriteQueue::Append(std::vector<StoreRecord> records, Store::AppendFn done) {
  const size_t count = records.size();
  if (count == 0) return done({});
  if (count > kMaxAppendRecords) {
    return done(AllResults(
        count, absl::InvalidArgumentError(absl::StrCat("store: too many records at once, ", count,
                                                       ", limit ", kMaxAppendRecords))));
  }
  auto item = std::make_unique<WriteItem>();
  for (const StoreRecord& record : records) item->bytes += BytesOf(record);
  item->records = std::move(records);
  size_t waiting = 0;
  {
    const absl::MutexLock lock(&mutex_);
    const bool fits = queue_.empty() || (queued_records_ + count <= options_.max_records &&
                                         queued_bytes_ + item->bytes <= options_.max_bytes);
    if (fits) {
      queued_records_ += count;
      queued_bytes_ += item->bytes;
      item->done = std::move(done);
      queue_.push_back(std::move(item));
      return;
    }
    waiting = queued_records_;
  }
  done(AllResults(count,
                  absl::UnavailableError(absl::StrCat("store: busy, ", waiting, " records wait"))));
}

bool WriteQueue::FitsGroup(size_t records, size_t bytes) const {
  return records + queue_.front()->records.size() <= options_.max_group_records &&
         bytes + queue_.front()->bytes <= options_.max_group_bytes;
}

WriteQueue::Group WriteQueue::Take(absl::Duration patience) {
  Group group;
  const absl::MutexLock lock(&mutex_);
  mutex_.AwaitWithTimeout(absl::Condition(this, &WriteQueue::HasWork), patience);
  woken_ = false;
  size_t records = 0;
  size_t bytes = 0;
  while (!queue_.empty() && (group.empty() || FitsGroup(records, bytes))) {
    records += queue_.front()->records.size();
    bytes += queue_.front()->bytes;
    group.push_back(std::move(queue_.front()));
    queue_.pop_front();
  }
  return group;
}

void WriteQueue::Forget(const Group& group) {
  const absl::MutexLock lock(&mutex_);
  for (const auto& item : group) {
    queued_records_ -= item->records.size();
    queued_bytes_ -= item->bytes;
  }
}

void WriteQueue::Wake() {
  const absl::MutexLock lock(&mutex_);
  woken_ = true;
}

void WriteQueue::Stop() {
  const absl::MutexLock lock(&mutex_);
  stopping_ = true;
}

bool WriteQueue::Exhausted() const {
  const absl::MutexLock lock(&mutex_);
  return stopping_ && queue_.empty();
}

int64_t WriteQueue::queued_records() const {
  const absl::MutexLock lock(&mutex_);
  return static_cast<int64_t>(queued_records_);
}

}  // namespace viaduct
