// Images of detections as files: <root>/<camera>/<checkpoint>/<YYYY>/<MM>/<DD>/detection_<id>.jpg
// and plate_<id>_<n>.jpg.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "core/observe/log.h"
#include "core/store/message_key.h"

namespace viaduct {

struct ImageFolderOptions {
  std::string root;                    // Created when missing.
  size_t max_image_bytes = 16u << 20;  // Decoded; larger ones are refused.
  size_t max_plates = 64;              // Plate images of one detection.
};

// Decoded and recognised image data.
struct Image {
  std::string bytes;
  std::string_view extension;  // ".jpg", ".png", ".webp"
};

// Base64 (with or without padding and line breaks) or a data URL of a JPEG, PNG or WebP.
// INVALID_ARGUMENT says what is wrong; RESOURCE_EXHAUSTED when it is larger than `max_bytes`. The
// header and the end of the image are looked at; pixels are not decoded.
absl::StatusOr<Image> DecodeImage(std::string_view text, size_t max_bytes);

struct DetectionImages {
  MessageKey key{};  // Of the detection; FormatKey(key) is in the names.
  std::string_view camera_id;
  std::string_view checkpoint_id;
  absl::Time captured_at;
  const Image* annotated = nullptr;  // Borrowed; may be null.
  std::vector<const Image*> plates;  // Borrowed; null where that plate has none.
};

struct ImagePaths {
  std::string annotated;            // Below the root, "" without one.
  std::vector<std::string> plates;  // As many as were given.
};

// Thread-safe: different detections may be written at the same time, one detection by one caller.
class ImageFolder {
 public:
  // Creates the folder. Call CleanUp once before the first Write.
  static absl::StatusOr<std::unique_ptr<ImageFolder>> Open(const ImageFolderOptions& options,
                                                           Log* log);

  // Makes the files durable under their final names: temporary name, sync, rename, sync of the
  // folder. All or nothing. Call Committed or Discard afterwards. Writing the same detection again
  // replaces its files. RESOURCE_EXHAUSTED: disk full; UNAVAILABLE: another disk error.
  absl::StatusOr<ImagePaths> Write(const DetectionImages& images);
  // The row that names the files is committed.
  void Committed(const MessageKey& key);
  // The row was not committed: removes the files.
  void Discard(const MessageKey& key, const ImagePaths& paths);

  // Removes what a crash left between the first byte and the commit. `committed` answers whether
  // the detection's row exists.
  absl::Status CleanUp(const std::function<absl::StatusOr<bool>(const MessageKey&)>& committed);

  // The bytes of one file. `path` is below the root, as Write gave it. NOT_FOUND for everything
  // that is not a plain image file inside the root, whatever it is.
  absl::StatusOr<std::string> Read(std::string_view path) const;

  const ImageFolderOptions& options() const { return options_; }

 private:
  ImageFolder(ImageFolderOptions options, Log* log);

  const ImageFolderOptions options_;
  Log* const log_;
};

// "image/jpeg", "image/png" or "image/webp" for the name of a file; "" for any other.
std::string_view ImageContentType(std::string_view path);

// One name of a path made of what a peer sent: no separators, not "." or "..", at most 100 octets,
// different for different input.
std::string SafePathName(std::string_view text);

}  // namespace viaduct
