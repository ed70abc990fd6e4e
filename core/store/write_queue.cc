#include "core/store/write_queue.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "absl/strings/str_cat.h"

namespace viaduct {
namespace {

constexpr size_t kRecordOverheadBytes = 512;
// Records that nobody waits for, beside each that somebody does.
constexpr size_t kUnhurriedBeside = 2;

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
  const bool hurried = done != nullptr;
  if (!hurried) done = [](std::vector<AppendResult>) {};
  const size_t count = records.size();
  if (count == 0 && !hurried) return;
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
    Queue* const queue = hurried ? &queue_ : &unhurried_;
    const bool fits = queue->empty() || (queued_records_ + count <= options_.max_records &&
                                         queued_bytes_ + item->bytes <= options_.max_bytes);
    if (fits) {
      queued_records_ += count;
      queued_bytes_ += item->bytes;
      item->done = std::move(done);
      if (!hurried) unhurried_records_ += count;
      if (count == 0) Hurry();
      queue->push_back(std::move(item));
      if (unhurried_records_ >= kMostUnhurried) Hurry();
      return;
    }
    waiting = queued_records_;
  }
  done(AllResults(count,
                  absl::UnavailableError(absl::StrCat("store: busy, ", waiting, " records wait"))));
}

void WriteQueue::Hurry() {
  queue_.insert(queue_.end(), std::make_move_iterator(unhurried_.begin()),
                std::make_move_iterator(unhurried_.end()));
  unhurried_.clear();
  unhurried_records_ = 0;
}

void WriteQueue::TakeFrom(Queue* queue, size_t most, Taken* taken) const {
  while (!queue->empty()) {
    const size_t records = taken->records + queue->front()->records.size();
    const size_t bytes = taken->bytes + queue->front()->bytes;
    const bool fits = records <= most && bytes <= options_.max_group_bytes;
    if (!fits && !taken->group.empty()) return;
    taken->records = records;
    taken->bytes = bytes;
    taken->group.push_back(std::move(queue->front()));
    queue->pop_front();
  }
}

WriteQueue::Group WriteQueue::Take(absl::Duration patience) {
  Taken taken;
  const absl::MutexLock lock(&mutex_);
  mutex_.AwaitWithTimeout(absl::Condition(this, &WriteQueue::HasWork), patience);
  woken_ = false;
  TakeFrom(&queue_, options_.max_group_records, &taken);
  if (taken.group.empty()) return {};
  const size_t hurried = taken.records;
  TakeFrom(&unhurried_, std::min(options_.max_group_records, hurried * (1 + kUnhurriedBeside)),
           &taken);
  unhurried_records_ -= taken.records - hurried;
  return std::move(taken.group);
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
  Hurry();
  stopping_ = true;
}

bool WriteQueue::Exhausted() const {
  const absl::MutexLock lock(&mutex_);
  return stopping_ && queue_.empty();
}

int64_t WriteQueue::queued_records() const {
  const absl::MutexLock lock(&mutex_);
  return static_cast<int64_t>(queued_records_ - unhurried_records_);
}

}  // namespace viaduct
