// What a device says of a file that it sends: docs/TRANSFERS.md, "Telling the server".
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "core/receive/incoming_folder.h"

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
  std::string message_id;  // Of the detection; "" where the file belongs to none.
  FileKind kind = FileKind::kFile;
  int index = 0;
  IncomingAnnouncement file;  // Its name begins with the device.
  absl::Time at;              // The device's clock.
};

// The payload of a `file_transfer_request`. INVALID_ARGUMENT "<member>: <what>, <detail>".
absl::StatusOr<FileAnnouncement> ReadAnnouncement(std::string_view payload);

}  // namespace viaduct
