#include "core/spool/raw_record.h"

#include <utility>

namespace viaduct::spool_internal {
namespace {

constexpr size_t kMessageColumns = 9;
constexpr size_t kDeadColumns = 12;
constexpr size_t kAttemptColumns = 5;
constexpr size_t kStateColumns = 2;

struct Value {
  int64_t number = 0;
  std::string_view text;
  bool is_text = false;  // Or a blob.
};

size_t SerialSize(uint64_t type) {
  static constexpr size_t kSizes[] = {0, 1, 2, 3, 4, 6, 8, 8, 0, 0, 0, 0};
  return type < 12 ? kSizes[type] : static_cast<size_t>((type - 12) / 2);
}

int64_t ReadInteger(const unsigned char* data, size_t size) {
  if (size == 0) return 0;
  auto value = static_cast<uint64_t>(static_cast<int64_t>(static_cast<signed char>(data[0])));
  for (size_t i = 1; i < size; ++i) value = (value << 8) | data[i];
  return static_cast<int64_t>(value);
}

Value ReadValue(uint64_t type, const unsigned char* data) {
  Value value;
  const size_t size = SerialSize(type);
  if (type >= 12) {
    value.is_text = true;
    value.text = std::string_view(reinterpret_cast<const char*>(data), size);
  } else if (type == 9) {
    value.number = 1;
  } else if (type >= 1 && type <= 6) {
    value.number = ReadInteger(data, size);
  }
  return value;
}

// False when the record is not whole.
bool ReadValues(std::string_view payload, std::vector<Value>* values) {
  const auto* data = reinterpret_cast<const unsigned char*>(payload.data());
  size_t at = 0;
  uint64_t header = 0;
  if (!ReadVarint(data, payload.size(), &at, &header) || header > payload.size()) return false;
  size_t body = static_cast<size_t>(header);
  while (at < header) {
    uint64_t type = 0;
    if (!ReadVarint(data, static_cast<size_t>(header), &at, &type)) return false;
    const size_t size = SerialSize(type);
    if (size > payload.size() - body || values->size() >= kDeadColumns) return false;
    values->push_back(ReadValue(type, data + body));
    body += size;
  }
  return true;
}

SpoolRow RowFrom(int64_t rowid, const std::vector<Value>& v) {
  SpoolRow row;
  row.key = rowid;
  row.type = static_cast<DataType>(v[2].number & 0xff);
  row.captured_ms = v[3].number;
  row.accepted_ms = v[4].number;
  row.spool_ms = v[5].number;
  row.message_id = std::string(v[6].text);
  row.device = std::string(v[7].text);
  row.envelope_json = std::string(v[8].text);
  return row;
}

bool Sane(const SpoolRow& row) { return IsKey(row.key) && row.type <= DataType::kControl; }

void VisitMessage(int64_t rowid, const std::vector<Value>& v, const RowVisitor& visitor) {
  SpoolRow row = RowFrom(rowid, v);
  if (Sane(row) && v[1].number == int64_t{RowChecksum(row)}) {
    visitor.on_row(std::move(row));
  } else {
    visitor.on_damaged();
  }
}

void VisitDead(int64_t rowid, const std::vector<Value>& v, const RowVisitor& visitor) {
  DeadRow dead;
  dead.row = RowFrom(rowid, v);
  dead.dead_ms = v[9].number;
  dead.damaged = v[10].number != 0;
  dead.reason = std::string(v[11].text);
  if (Sane(dead.row) && v[1].number == int64_t{DeadChecksum(dead)}) {
    visitor.on_dead(std::move(dead));
  } else {
    visitor.on_damaged();
  }
}

void VisitAttempt(int64_t rowid, const std::vector<Value>& v, const RowVisitor& visitor) {
  AttemptRecord attempt;
  attempt.attempts = static_cast<uint32_t>(v[2].number);
  attempt.rejects = static_cast<uint32_t>(v[3].number);
  attempt.error = std::string(v[4].text);
  if (v[1].number == int64_t{AttemptChecksum(rowid, attempt.attempts, attempt.rejects)}) {
    visitor.on_attempt(rowid, std::move(attempt));
  }
}

}  // namespace

bool ReadVarint(const unsigned char* data, size_t size, size_t* at, uint64_t* value) {
  *value = 0;
  for (int i = 0; i < 9; ++i) {
    if (*at >= size) return false;
    const unsigned char byte = data[(*at)++];
    if (i == 8) {
      *value = (*value << 8) | byte;
      return true;
    }
    *value = (*value << 7) | (byte & 0x7f);
    if ((byte & 0x80) == 0) return true;
  }
  return true;
}

void VisitRecord(int64_t rowid, std::string_view payload, const RowVisitor& visitor) {
  std::vector<Value> values;
  if (!ReadValues(payload, &values)) {
    visitor.on_damaged();
    return;
  }
  SpoolState state;
  if (values.size() == kMessageColumns) {
    VisitMessage(rowid, values, visitor);
  } else if (values.size() == kDeadColumns) {
    VisitDead(rowid, values, visitor);
  } else if (values.size() == kAttemptColumns) {
    VisitAttempt(rowid, values, visitor);
  } else if (values.size() == kStateColumns && DecodeState(values[1].text, &state)) {
    visitor.on_state(state);
  }
}

}  // namespace viaduct::spool_internal
