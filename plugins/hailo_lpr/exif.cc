#include "plugins/hailo_lpr/exif.h"

#include <libexif/exif-data.h>

#include <memory>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

namespace viaduct::hailo_lpr {
namespace {

using Data = std::unique_ptr<ExifData, decltype(&exif_data_unref)>;

std::string TextOf(ExifData* data, ExifTag tag) {
  const ExifEntry* entry = exif_content_get_entry(data->ifd[EXIF_IFD_EXIF], tag);
  if (entry == nullptr || entry->format != EXIF_FORMAT_ASCII || entry->data == nullptr) return {};
  const std::string text(static_cast<const char*>(static_cast<const void*>(entry->data)),
                         entry->size);
  // Up to its NUL.
  return std::string(absl::StripAsciiWhitespace(text.c_str()));
}

std::optional<absl::Time> TimeOf(ExifData* data, absl::TimeZone zone) {
  std::string text = TextOf(data, EXIF_TAG_DATE_TIME_ORIGINAL);
  if (text.empty()) return std::nullopt;
  const std::string fraction = TextOf(data, EXIF_TAG_SUB_SEC_TIME_ORIGINAL);
  if (!fraction.empty()) absl::StrAppend(&text, ".", fraction);
  const std::string offset = TextOf(data, EXIF_TAG_OFFSET_TIME_ORIGINAL);
  absl::Time taken;
  std::string error;
  if (!offset.empty() &&
      absl::ParseTime("%Y:%m:%d %H:%M:%E*S%Ez", absl::StrCat(text, offset), &taken, &error)) {
    return taken;
  }
  if (absl::ParseTime("%Y:%m:%d %H:%M:%E*S", text, zone, &taken, &error)) return taken;
  return std::nullopt;
}

}  // namespace

Exif ReadExif(std::string_view segment, absl::TimeZone zone) {
  Exif exif;
  if (segment.empty()) return exif;
  const Data data(exif_data_new(), &exif_data_unref);
  if (data == nullptr) return exif;
  // As it is: the library would fill in what is missing.
  exif_data_unset_option(data.get(), EXIF_DATA_OPTION_FOLLOW_SPECIFICATION);
  exif_data_load_data(data.get(),
                      static_cast<const unsigned char*>(static_cast<const void*>(segment.data())),
                      static_cast<unsigned>(segment.size()));
  const ExifEntry* turned = exif_content_get_entry(data->ifd[EXIF_IFD_0], EXIF_TAG_ORIENTATION);
  if (turned != nullptr && turned->format == EXIF_FORMAT_SHORT && turned->size >= 2) {
    exif.orientation = exif_get_short(turned->data, exif_data_get_byte_order(data.get()));
  }
  exif.taken = TimeOf(data.get(), zone);
  return exif;
}

}  // namespace viaduct::hailo_lpr
