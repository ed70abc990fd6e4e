#include "core/store/file_records.h"

#include <cstring>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/string_view.h"
#include "core/store/page_cursor.h"

namespace viaduct {

std::string_view FileStateName(FileState state) {
  switch (state) {
    case FileState::kWaiting:
      return "waiting";
    case FileState::kStored:
      return "stored";
    case FileState::kFailed:
      return "failed";
  }
  return "waiting";
}

std::string_view FileKindName(FileTransferRecord::Kind kind) {
  switch (kind) {
    case FileTransferRecord::Kind::kFile:
      return "file";
    case FileTransferRecord::Kind::kImage:
      return "image";
    case FileTransferRecord::Kind::kPlate:
      return "plate";
  }
  return "file";
}

FileState FileStateNamed(std::string_view name) {
  for (const FileState state : {FileState::kStored, FileState::kFailed}) {
    if (FileStateName(state) == name) return state;
  }
  return FileState::kWaiting;
}

FileTransferRecord::Kind FileKindNamed(std::string_view name) {
  using Kind = FileTransferRecord::Kind;
  for (const Kind kind : {Kind::kImage, Kind::kPlate}) {
    if (FileKindName(kind) == name) return kind;
  }
  return Kind::kFile;
}

void KeyFromOctets(std::string_view octets, MessageKey* key) {
  if (octets.size() == key->size()) std::memcpy(key->data(), octets.data(), key->size());
}

absl::Status OfAnotherDevice(const FileTransferRecord& record) {
  return absl::InvalidArgumentError(
      absl::StrCat("transfer_id: that of another device's file, \"", record.transfer_id, "\""));
}

absl::Status NothingToSettle(const FileTransferRecord& record) {
  return absl::NotFoundError(
      absl::StrCat("file transfer: none with that digest, \"", record.transfer_id, "\""));
}

absl::Status UnknownFile(std::string_view transfer_id) {
  return absl::NotFoundError(
      absl::StrCat("file transfer: unknown, \"", AbslView(transfer_id), "\""));
}

bool SetLine(size_t place, std::string_view text, std::string* lines) {
  std::vector<std::string> all = SplitLines(*lines);
  if (all.size() <= place) all.resize(place + 1);
  if (!all[place].empty()) return false;
  all[place] = std::string(text);
  lines->clear();
  for (const std::string& line : all) absl::StrAppend(lines, line, "\n");
  return true;
}

PlateEvent::PlateEvent(std::string_view detection_id, int64_t place)
    : place_(place), usual_(absl::StrCat(AbslView(detection_id), "-", place + 1)) {}

void PlateEvent::See(std::string_view event_id, int64_t place) {
  if (place == place_) found_ = std::string(event_id);
  if (event_id == usual_ && place != place_) usual_.clear();
}

}  // namespace viaduct
