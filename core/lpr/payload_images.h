// The images of a detection where they stand in its payload, and the payload without some of them:
// what is sent as files is named in it (docs/WIRE.md, "Images that come as files").
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "core/message/json_scanner.h"

namespace viaduct {

// Member of a payload that names the images that come as files.
inline constexpr std::string_view kImageFilesKey = "image_files";

// `kind` of such a file.
inline constexpr std::string_view kVehicleImageKind = "image";  // annotated_image
inline constexpr std::string_view kPlateImageKind = "plate";    // cropped_plates

struct PayloadImage {
  std::string_view kind;
  uint32_t index = 0;     // Among those of its kind, counted as ReadDetection counts them.
  std::string_view json;  // The string in the payload, with its quotes.
};

// An image of a detection that comes as a file.
struct ImageFileEntry {
  size_t place = 0;  // In PayloadImages::all().
  std::string name;  // On the server, `<device>/...`.
  uint64_t size = 0;
  std::string sha256;
  std::string transfer_id;
};

// Thread-compatible.
class PayloadImages {
 public:
  // `payload` outlives the object.
  PayloadImages(std::string_view payload, const JsonScanLimits& limits)
      : json_(payload), limits_(limits) {}
  PayloadImages(const PayloadImages&) = delete;
  PayloadImages& operator=(const PayloadImages&) = delete;

  // Fills all(). INVALID_ARGUMENT: no payload whose images could be told apart: no JSON object, two
  // annotated images, or one that names files already.
  absl::Status Find();
  // In the order in which they stand in the payload.
  const std::vector<PayloadImage>& all() const { return images_; }
  // The text of the image, as DecodeImage takes it; `holder` keeps it where it had to be decoded.
  static std::string_view TextOf(const PayloadImage& image, std::string* holder);

  // The payload with null in the place of the images that `files` names, by place in ascending
  // order, and the files themselves in kImageFilesKey.
  std::string Without(const std::vector<ImageFileEntry>& files) const;

 private:
  absl::Status Scan(std::vector<JsonMember>* members);
  bool Unfold(const JsonMember& member);
  absl::Status FindIn(const std::vector<JsonMember>& members, bool nested);
  absl::Status FindPlates(const JsonSlice& value);

  std::string_view json_;
  const JsonScanLimits limits_;
  std::string unfolded_;  // Where json_ points when it is not as it came.
  std::vector<PayloadImage> images_;
  uint32_t vehicles_ = 0;
  uint32_t plates_ = 0;
};

}  // namespace viaduct
