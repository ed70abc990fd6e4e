// The order of what may be sent next, in memory: per priority a queue of live messages, which came
// straight from the writer, the place up to which the file has been read, and every message that is
// out. Internal to core/spool.
//
// Messages of one stream (a device and a type that is ordered) go one at a time: while one is out,
// the keys of those that were read behind it are held. Of a stream with more than may be held the
// others are skipped: the place of the first one is kept, and the file is read once more from there
// when nothing of the stream is left. So one device with a long backlog holds up nobody else.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <set>
#include <utility>

#include "absl/container/btree_map.h"
#include "absl/container/btree_set.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/types/span.h"
#include "core/gateway/outbox.h"
#include "core/spool/spool_format.h"

namespace viaduct::spool_internal {

// A message with what the index keeps of it while it is out.
struct LoadedMessage {
  OutboxMessage message;
  int64_t spool_ms = 0;
  uint64_t bytes = 0;   // As counted by the spool.
  uint64_t stream = 0;  // Its order is kept with others of the same; 0: with none.
  uint32_t rejects = 0;
  bool has_attempt_row = false;
};

LoadedMessage LoadedFrom(SpoolRow row);

// Never 0. Two that meet in one number wait for each other without need, nothing else.
uint64_t StreamOf(int klass, const std::string& device, DataType type);

enum class OutState : uint8_t {
  kClaimed,
  kDelayed,  // Waits for its next attempt.
  kLeaving,  // Confirmed, expired or dropped; the writer has yet to delete the row.
  kDying,    // On its way to the dead letters.
};

struct OutEntry {
  OutState state = OutState::kClaimed;
  bool has_attempt_row = false;
  bool put_off = false;  // While delayed: it was released, not tried.
  bool ghost = false;    // Its row was lost with a damaged file.
  uint32_t attempts = 0;
  uint32_t rejects = 0;
  uint64_t bytes = 0;
  uint64_t stream = 0;
  int64_t spool_ms = 0;  // Of acceptance.
  int64_t due_ns = 0;    // While delayed.
};

OutEntry OutEntryOf(const LoadedMessage& loaded);

struct UnreadRange {
  int64_t first = 0;
  int64_t last = 0;
  int64_t count = 0;     // Rows that must be in there, besides those that are out.
  int64_t appended = 0;  // Stamp for CheckExhausted.
};

// Of a row: all that its order needs.
struct StreamRow {
  int64_t key = 0;
  uint64_t stream = 0;
};

// Thread-compatible.
class SpoolIndex {
 public:
  struct Limits {
    size_t max_out = 0;
    size_t max_ready_messages = 0;  // Live ones, and the keys of held ones once more.
    size_t max_ready_bytes = 0;
  };
  static constexpr size_t kMostHeldOfStream = 64;
  static constexpr size_t kMostSkippingStreams = 4'096;  // With more, reading ends.
  enum class Take : uint8_t { kTaken, kPassed, kFull };
  explicit SpoolIndex(const Limits& limits) : limits_(limits) {}

  // Forgets the ready messages and starts reading the file anew; what is out stays out.
  void Restart(const SpoolState& state);

  // A row was committed. It stays in memory where there is room and the order allows it.
  void Appended(LoadedMessage loaded);
  void AppendedUnread(int64_t key);

  // Moves delayed messages whose time has come to the front of their class.
  void MoveDue(int64_t now_ns);
  // Takes the next due key of the class, of those accepted since `live_ms` or of the others; its
  // body must be read. `put_off`: also of those that were put off.
  bool TakeDue(int klass, bool live, int64_t live_ms, bool put_off, int64_t* key, OutEntry** entry);
  // Live messages that were accepted before `live_ms` are unread again.
  void DropStale(int klass, int64_t live_ms);
  // Takes the next live message; those whose stream is not free are held or unread again.
  bool TakeReady(int klass, LoadedMessage* loaded);
  // Takes the next held one; its body must be read.
  bool TakeHeld(int klass, int64_t* key, OutEntry** entry);
  UnreadRange Unread(int klass) const;
  // A row of the file, before its body is read. kTaken: is to be taken; kPassed: it is out already,
  // or not to be taken, or is held or skipped now; kFull: reading must end before it.
  Take Pass(const StreamRow& row);
  // The same for one whose body was read, which is taken.
  Take TakeRead(LoadedMessage* loaded);
  // After reading a range to its end: false when rows are missing in the file.
  bool CheckExhausted(int klass, const UnreadRange& range) const;
  // Where the next message of a stream lies of which all that is left was skipped. False: nowhere.
  bool FindHungry(int klass, int64_t* first, int64_t* last) const;
  // Holds skipped ones of `rows`, which are all that lie from `first` to `last` in the file. False:
  // what must be there is missing.
  bool Refill(int klass, int64_t first, int64_t last, absl::Span<const StreamRow> rows);
  // No message that waits has a smaller key.
  int64_t FirstWaiting(int klass) const;
  bool Waits(const StreamRow& row);
  // Takes a message that waits, wherever it waits, for removal. False: it is out or unknown.
  bool TakeWaiting(const StreamRow& row, OutState state, uint64_t bytes);

