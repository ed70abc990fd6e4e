// What a device says of a file that it sends: docs/TRANSFERS.md, "Telling the server".
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "core/receive/incoming_folder.h"
#include "core/store/records.h"

namespace viaduct {

enum class FileKind : uint8_t {
  kFile,
  kImage,  // The annotated image of a detection.
  kPlate,  // One of its plates.
};

struct FileAnnouncement {
  static constexpr int kMaxIndex = 63;               // Plate images of one detection, from 0.
  static constexpr uint64_t kMaxBytes = 1ull << 50;  // Of a file.

  std::string transfer_id;  // A UUID in lower case.
  std::string device_id;
  std::string node_id;     // That sends it for the device and is to be answered; "": the device.
  std::string message_id;  // Of the detection; "" where the file belongs to none.
  FileKind kind = FileKind::kFile;
  int index = 0;
  IncomingAnnouncement file;  // Its name begins with the device.
  absl::Time at;              // The device's clock.
};

// The payload of a `file_transfer_request`. INVALID_ARGUMENT "<member>: <what>, <detail>".
absl::StatusOr<FileAnnouncement> ReadAnnouncement(std::string_view payload);

// The same in the store: to be announced there at `at` of this node's clock, and as it is kept.
FileTransferRecord RecordOf(const FileAnnouncement& announcement, absl::Time at);
FileAnnouncement AnnouncementOf(const FileTransferRecord& record);

}  // namespace viaduct
