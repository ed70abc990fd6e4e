// What is in the spool file: keys, rows with their checksums, and the state row. Every row proves
// itself, so that rows can be told from noise when the file around them is damaged.
// Internal to core/spool.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "core/message/envelope.h"

namespace viaduct::spool_internal {

inline constexpr int kPageBytes = 4096;
inline constexpr int kClasses = 3;  // One per Priority.
inline constexpr int kSequenceBits = 48;
inline constexpr int64_t kMaxSequence = (int64_t{1} << kSequenceBits) - 1;
inline constexpr uint64_t kRowOverheadBytes = 64;

// One B-tree gives "priority, then order": the key is the class above the sequence.
constexpr int64_t MakeKey(Priority priority, int64_t sequence) {
  return (static_cast<int64_t>(priority) << kSequenceBits) | sequence;
}
constexpr int KeyClass(int64_t key) { return static_cast<int>(key >> kSequenceBits); }
constexpr int64_t KeySequence(int64_t key) { return key & kMaxSequence; }
constexpr int64_t FirstKey(int klass) { return static_cast<int64_t>(klass) << kSequenceBits; }
constexpr int64_t LastKey(int klass) { return FirstKey(klass) | kMaxSequence; }
constexpr bool IsKey(int64_t key) { return key >= 0 && KeyClass(key) < kClasses; }

struct SpoolRow {
  int64_t key = 0;
  DataType type = DataType::kDetection;
  int64_t captured_ms = 0;  // Unix time, by the camera.
  int64_t accepted_ms = 0;  // Unix time of this node's wall clock; for people only.
  int64_t spool_ms = 0;     // Spool time at acceptance; age and time to live count from it.
  std::string message_id;
  std::string device;
  std::string envelope_json;
};

// A message set aside after its peers refused it, or because its row was found damaged.
struct DeadRow {
  SpoolRow row;
  int64_t dead_ms = 0;
  bool damaged = false;
  std::string reason;
};

uint64_t RowBytes(const SpoolRow& row);
uint32_t RowChecksum(const SpoolRow& row);
uint32_t DeadChecksum(const DeadRow& dead);
uint32_t AttemptChecksum(int64_t key, uint32_t attempts, uint32_t rejects);

// Counters of the whole spool, written in every transaction: opening needs no scan.
struct SpoolState {
  int64_t generation = 0;  // Transactions so far; tells the newest copy in a damaged file.
  int64_t next_sequence = 1;
  // Milliseconds of monotonic time that a node had this spool open, ever.
  int64_t spool_ms = 0;
  // No live row has a smaller key; what is below was confirmed, dropped or expired.
  std::array<int64_t, kClasses> head{FirstKey(0), FirstKey(1), FirstKey(2)};
  std::array<int64_t, kClasses> messages{};
  std::array<int64_t, kClasses> bytes{};
  int64_t dead_messages = 0;
  int64_t dead_bytes = 0;
  int64_t accepted_total = 0;
  int64_t confirmed_total = 0;
  int64_t expired_total = 0;
  int64_t dropped_total = 0;
  int64_t rejected_total = 0;
  int64_t damages_total = 0;
  int64_t lost_total = 0;
};

void CountRow(int64_t key, uint64_t bytes, int64_t sign, SpoolState* state);
void CountDead(uint64_t bytes, int64_t sign, SpoolState* state);

std::string EncodeState(const SpoolState& state);
bool DecodeState(std::string_view blob, SpoolState* state);

}  // namespace viaduct::spool_internal