  // What was taken as kLeaving waits again. Not while the file is being read.
  void GiveBack(const StreamRow& row);

  OutEntry* Find(int64_t key);
  void Delay(int64_t key, int64_t due_ns, bool put_off = false);  // 0: due at once.
  void Leave(int64_t key, OutState state);                        // kLeaving or kDying.
  void Erase(int64_t key);
  // True while a read of the file that began earlier may still come to this row.
  bool Unpassed(int64_t key) { return key >= Of(key).cursor || !Of(key).skipping.empty(); }

  // An eighth of what may be out at once is kept from each class for those above it.
  bool Full(int klass) const {
    return out_.size() >= limits_.max_out - static_cast<size_t>(klass) * (limits_.max_out / 8);
  }
  int64_t NextDue() const;
  // Per class the first key that is in the file still, once the rows of `removed` are not.
  std::array<int64_t, kClasses> Heads(const absl::flat_hash_set<int64_t>& removed) const;
  size_t claimed() const { return claimed_; }
  size_t delayed() const;
  // For recovery: every entry that is out.
  template <typename Fn>
  void ForEachOut(Fn fn) {
    for (auto& [key, entry] : out_) fn(key, &entry);
  }

 private:
  struct Due {
    size_t size() const { return live.size() + backlog.size(); }
    void Erase(int64_t key) {
      live.erase(key);
      backlog.erase(key);
    }

    absl::btree_set<int64_t> live;
    absl::btree_set<int64_t> backlog;
  };
  struct Class {
    std::deque<LoadedMessage> ready;  // By key; also above the cursor.
    int64_t cursor = 0;               // Rows below are ready, held, out or gone.
    int64_t visible = 0;              // Last key announced by Appended.
    int64_t unread = 0;               // Rows in [cursor, visible] that are none of these.
    int64_t appended = 0;
    absl::btree_set<int64_t> delayed;  // Due or not.
    Due due;
    Due put_off;                              // Due as well.
    absl::btree_map<int64_t, uint64_t> held;  // The stream of each.
    absl::btree_set<int64_t> free;            // Of the held ones: nothing is before them any more.
    // Streams by the place of the first that was skipped; those of which nothing else is left.
    absl::btree_set<std::pair<int64_t, uint64_t>> skipping;
    absl::btree_set<std::pair<int64_t, uint64_t>> hungry;
  };
  // While anything of it is out, held or skipped: what comes later is blocked.
  struct Stream {
    uint32_t out = 0;  // 1, but for messages of before a restart of the index.
    absl::btree_set<int64_t> held;
    int64_t skipped = 0;  // Rows in [next, end), all behind what is held.
    int64_t next = 0;
    int64_t end = 0;

    bool idle() const { return out == 0 && held.empty(); }
  };

  static int64_t FirstUnpassed(const Class& klass);
  Class& Of(int64_t key) { return classes_[static_cast<size_t>(KeyClass(key))]; }
  OutEntry* Add(int64_t key, const OutEntry& entry);
  void SetState(OutEntry* entry, OutState state);
  bool Blocked(uint64_t stream) const { return stream != 0 && streams_.contains(stream); }
  void LeaveStream(uint64_t stream);
  bool MayHold(const Stream& stream) const;
  void Hold(const StreamRow& row, Stream* stream);
  void Unhold(Class* klass, int64_t key, uint64_t stream);
  bool HoldOrSkip(const StreamRow& row);
  bool IsSkipped(const StreamRow& row) const;
  bool IsPassed(const StreamRow& row);
  void Unskip(uint64_t stream);
  void MoveNext(uint64_t stream, Stream* waiting, int64_t next);
  std::deque<LoadedMessage>::iterator FindReady(Class* klass, int64_t key);
  LoadedMessage PopReady(Class* klass);
  void PutBack(Class* klass);

  const Limits limits_;
  std::array<Class, kClasses> classes_;
  size_t ready_messages_ = 0;
  size_t ready_bytes_ = 0;
  size_t held_messages_ = 0;
  size_t skipping_streams_ = 0;
  absl::flat_hash_map<uint64_t, Stream> streams_;
  absl::btree_map<int64_t, OutEntry> out_;
  std::set<std::pair<int64_t, int64_t>> delayed_;  // (due, key) of those that are not due yet.
  size_t claimed_ = 0;
};

}  // namespace viaduct::spool_internal
