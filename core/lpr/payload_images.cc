#include "core/lpr/payload_images.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "core/base/string_view.h"
#include "core/lpr/json_writer.h"
#include "core/lpr/payload.h"

namespace viaduct {
namespace {

constexpr std::string_view kNestedKey = "detection_data";
constexpr std::string_view kVehicleKey = "annotated_image";
constexpr std::string_view kPlatesKey = "cropped_plates";
constexpr size_t kEmptyText = 2;   // "" with its quotes.
constexpr int kMaxUnfoldings = 3;  // detection_data, and cropped_plates beside and in it.

bool IsText(const JsonSlice& value) {
  return value.type == JsonType::kString && value.text.size() > kEmptyText;
}

void WriteEntry(const PayloadImage& image, const ImageFileEntry& file, JsonWriter* json) {
  json->BeginObject().Field("kind", image.kind).Field("index", int64_t{image.index});
  json->Field("name", std::string_view(file.name));
  json->Field("size", static_cast<int64_t>(file.size));
  json->Field("sha256", std::string_view(file.sha256));
  json->Field("transfer_id", std::string_view(file.transfer_id)).EndObject();
}

}  // namespace

absl::Status PayloadImages::Find() {
  std::vector<JsonMember> members;
  VD_RETURN_IF_ERROR(Scan(&members));
  VD_RETURN_IF_ERROR(FindIn(members, /*nested=*/false));
  if (vehicles_ <= 1) return absl::OkStatus();
  return absl::InvalidArgumentError("annotated_image: there are two");
}

// Objects and arrays that came as JSON text stand in the place of their strings afterwards.
absl::Status PayloadImages::Scan(std::vector<JsonMember>* members) {
  for (int unfolded = 0;; ++unfolded) {
    members->clear();
    VD_RETURN_IF_ERROR(JsonScanner(json_, limits_).ScanObject(members));
    bool again = false;
    for (size_t i = 0; i < members->size() && !again && unfolded < kMaxUnfoldings; ++i) {
      const JsonMember& member = (*members)[i];
      again = Unfold(member);
      if (again || member.key != kNestedKey || member.value.type != JsonType::kObject) continue;
      std::vector<JsonMember> inner;
      VD_RETURN_IF_ERROR(JsonScanner(member.value.text, limits_).ScanObject(&inner));
      for (size_t k = 0; k < inner.size() && !again; ++k) {
        again = inner[k].key == kPlatesKey && Unfold(inner[k]);
      }
    }
    if (!again) return absl::OkStatus();
  }
}

bool PayloadImages::Unfold(const JsonMember& member) {
  const bool nested = member.key == kNestedKey;
  if (!IsText(member.value) || (!nested && member.key != kPlatesKey)) return false;
  const std::string inner = DecodeJsonString(member.value.text);
  const char first = JsonScanner(inner, limits_).Peek();
  if (first != (nested ? '{' : '[')) return false;
  JsonSlice slice;
  if (!JsonScanner(inner, limits_).ScanDocument(&slice).ok()) return false;
  const auto begin = static_cast<size_t>(member.value.text.data() - json_.data());
  std::string unfolded = absl::StrCat(AbslView(json_.substr(0, begin)), AbslView(slice.text),
                                      AbslView(json_.substr(begin + member.value.text.size())));
  unfolded_ = std::move(unfolded);
  json_ = unfolded_;
  return true;
}

absl::Status PayloadImages::FindIn(const std::vector<JsonMember>& members, bool nested) {
  for (const JsonMember& member : members) {
    const JsonSlice& value = member.value;
    if (member.key == kImageFilesKey) {
      return absl::InvalidArgumentError("image_files: names files already");
    }
    if (member.key == kVehicleKey && IsText(value)) {
      images_.push_back({kVehicleImageKind, vehicles_++, value.text});
    } else if (member.key == kPlatesKey) {
      VD_RETURN_IF_ERROR(FindPlates(value));
    } else if (!nested && member.key == kNestedKey && value.type == JsonType::kObject) {
      std::vector<JsonMember> inner;
      VD_RETURN_IF_ERROR(JsonScanner(value.text, limits_).ScanObject(&inner));
      VD_RETURN_IF_ERROR(FindIn(inner, /*nested=*/true));
    }
  }
  return absl::OkStatus();
}

absl::Status PayloadImages::FindPlates(const JsonSlice& value) {
  if (IsText(value)) {  // One image without an array around it.
    images_.push_back({kPlateImageKind, plates_++, value.text});
    return absl::OkStatus();
  }
  if (value.type != JsonType::kArray) return absl::OkStatus();
  std::vector<JsonElement> elements;
  VD_RETURN_IF_ERROR(JsonScanner(value.text, limits_).ScanArray(kMaxImagesPerDetection, &elements));
  for (const JsonElement& element : elements) {
    if (IsText(element.value)) {
      images_.push_back({kPlateImageKind, plates_, element.value.text});
    }
    ++plates_;
  }
  return absl::OkStatus();
}

std::string_view PayloadImages::TextOf(const PayloadImage& image, std::string* holder) {
  const std::string_view inside = image.json.substr(1, image.json.size() - kEmptyText);
  if (inside.find('\\') == std::string_view::npos) return inside;
  *holder = DecodeJsonString(image.json);
  return *holder;
}

std::string PayloadImages::Without(const std::vector<ImageFileEntry>& files) const {
  if (files.empty()) return std::string(json_);
  JsonWriter entries;
  entries.BeginArray();
  std::string out;
  size_t at = 0;
  for (const ImageFileEntry& file : files) {
    const PayloadImage& image = images_[file.place];
    const auto begin = static_cast<size_t>(image.json.data() - json_.data());
    out.append(json_.substr(at, begin - at)).append("null");
    at = begin + image.json.size();
    WriteEntry(image, file, &entries);
  }
  entries.EndArray();
  const size_t end = json_.rfind('}');
  out.append(json_.substr(at, end - at));
  absl::StrAppend(&out, ",\"", AbslView(kImageFilesKey), "\":", entries.text(), "}");
  return out;
}

}  // namespace viaduct
