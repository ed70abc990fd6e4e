// Streams of the index: what is blocked is held, and what is too much to be held is skipped.
#include <algorithm>
#include <tuple>

#include "absl/container/flat_hash_set.h"
#include "absl/hash/hash.h"
#include "core/spool/spool_index.h"

namespace viaduct::spool_internal {

uint64_t StreamOf(int klass, const std::string& device, DataType type) {
  return std::max<uint64_t>(
      1, absl::Hash<std::tuple<int, std::string, DataType>>()(std::tuple(klass, device, type)));
}

// One of its messages is not out any more.
void SpoolIndex::LeaveStream(uint64_t stream) {
  const auto found = streams_.find(stream);
  if (stream == 0 || found == streams_.end()) return;
  Stream& waiting = found->second;
  if (waiting.out > 0) --waiting.out;
  if (waiting.out > 0) return;
  if (!waiting.held.empty()) {
    Of(*waiting.held.begin()).free.insert(*waiting.held.begin());
  } else if (waiting.skipped > 0) {
    Of(waiting.next).hungry.insert({waiting.next, stream});
  } else {
    streams_.erase(found);
  }
}

// One of which nothing else is left may always hold one: else it would never go on.
bool SpoolIndex::MayHold(const Stream& stream) const {
  return stream.idle() ||
         (held_messages_ < limits_.max_ready_messages && stream.held.size() < kMostHeldOfStream);
}

void SpoolIndex::Hold(const StreamRow& row, Stream* stream) {
  Class& c = Of(row.key);
  const bool goes_next = stream->out == 0;  // The first of what is held.
  if (goes_next && !stream->held.empty()) c.free.erase(*stream->held.begin());
  if (goes_next) c.hungry.erase({stream->next, row.stream});
  ++held_messages_;
  stream->held.insert(row.key);
  c.held.emplace(row.key, row.stream);
  if (goes_next) c.free.insert(*stream->held.begin());
}

void SpoolIndex::Unhold(Class* klass, int64_t key, uint64_t stream) {
  --held_messages_;
  klass->held.erase(key);
  klass->free.erase(key);
  streams_[stream].held.erase(key);
}

// False: of too many streams something is skipped.
bool SpoolIndex::HoldOrSkip(const StreamRow& row) {
  Stream& stream = streams_[row.stream];
  // What was given back goes before all that is skipped.
  if (stream.skipped == 0 ? MayHold(stream) : row.key < stream.next) {
    Hold(row, &stream);
    return true;
  }
  if (stream.skipped == 0) {
    if (skipping_streams_ >= kMostSkippingStreams) return false;
    ++skipping_streams_;
    stream.next = row.key;
    Of(row.key).skipping.insert({row.key, row.stream});
  }
  ++stream.skipped;
  stream.end = row.key + 1;
  return true;
}

bool SpoolIndex::IsSkipped(const StreamRow& row) const {
  if (row.stream == 0) return false;
  const auto found = streams_.find(row.stream);
  return found != streams_.end() && found->second.skipped > 0 && row.key >= found->second.next &&
         row.key < found->second.end;
}

// One less is skipped.
void SpoolIndex::Unskip(uint64_t stream) {
  const auto found = streams_.find(stream);
  Stream& waiting = found->second;
  if (--waiting.skipped > 0) return;
  --skipping_streams_;
  Of(waiting.next).skipping.erase({waiting.next, stream});
  Of(waiting.next).hungry.erase({waiting.next, stream});
  if (waiting.idle()) streams_.erase(found);
}

void SpoolIndex::MoveNext(uint64_t stream, Stream* waiting, int64_t next) {
  Class& c = Of(waiting->next);
  c.skipping.erase({waiting->next, stream});
  c.skipping.insert({next, stream});
  if (c.hungry.erase({waiting->next, stream}) > 0 && waiting->idle()) {
    c.hungry.insert({next, stream});
  }
  waiting->next = next;
}

bool SpoolIndex::TakeHeld(int klass, int64_t* key, OutEntry** entry) {
  Class& c = classes_[static_cast<size_t>(klass)];
  if (c.free.empty()) return false;
  *key = *c.free.begin();
  OutEntry out;
  out.stream = c.held.find(*key)->second;
  Unhold(&c, *key, out.stream);
  *entry = Add(*key, out);
  return true;
}

bool SpoolIndex::FindHungry(int klass, int64_t* first, int64_t* last) const {
  const Class& c = classes_[static_cast<size_t>(klass)];
  if (c.hungry.empty()) return false;
  *first = c.hungry.begin()->first;
  *last = streams_.find(c.hungry.begin()->second)->second.end - 1;
  return true;
}

// Others that wait in the same part of the file are served with the one that is hungry, as far as
// all of theirs from their `next` on was seen.
bool SpoolIndex::Refill(int klass, int64_t first, int64_t last, absl::Span<const StreamRow> rows) {
  absl::flat_hash_set<uint64_t> full;
  for (const StreamRow& row : rows) {
    if (!IsSkipped(row) || out_.contains(row.key) || full.contains(row.stream)) continue;
    Stream& stream = streams_[row.stream];
    if (stream.next < first) continue;
    if (!MayHold(stream)) {
      full.insert(row.stream);
      MoveNext(row.stream, &stream, row.key);
      continue;
    }
    Hold(row, &stream);
    MoveNext(row.stream, &stream, row.key + 1);
    Unskip(row.stream);
  }
  Class& c = classes_[static_cast<size_t>(klass)];
  if (c.hungry.empty() || c.hungry.begin()->first != first) return true;
  const uint64_t hungry = c.hungry.begin()->second;
  Stream& stream = streams_[hungry];
  if (last >= stream.end - 1) return false;
  MoveNext(hungry, &stream, last + 1);
  return true;
}

void SpoolIndex::GiveBack(const StreamRow& row) {
  Class& c = Of(row.key);
  out_.erase(row.key);
  if (IsSkipped(row)) {
    ++streams_[row.stream].skipped;
  } else if (Blocked(row.stream) && IsPassed(row)) {
    Hold(row, &streams_[row.stream]);  // Before those that were read behind it.
  } else {
    c.cursor = std::min(c.cursor, row.key);
    ++c.unread;
  }
}

// Whether all that came before it in its blocked stream was read.
bool SpoolIndex::IsPassed(const StreamRow& row) {
  const Stream& stream = streams_[row.stream];
  return row.key < Of(row.key).cursor ||
         (!stream.held.empty() && *stream.held.rbegin() > row.key) ||
         (stream.skipped > 0 && stream.next > row.key);
}

}  // namespace viaduct::spool_internal
