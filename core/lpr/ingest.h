// From a message to what is stored of it.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "core/lpr/payload.h"
#include "core/lpr/sink.h"
#include "core/message/envelope.h"
#include "core/store/records.h"

namespace viaduct {

// `type` of the payload of a configuration message that registers a camera: how a registration
// travels from an edge node to the server.
inline constexpr std::string_view kRegistrationType = "camera_register";

// The same of a control message that tells of a file.
inline constexpr std::string_view kFileRequestType = "file_transfer_request";

// The key of exactly-once effect of a message; the same wherever it is computed.
MessageKey KeyOf(const Envelope& envelope);

// A record and the images that belong to it, as sent.
struct IngestedMessage {
  StoreRecord record;
  std::string annotated_image;
  std::vector<std::string> cropped_plates;
  bool has_images = false;
};

// INVALID_ARGUMENT "<field>: <what>, <detail>" when the payload is not what its data type says.
// Members that only the flat form requires may be missing: camera and time come from the envelope.
// Of `options` keep_images is not looked at: they are kept.
absl::StatusOr<IngestedMessage> IngestMessage(Arrival message, absl::Time arrived,
                                              PayloadOptions options);

// What IngestMessage would say, without its work.
absl::Status CheckMessage(const Envelope& envelope, const PayloadOptions& options);

}  // namespace viaduct
