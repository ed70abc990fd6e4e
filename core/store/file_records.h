// What the writers of every store share about files. Internal to core/store.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "core/store/records.h"

namespace viaduct {

inline bool HasKey(const FileTransferRecord& record) { return record.message_key != MessageKey{}; }
void KeyFromOctets(std::string_view octets, MessageKey* key);

// What is written in the table; kWaiting and kFile for anything else.
FileState FileStateNamed(std::string_view name);
FileTransferRecord::Kind FileKindNamed(std::string_view name);

absl::Status OfAnotherDevice(const FileTransferRecord& record);
absl::Status NothingToSettle(const FileTransferRecord& record);
absl::Status UnknownFile(std::string_view transfer_id);

// Puts a line where it is missing or empty; false where there is one. `lines` as in
// detections.plate_images.
bool SetLine(size_t place, std::string_view text, std::string* lines);

// Which event has the plate of that place: the one whose number follows it, unless plate_places
// says otherwise. Thread-compatible.
class PlateEvent {
 public:
  PlateEvent(std::string_view detection_id, int64_t place);
  // A row of plate_places.
  void See(std::string_view event_id, int64_t place);
  const std::string& id() const { return found_.empty() ? usual_ : found_; }  // "": none.

 private:
  const int64_t place_;
  std::string usual_;
  std::string found_;
};

}  // namespace viaduct
