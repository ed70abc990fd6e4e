#include "core/spool/spool_format.h"

#include <zlib.h>

#include <cstring>
#include <vector>

namespace viaduct::spool_internal {
namespace {

// Accumulates a CRC over numbers (little endian) and texts (length first).
class Checksum {
 public:
  explicit Checksum(char kind) { Add(static_cast<uint64_t>(kind)); }
  Checksum& Add(uint64_t number) {
    unsigned char bytes[8];
    for (unsigned char& byte : bytes) {
      byte = static_cast<unsigned char>(number);
      number >>= 8;
    }
    crc_ = crc32(crc_, bytes, sizeof(bytes));
    return *this;
  }
  Checksum& Add(int64_t number) { return Add(static_cast<uint64_t>(number)); }
  Checksum& Add(std::string_view text) {
    Add(static_cast<uint64_t>(text.size()));
    crc_ = crc32_z(crc_, reinterpret_cast<const unsigned char*>(text.data()), text.size());
    return *this;
  }
  uint32_t value() const { return static_cast<uint32_t>(crc_); }

 private:
  uLong crc_ = 0;
};

void AddRow(const SpoolRow& row, Checksum* sum) {
  sum->Add(row.key)
      .Add(static_cast<uint64_t>(row.type))
      .Add(row.captured_ms)
      .Add(row.accepted_ms)
      .Add(row.spool_ms)
      .Add(row.message_id)
      .Add(row.device)
      .Add(row.envelope_json);
}

// The state's fields in the order in which they are stored; new ones only at the end.
template <typename State, typename Fn>
void ForEachField(State* state, Fn fn) {
  fn(&state->generation);
  fn(&state->next_sequence);
  fn(&state->spool_ms);
  for (auto& value : state->head) fn(&value);
  for (auto& value : state->messages) fn(&value);
  for (auto& value : state->bytes) fn(&value);
  fn(&state->dead_messages);
  fn(&state->dead_bytes);
  fn(&state->accepted_total);
  fn(&state->confirmed_total);
  fn(&state->expired_total);
  fn(&state->dropped_total);
  fn(&state->rejected_total);
  fn(&state->damages_total);
  fn(&state->lost_total);
}

uint32_t StateChecksum(const SpoolState& state) {
  Checksum sum('S');
  ForEachField(&state, [&sum](const int64_t* field) { sum.Add(*field); });
  return sum.value();
}

bool Plausible(const SpoolState& state) {
  bool sane = state.next_sequence > 0 && state.next_sequence <= kMaxSequence;
  ForEachField(&state, [&sane](const int64_t* field) { sane = sane && *field >= 0; });
  for (int c = 0; c < kClasses; ++c) {
    const auto i = static_cast<size_t>(c);
    sane = sane && state.head[i] >= FirstKey(c) && state.head[i] <= LastKey(c) + 1;
  }
  return sane;
}

}  // namespace

uint64_t RowBytes(const SpoolRow& row) {
  return row.envelope_json.size() + row.message_id.size() + row.device.size() + kRowOverheadBytes;
}

uint32_t RowChecksum(const SpoolRow& row) {
  Checksum sum('M');
  AddRow(row, &sum);
  return sum.value();
}

uint32_t DeadChecksum(const DeadRow& dead) {
  Checksum sum('D');
  AddRow(dead.row, &sum);
  sum.Add(dead.dead_ms).Add(static_cast<uint64_t>(dead.damaged)).Add(dead.reason);
  return sum.value();
}

uint32_t AttemptChecksum(int64_t key, uint32_t attempts, uint32_t rejects) {
  return Checksum('A').Add(key).Add(uint64_t{attempts}).Add(uint64_t{rejects}).value();
}

void CountRow(int64_t key, uint64_t bytes, int64_t sign, SpoolState* state) {
  const auto klass = static_cast<size_t>(KeyClass(key));
  state->messages[klass] += sign;
  state->bytes[klass] += sign * static_cast<int64_t>(bytes);
}

void CountDead(uint64_t bytes, int64_t sign, SpoolState* state) {
  state->dead_messages += sign;
  state->dead_bytes += sign * static_cast<int64_t>(bytes);
}

std::string EncodeState(const SpoolState& state) {
  std::string blob;
  const auto put = [&blob](int64_t value) {
    auto bits = static_cast<uint64_t>(value);
    for (int i = 0; i < 8; ++i, bits >>= 8) blob.push_back(static_cast<char>(bits));
  };
  ForEachField(&state, [&put](const int64_t* field) { put(*field); });
  put(StateChecksum(state));
  return blob;
}

bool DecodeState(std::string_view blob, SpoolState* state) {
  size_t at = 0;
  bool complete = true;
  const auto get = [&](int64_t* value) {
    if (at + 8 > blob.size()) {
      complete = false;
      return;
    }
    uint64_t bits = 0;
    for (size_t i = 8; i-- > 0;) bits = (bits << 8) | static_cast<unsigned char>(blob[at + i]);
    *value = static_cast<int64_t>(bits);
    at += 8;
  };
  ForEachField(state, get);
  int64_t checksum = 0;
  get(&checksum);
  return complete && at == blob.size() && checksum == StateChecksum(*state) && Plausible(*state);
}

}  // namespace viaduct::spool_internal
