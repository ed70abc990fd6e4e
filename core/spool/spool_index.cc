#include "core/spool/spool_index.h"

#include <algorithm>
#include <utility>

namespace viaduct::spool_internal {
namespace {

// While a message of a stream is in such a state, those behind it wait.
bool HoldsUp(OutState state) { return state == OutState::kClaimed || state == OutState::kDelayed; }

}  // namespace

OutEntry OutEntryOf(const LoadedMessage& loaded) {
  OutEntry entry;
  entry.has_attempt_row = loaded.has_attempt_row;
  entry.attempts = loaded.message.attempts;
  entry.rejects = loaded.rejects;
  entry.bytes = loaded.bytes;
  entry.stream = loaded.stream;
  entry.spool_ms = loaded.spool_ms;
  return entry;
}

LoadedMessage LoadedFrom(SpoolRow row) {
  constexpr int64_t kNanosPerMilli = 1'000'000;
  LoadedMessage loaded;
  loaded.bytes = RowBytes(row);
  loaded.spool_ms = row.spool_ms;
  OutboxMessage& message = loaded.message;
  message.key = row.key;
  message.message_id = std::move(row.message_id);
  message.edge_device_id = std::move(row.device);
  message.envelope_json = std::move(row.envelope_json);
  message.data_type = row.type;
  message.priority = static_cast<Priority>(KeyClass(row.key));
  message.captured_ns = row.captured_ms * kNanosPerMilli;
  return loaded;
}

void SpoolIndex::Restart(const SpoolState& state) {
  ready_messages_ = 0;
  ready_bytes_ = 0;
  held_messages_ = 0;
  skipping_streams_ = 0;
  for (auto& [stream, waiting] : streams_) {
    waiting.held.clear();
    waiting.skipped = 0;
  }
  absl::erase_if(streams_, [](const auto& stream) { return stream.second.out == 0; });
  for (int c = 0; c < kClasses; ++c) {
    const auto i = static_cast<size_t>(c);
    Class& klass = classes_[i];
    klass.ready.clear();
    klass.held.clear();
    klass.free.clear();
    klass.skipping.clear();
    klass.hungry.clear();
    klass.cursor = std::max(FirstKey(c), state.head[i]);
    klass.visible = MakeKey(static_cast<Priority>(c), state.next_sequence - 1);
    klass.unread = state.messages[i];
  }
  for (const auto& [key, entry] : out_) {
    if (!entry.ghost) --Of(key).unread;
    Of(key).cursor = std::min(Of(key).cursor, key);
  }
}

OutEntry* SpoolIndex::Add(int64_t key, const OutEntry& entry) {
  const auto [it, added] = out_.insert_or_assign(key, entry);
  if (added && entry.state == OutState::kClaimed) ++claimed_;
  if (entry.stream != 0 && HoldsUp(entry.state)) ++streams_[entry.stream].out;
  return &it->second;
}

void SpoolIndex::SetState(OutEntry* entry, OutState state) {
  if (entry->state == OutState::kClaimed) --claimed_;
  const bool leaves = HoldsUp(entry->state) && !HoldsUp(state);
  entry->state = state;
  if (state == OutState::kClaimed) ++claimed_;
  if (leaves) LeaveStream(entry->stream);
}

// ---- live messages
// -------------------------------------------------------------------------------

void SpoolIndex::Appended(LoadedMessage loaded) {
  const int64_t key = loaded.message.key;
  Class& klass = Of(key);
  klass.visible = key;
  ++klass.appended;
  const size_t bytes = loaded.message.envelope_json.size();
  const bool room = ready_messages_ < limits_.max_ready_messages &&
                    ready_bytes_ + bytes <= limits_.max_ready_bytes;
  const bool behind = loaded.stream != 0 && klass.unread > 0;  // Perhaps of others of its stream.
  if (behind || !room) {
    ++klass.unread;
    return;
  }
  if (klass.unread == 0) klass.cursor = key + 1;
  ++ready_messages_;
  ready_bytes_ += bytes;
  klass.ready.push_back(std::move(loaded));
}

void SpoolIndex::AppendedUnread(int64_t key) {
  Class& klass = Of(key);
  klass.visible = key;
  ++klass.appended;
  ++klass.unread;
}

std::deque<LoadedMessage>::iterator SpoolIndex::FindReady(Class* klass, int64_t key) {
  const auto at = std::lower_bound(
      klass->ready.begin(), klass->ready.end(), key,
      [](const LoadedMessage& loaded, int64_t k) { return loaded.message.key < k; });
  return at != klass->ready.end() && at->message.key == key ? at : klass->ready.end();
}

LoadedMessage SpoolIndex::PopReady(Class* klass) {
  LoadedMessage loaded = std::move(klass->ready.front());
  klass->ready.pop_front();
  --ready_messages_;
  ready_bytes_ -= loaded.message.envelope_json.size();
  return loaded;
}

// The oldest live message is unread again. Not while the file is being read.
void SpoolIndex::PutBack(Class* klass) {
  const LoadedMessage loaded = PopReady(klass);
  klass->cursor = std::min(klass->cursor, loaded.message.key);
  ++klass->unread;
}

void SpoolIndex::DropStale(int klass, int64_t live_ms) {
  Class& c = classes_[static_cast<size_t>(klass)];
  while (!c.ready.empty() && c.ready.front().spool_ms < live_ms) PutBack(&c);
}

bool SpoolIndex::TakeReady(int klass, LoadedMessage* loaded) {
  Class& c = classes_[static_cast<size_t>(klass)];
  while (!c.ready.empty()) {
    const LoadedMessage& first = c.ready.front();
    // What is unread below it may be of its stream.
    const bool behind = first.stream != 0 && c.unread > 0 && c.cursor < first.message.key;
    if (!behind && !Blocked(first.stream)) {
      *loaded = PopReady(&c);
      Add(loaded->message.key, OutEntryOf(*loaded));
      return true;
    }
    if (!behind && HoldOrSkip({first.message.key, first.stream})) {
      PopReady(&c);
    } else {
      PutBack(&c);
    }
  }
  return false;
}

// ---- delayed messages
// ----------------------------------------------------------------------------

void SpoolIndex::MoveDue(int64_t now_ns) {
  while (!delayed_.empty() && delayed_.begin()->first <= now_ns) {
    const int64_t key = delayed_.begin()->second;
    delayed_.erase(delayed_.begin());
    Class& c = Of(key);
    (Find(key)->put_off ? c.put_off : c.due).live.insert(key);
  }
}

bool SpoolIndex::TakeDue(int klass, bool live, int64_t live_ms, bool put_off, int64_t* key,
                         OutEntry** entry) {
  Class& c = classes_[static_cast<size_t>(klass)];
  absl::btree_set<int64_t>* due = nullptr;
  for (Due* const one : {&c.due, &c.put_off}) {
    while (!one->live.empty() && Find(*one->live.begin())->spool_ms < live_ms) {
      one->backlog.insert(*one->live.begin());
      one->live.erase(one->live.begin());
    }
    absl::btree_set<int64_t>& keys = live ? one->live : one->backlog;
    if (keys.empty() || (one == &c.put_off && !put_off)) continue;
    if (due == nullptr || *keys.begin() < *due->begin()) due = &keys;
  }
  if (due == nullptr) return false;
  OutEntry* const found = Find(*due->begin());
  if (found == nullptr) return false;  // What is due is out.
  *key = *due->begin();
  due->erase(due->begin());
  c.delayed.erase(*key);
  *entry = found;
  SetState(*entry, OutState::kClaimed);
  return true;
}

size_t SpoolIndex::delayed() const {
  size_t count = delayed_.size();
  for (const Class& klass : classes_) count += klass.due.size() + klass.put_off.size();
  return count;
}

// ---- the file
// ------------------------------------------------------------------------------------

UnreadRange SpoolIndex::Unread(int klass) const {
  const Class& c = classes_[static_cast<size_t>(klass)];
  return UnreadRange{c.cursor, c.visible, c.unread, c.appended};
}

SpoolIndex::Take SpoolIndex::Pass(const StreamRow& row) {
  Class& c = Of(row.key);
  if (row.key < c.cursor || row.key > c.visible) return Take::kPassed;
  if (out_.contains(row.key) || c.held.contains(row.key) || IsSkipped(row) ||
      FindReady(&c, row.key) != c.ready.end()) {
    c.cursor = row.key + 1;
    return Take::kPassed;
  }
  if (row.stream == 0) return Take::kTaken;
  // What is live and before it may be of its stream.
  if (!c.ready.empty() && c.ready.front().message.key < row.key) return Take::kFull;
  if (!Blocked(row.stream)) return Take::kTaken;
  if (!HoldOrSkip(row)) return Take::kFull;
  c.cursor = row.key + 1;
  --c.unread;
  return Take::kPassed;
}

SpoolIndex::Take SpoolIndex::TakeRead(LoadedMessage* loaded) {
  const int64_t key = loaded->message.key;
  const Take take = Pass({key, loaded->stream});
  if (take != Take::kTaken) return take;
  Of(key).cursor = key + 1;
  --Of(key).unread;
  Add(key, OutEntryOf(*loaded));
  return Take::kTaken;
}

bool SpoolIndex::CheckExhausted(int klass, const UnreadRange& range) const {
  const Class& c = classes_[static_cast<size_t>(klass)];
  return c.unread <= c.appended - range.appended;
}

bool SpoolIndex::TakeWaiting(const StreamRow& row, OutState state, uint64_t bytes) {
  const int64_t key = row.key;
  Class& c = Of(key);
  if (OutEntry* const out = Find(key); out != nullptr) {
    if (out->state != OutState::kDelayed) return false;
    delayed_.erase({out->due_ns, key});
    c.delayed.erase(key);
    c.due.Erase(key);
    c.put_off.Erase(key);
    SetState(out, state);
    return true;
  }
  OutEntry entry;
  entry.bytes = bytes;
  if (const auto held = c.held.find(key); held != c.held.end()) {
    const bool first = c.free.contains(key);
    entry.stream = held->second;
    entry.state = state;
    Unhold(&c, key, entry.stream);
    Add(key, entry);
    if (first && !HoldsUp(state)) LeaveStream(entry.stream);
    return true;
  }
  if (const auto ready = FindReady(&c, key); ready != c.ready.end()) {
    --ready_messages_;
    ready_bytes_ -= ready->message.envelope_json.size();
    entry = OutEntryOf(*ready);
    c.ready.erase(ready);
  } else if (IsSkipped(row)) {
    Unskip(row.stream);
  } else if (key >= c.cursor && key <= c.visible) {
    --c.unread;
  } else {
    return false;
  }
  entry.state = state;
  Add(key, entry);
  return true;
}

bool SpoolIndex::Waits(const StreamRow& row) {
  Class& c = Of(row.key);
  if (const OutEntry* const out = Find(row.key)) return out->state == OutState::kDelayed;
  return c.held.contains(row.key) || IsSkipped(row) || FindReady(&c, row.key) != c.ready.end() ||
         (row.key >= c.cursor && row.key <= c.visible);
}

int64_t SpoolIndex::FirstWaiting(int klass) const {
  const Class& c = classes_[static_cast<size_t>(klass)];
  int64_t first = FirstUnpassed(c);
  if (!c.delayed.empty()) first = std::min(first, *c.delayed.begin());
  return first;
}

OutEntry* SpoolIndex::Find(int64_t key) {
  const auto it = out_.find(key);
  return it == out_.end() ? nullptr : &it->second;
}

void SpoolIndex::Delay(int64_t key, int64_t due_ns, bool put_off) {
  OutEntry* entry = Find(key);
  SetState(entry, OutState::kDelayed);
  entry->due_ns = due_ns;
  entry->put_off = put_off;
  delayed_.insert({due_ns, key});
  Of(key).delayed.insert(key);
}

void SpoolIndex::Leave(int64_t key, OutState state) { SetState(Find(key), state); }

void SpoolIndex::Erase(int64_t key) {
  const auto it = out_.find(key);
  if (it == out_.end()) return;
  if (HoldsUp(it->second.state)) SetState(&it->second, OutState::kLeaving);
  out_.erase(it);
}

int64_t SpoolIndex::NextDue() const {
  const bool due = std::any_of(classes_.begin(), classes_.end(), [](const Class& klass) {
    return klass.due.size() + klass.put_off.size() > 0;
  });
  if (due) return 0;
  return delayed_.empty() ? Outbox::kNever : delayed_.begin()->first;
}

int64_t SpoolIndex::FirstUnpassed(const Class& klass) {
  int64_t first = klass.cursor;
  if (!klass.ready.empty()) first = std::min(first, klass.ready.front().message.key);
  if (!klass.held.empty()) first = std::min(first, klass.held.begin()->first);
  if (!klass.skipping.empty()) first = std::min(first, klass.skipping.begin()->first);
  return first;
}

std::array<int64_t, kClasses> SpoolIndex::Heads(const absl::flat_hash_set<int64_t>& removed) const {
  std::array<int64_t, kClasses> heads{};
  for (int c = 0; c < kClasses; ++c) {
    const Class& klass = classes_[static_cast<size_t>(c)];
    int64_t head = FirstUnpassed(klass);
    for (auto it = out_.lower_bound(FirstKey(c)); it != out_.end() && it->first < head; ++it) {
      if (removed.contains(it->first)) continue;
      head = it->first;
    }
    heads[static_cast<size_t>(c)] = head;
  }
  return heads;
}

}  // namespace viaduct::spool_internal
