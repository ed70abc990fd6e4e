// The order of what may be sent next, in memory: per priority a queue of messages that came
// straight from the writer, the place up to which the file has been read, and every message that is
// out. Internal to core/spool.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <set>
#include <utility>

#include "absl/container/btree_map.h"
#include "absl/container/btree_set.h"
#include "core/gateway/outbox.h"
#include "core/spool/spool_format.h"

namespace viaduct::spool_internal {

// A message with what the index keeps of it while it is out.
struct LoadedMessage {
  OutboxMessage message;
  int64_t spool_ms = 0;
  uint64_t bytes = 0;  // As counted by the spool.
  uint32_t rejects = 0;
  bool has_attempt_row = false;
};

LoadedMessage LoadedFrom(SpoolRow row);

enum class OutState : uint8_t {
  kClaimed,
  kDelayed,  // Waits for its next attempt.
  kLeaving,  // Confirmed, expired or dropped; the writer has yet to delete the row.
  kDying,    // On its way to the dead letters.
};

struct OutEntry {
  OutState state = OutState::kClaimed;
  bool has_attempt_row = false;
  bool ghost = false;  // Its row was lost with a damaged file.
  uint32_t attempts = 0;
  uint32_t rejects = 0;
  uint64_t bytes = 0;
  int64_t due_ns = 0;  // While delayed.
};

struct UnreadRange {
  int64_t first = 0;
  int64_t last = 0;
  int64_t count = 0;     // Rows that must be in there, besides those that are out.
  int64_t appended = 0;  // Stamp for CheckExhausted.
};

// Thread-compatible.
class SpoolIndex {
 public:
  struct Limits {
    size_t max_out = 0;
    size_t max_ready_messages = 0;
    size_t max_ready_bytes = 0;
  };
  explicit SpoolIndex(const Limits& limits) : limits_(limits) {}

  // Forgets the ready messages and starts reading the file anew; what is out stays out.
  void Restart(const SpoolState& state);

  // A row was committed. It stays in memory where there is room and the order allows it.
  void Appended(LoadedMessage loaded);
  void AppendedUnread(int64_t key);

  // Moves delayed messages whose time has come to the front of their class.
  void MoveDue(int64_t now_ns);
  // Takes the next due key of the class; its body must be read.
  bool TakeDue(int klass, int64_t* key, OutEntry** entry);
  bool TakeReady(int klass, LoadedMessage* loaded);
  UnreadRange Unread(int klass) const;
  // A row read from the file: false when it is out already, or not to be taken.
  bool TakeRead(int64_t key, const OutEntry& entry);
  // After reading a range to its end: false when rows are missing in the file.
  bool CheckExhausted(int klass, const UnreadRange& range) const;
  // Takes a message that waits, wherever it waits, for removal. False: it is out or unknown.
  bool TakeWaiting(int64_t key, OutState state, uint64_t bytes);

  OutEntry* Find(int64_t key);
  void Delay(int64_t key, int64_t due_ns);  // 0: due at once.
  void Leave(int64_t key, OutState state);  // kLeaving or kDying.
  void Erase(int64_t key);
  // True while a read of the file that began earlier may still come to this row.
  bool Unpassed(int64_t key) { return key >= Of(key).cursor; }

  bool Full() const { return out_.size() >= limits_.max_out; }
  bool HasWork() const;  // Something could be claimed now, but for Full().
  int64_t NextDue() const;
  std::array<int64_t, kClasses> Heads() const;
  size_t claimed() const { return claimed_; }
  size_t delayed() const { return delayed_.size(); }
  // For recovery: every entry that is out.
  template <typename Fn>
  void ForEachOut(Fn fn) {
    for (auto& [key, entry] : out_) fn(key, &entry);
  }

 private:
  struct Class {
    std::deque<LoadedMessage> ready;
    int64_t cursor = 0;   // Rows below are ready, out or gone.
    int64_t visible = 0;  // Last key announced by Appended.
    int64_t unread = 0;   // Rows in [cursor, visible] that are neither ready nor out.
    int64_t appended = 0;
    absl::btree_set<int64_t> due;
  };

  Class& Of(int64_t key) { return classes_[static_cast<size_t>(KeyClass(key))]; }
  OutEntry* Add(int64_t key, const OutEntry& entry);
  void SetState(OutEntry* entry, OutState state);

  const Limits limits_;
  std::array<Class, kClasses> classes_;
  size_t ready_messages_ = 0;
  size_t ready_bytes_ = 0;
  absl::btree_map<int64_t, OutEntry> out_;
  std::set<std::pair<int64_t, int64_t>> delayed_;  // (due, key), those in a class's `due` included.
  size_t claimed_ = 0;
};

}  // namespace viaduct::spool_internal
