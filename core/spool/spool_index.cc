#include "core/spool/spool_index.h"

#include <algorithm>

namespace viaduct::spool_internal {

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
  for (int c = 0; c < kClasses; ++c) {
    const auto i = static_cast<size_t>(c);
    Class& klass = classes_[i];
    klass.ready.clear();
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
  return &it->second;
}

void SpoolIndex::SetState(OutEntry* entry, OutState state) {
  if (entry->state == OutState::kClaimed) --claimed_;
  entry->state = state;
  if (state == OutState::kClaimed) ++claimed_;
}

void SpoolIndex::Appended(LoadedMessage loaded) {
  const int64_t key = loaded.message.key;
  Class& klass = Of(key);
  klass.visible = key;
  ++klass.appended;
  const size_t bytes = loaded.message.envelope_json.size();
  const bool room = ready_messages_ < limits_.max_ready_messages &&
                    ready_bytes_ + bytes <= limits_.max_ready_bytes;
  if (klass.unread > 0 || !room) {  // Order: what is unread comes first.
    ++klass.unread;
    return;
  }
  klass.cursor = key + 1;
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

void SpoolIndex::MoveDue(int64_t now_ns) {
  for (const auto& [due, key] : delayed_) {
    if (due > now_ns) return;
    Of(key).due.insert(key);
  }
}

bool SpoolIndex::TakeDue(int klass, int64_t* key, OutEntry** entry) {
  Class& c = classes_[static_cast<size_t>(klass)];
  if (c.due.empty()) return false;
  *key = *c.due.begin();
  c.due.erase(c.due.begin());
  *entry = Find(*key);
  delayed_.erase({(*entry)->due_ns, *key});
  SetState(*entry, OutState::kClaimed);
  return true;
}

bool SpoolIndex::TakeReady(int klass, LoadedMessage* loaded) {
  Class& c = classes_[static_cast<size_t>(klass)];
  if (c.ready.empty()) return false;
  *loaded = std::move(c.ready.front());
  c.ready.pop_front();
  --ready_messages_;
  ready_bytes_ -= loaded->message.envelope_json.size();
  OutEntry entry;
  entry.bytes = loaded->bytes;
  entry.has_attempt_row = loaded->has_attempt_row;
  entry.attempts = loaded->message.attempts;
  entry.rejects = loaded->rejects;
  Add(loaded->message.key, entry);
  return true;
}

UnreadRange SpoolIndex::Unread(int klass) const {
  const Class& c = classes_[static_cast<size_t>(klass)];
  return UnreadRange{c.cursor, c.visible, c.unread, c.appended};
}

bool SpoolIndex::TakeRead(int64_t key, const OutEntry& entry) {
  Class& c = Of(key);
  if (key < c.cursor || key > c.visible) return false;
  c.cursor = key + 1;
  if (out_.contains(key)) return false;
  --c.unread;
  Add(key, entry);
  return true;
}

bool SpoolIndex::CheckExhausted(int klass, const UnreadRange& range) const {
  const Class& c = classes_[static_cast<size_t>(klass)];
  return c.unread <= c.appended - range.appended;
}

bool SpoolIndex::TakeWaiting(int64_t key, OutState state, uint64_t bytes) {
  Class& c = Of(key);
  OutEntry* out = Find(key);
  if (out != nullptr) {
    if (out->state != OutState::kDelayed) return false;
    delayed_.erase({out->due_ns, key});
    c.due.erase(key);
    SetState(out, state);
    return true;
  }
  OutEntry entry;
  entry.state = state;
  entry.bytes = bytes;
  if (key >= c.cursor) {
    if (key > c.visible) return false;
    --c.unread;
    Add(key, entry);
    return true;
  }
  const auto at = std::lower_bound(
      c.ready.begin(), c.ready.end(), key,
      [](const LoadedMessage& loaded, int64_t k) { return loaded.message.key < k; });
  if (at == c.ready.end() || at->message.key != key) return false;
  --ready_messages_;
  ready_bytes_ -= at->message.envelope_json.size();
  entry.has_attempt_row = at->has_attempt_row;
  c.ready.erase(at);
  Add(key, entry);
  return true;
}

OutEntry* SpoolIndex::Find(int64_t key) {
  const auto it = out_.find(key);
  return it == out_.end() ? nullptr : &it->second;
}

void SpoolIndex::Delay(int64_t key, int64_t due_ns) {
  OutEntry* entry = Find(key);
  SetState(entry, OutState::kDelayed);
  entry->due_ns = due_ns;
  delayed_.insert({due_ns, key});
  if (due_ns == 0) Of(key).due.insert(key);
}

void SpoolIndex::Leave(int64_t key, OutState state) { SetState(Find(key), state); }

void SpoolIndex::Erase(int64_t key) {
  const auto it = out_.find(key);
  if (it == out_.end()) return;
  if (it->second.state == OutState::kClaimed) --claimed_;
  out_.erase(it);
}

bool SpoolIndex::HasWork() const {
  return std::any_of(classes_.begin(), classes_.end(), [](const Class& c) {
    return !c.ready.empty() || c.unread > 0 || !c.due.empty();
  });
}

int64_t SpoolIndex::NextDue() const {
  return delayed_.empty() ? Outbox::kNever : delayed_.begin()->first;
}

std::array<int64_t, kClasses> SpoolIndex::Heads() const {
  std::array<int64_t, kClasses> heads{};
  for (int c = 0; c < kClasses; ++c) {
    const Class& klass = classes_[static_cast<size_t>(c)];
    int64_t head = klass.ready.empty() ? klass.cursor
                                       : std::min(klass.cursor, klass.ready.front().message.key);
    for (auto it = out_.lower_bound(FirstKey(c)); it != out_.end() && it->first < head; ++it) {
      if (it->second.state == OutState::kLeaving) continue;
      head = it->first;
    }
    heads[static_cast<size_t>(c)] = head;
  }
  return heads;
}

}  // namespace viaduct::spool_internal
