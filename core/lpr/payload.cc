#include "core/lpr/payload.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "core/base/string_view.h"
#include "core/message/envelope.h"
#include "core/message/identity.h"
#include "core/message/json_scanner.h"

namespace viaduct {
namespace {

constexpr size_t kMaxNumberBytes = 64;  // Of one that came as text.
constexpr size_t kUsualMembers = 16;
constexpr std::string_view kNestedKey = "detection_data";

absl::Status FieldError(std::string_view field, std::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat(AbslView(field), ": ", AbslView(what)));
}

absl::Status WrongType(std::string_view field, std::string_view expected, const JsonSlice& value) {
  return FieldError(field, absl::StrCat("expected ", AbslView(expected), ", got ",
                                        AbslView(JsonTypeName(value.type))));
}

// Devices send ids and numbers in either form.
absl::Status ReadText(std::string_view field, const JsonSlice& value, size_t max_bytes,
                      std::string* out) {
  if (value.type == JsonType::kNull) return absl::OkStatus();
  if (value.type == JsonType::kString) {
    *out = DecodeJsonString(value.text);
  } else if (value.type == JsonType::kNumber) {
    out->assign(value.text);
  } else {
    return WrongType(field, "a string", value);
  }
  if (out->size() <= max_bytes) return absl::OkStatus();
  return FieldError(field, absl::StrCat("too long, ", out->size(), " bytes, limit ", max_bytes));
}

absl::Status ReadId(std::string_view field, const JsonSlice& value, std::string* out) {
  const size_t max_bytes = ParseLimits().max_id_bytes;
  VD_RETURN_IF_ERROR(ReadText(field, value, max_bytes, out));
  if (out->empty()) return absl::OkStatus();
  const absl::Status checked = CheckIdentifier(*out, max_bytes);
  return checked.ok() ? checked : FieldError(field, StdView(checked.message()));
}

absl::Status ReadOptionalText(std::string_view field, const JsonSlice& value,
                              std::optional<std::string>* out) {
  if (value.type == JsonType::kNull) return absl::OkStatus();
  std::string text;
  VD_RETURN_IF_ERROR(ReadText(field, value, kMaxNameBytes, &text));
  *out = std::move(text);
  return absl::OkStatus();
}

bool NumberOf(const JsonSlice& value, double* out) {
  std::string text;
  if (value.type == JsonType::kNumber) {
    text.assign(value.text);
  } else if (value.type == JsonType::kString) {
    text = DecodeJsonString(value.text);
  } else {
    return false;
  }
  return text.size() <= kMaxNumberBytes && absl::SimpleAtod(text, out) && std::isfinite(*out);
}

absl::Status ReadNumber(std::string_view field, const JsonSlice& value, double low, double high,
                        std::optional<double>* out) {
  if (value.type == JsonType::kNull) return absl::OkStatus();
  double number = 0;
  if (!NumberOf(value, &number)) return WrongType(field, "a number", value);
  if (number < low || number > high) {
    return FieldError(field,
                      absl::StrCat("out of range, ", number, ", expected ", low, " to ", high));
  }
  *out = number;
  return absl::OkStatus();
}

absl::Status ReadCount(std::string_view field, const JsonSlice& value,
                       std::optional<int32_t>* out) {
  if (value.type == JsonType::kNull) return absl::OkStatus();
  double number = 0;
  if (!NumberOf(value, &number)) return WrongType(field, "a whole number", value);
  if (number < 0 || number > kMaxObjectsPerDetection || number != std::floor(number)) {
    return FieldError(field, absl::StrCat("not a count, ", AbslView(CutText(value.text, 32))));
  }
  *out = static_cast<int32_t>(number);
  return absl::OkStatus();
}

absl::Status ReadTime(std::string_view field, const JsonSlice& value, absl::TimeZone zone,
                      std::optional<absl::Time>* out) {
  if (value.type == JsonType::kNull) return absl::OkStatus();
  if (value.type != JsonType::kString) return WrongType(field, "a timestamp text", value);
  const std::string text = DecodeJsonString(value.text);
  if (text.empty()) return absl::OkStatus();
  absl::StatusOr<absl::Time> time = ParseTimestamp(text, zone);
  if (!time.ok()) return FieldError(field, StdView(time.status().message()));
  *out = *time;
  return absl::OkStatus();
}

JsonScanLimits Limits(const PayloadOptions& options) {
  JsonScanLimits limits;
  limits.max_bytes = options.max_bytes;
  limits.max_depth = options.max_depth;
  return limits;
}

// The limits of the scanner are the sender's mistake as much as bad JSON is.
absl::Status ScanMembers(std::string_view json, const PayloadOptions& options,
                         std::vector<JsonMember>* members) {
  members->reserve(kUsualMembers);
  const absl::Status status = JsonScanner(json, Limits(options)).ScanObject(members);
  return status.ok() ? status : absl::InvalidArgumentError(status.message());
}

// Reads the members that every payload has; *used tells whether this was one of them.
class HeaderReader {
 public:
  HeaderReader(const PayloadOptions& options, PayloadHeader* out) : options_(options), out_(out) {}

  absl::Status Read(const JsonMember& member, bool* used) {
    *used = true;
    const std::string& key = member.key;
    if (key == "type") return ReadText(key, member.value, kMaxNameBytes, &out_->type);
    if (key == "checkpoint_id") return ReadId(key, member.value, &out_->checkpoint_id);
    if (key == "message_id") return ReadId(key, member.value, &out_->message_id);
    if (key == "timestamp") {
      return ReadTime(key, member.value, options_.naive_zone, &out_->timestamp);
    }
    const int rank = IdentityRank(key);
    *used = rank >= 0;
    return *used ? ReadIdentity(rank, key, member.value) : absl::OkStatus();
  }

 private:
  absl::Status ReadIdentity(int rank, std::string_view key, const JsonSlice& value) {
    std::string id;
    VD_RETURN_IF_ERROR(ReadId(key, value, &id));
    if (id.empty() || (rank_ >= 0 && rank_ < rank)) return absl::OkStatus();
    rank_ = rank;
    out_->camera_id = std::move(id);
    return absl::OkStatus();
  }

  const PayloadOptions& options_;
  PayloadHeader* const out_;
  int rank_ = -1;
};

bool IsPlateTextKey(std::string_view key) {
  return key == "text" || key == "plate_number" || key == "license_plate" || key == "plate";
}

// Collects what one detection payload says, one level of nesting (`detection_data`) included.
class DetectionReader {
 public:
  DetectionReader(std::string_view json, const PayloadOptions& options, DetectionPayload* out)
      : json_(json), options_(options), header_(options, &out->header), out_(out) {}

  absl::Status Read() {
    std::vector<JsonMember> members;
    VD_RETURN_IF_ERROR(ScanMembers(json_, options_, &members));
    if (Unfold(members)) {
      members.clear();
      VD_RETURN_IF_ERROR(ScanMembers(json_, options_, &members));
    }
    for (const JsonMember& member : members) VD_RETURN_IF_ERROR(ReadTop(member));
    if (out_->plates.empty() && !plate_.text.empty()) out_->plates.push_back(std::move(plate_));
    if (options_.keep_images) CutImages();
    return absl::OkStatus();
  }

 private:
  // Puts a detection_data that came as JSON text in its string's place; true when there was one.
  bool Unfold(const std::vector<JsonMember>& members) {
    for (const JsonMember& member : members) {
      const JsonSlice& value = member.value;
      if (member.key != kNestedKey || value.type != JsonType::kString) continue;
      const std::string inner = DecodeJsonString(value.text);
      JsonSlice object;
      if (!JsonScanner(inner, Limits(options_)).ScanDocument(&object).ok()) return false;
      if (object.type != JsonType::kObject) return false;
      unfolded_ = absl::StrCat(AbslView(json_.substr(0, value.offset)), AbslView(object.text),
                               AbslView(json_.substr(value.offset + value.text.size())));
      json_ = unfolded_;
      return true;
    }
    return false;
  }

  absl::Status ReadTop(const JsonMember& member) {
    bool used = false;
    VD_RETURN_IF_ERROR(header_.Read(member, &used));
    if (used) return absl::OkStatus();
    if (member.key == kNestedKey && member.value.type == JsonType::kObject) {
      std::vector<JsonMember> inner;
      VD_RETURN_IF_ERROR(ScanMembers(member.value.text, options_, &inner));
      for (const JsonMember& nested : inner) VD_RETURN_IF_ERROR(ReadMember(nested));
      return absl::OkStatus();
    }
    return ReadMember(member);
  }

  absl::Status ReadMember(const JsonMember& member) {
    const std::string& key = member.key;
    const JsonSlice& value = member.value;
    if (key == "vehicles_count") return ReadCount(key, value, &out_->vehicles_count);
    if (key == "plates_count") return ReadCount(key, value, &out_->plates_count);
    if (key == "ocr_results" || key == "plates") return ReadPlates(key, value);
    if (key == "vehicle_detections" || key == "vehicles") {
      return CountElements(key, value, &out_->vehicles_listed);
    }
    if (key == "plate_detections") return CountElements(key, value, &out_->plates_listed);
    if (key == "annotated_image") return ReadAnnotated(key, value);
    if (key == "cropped_plates") return ReadCropped(key, value);
    if (key == "license_plate" || key == "plate_number" || key == "plate") {
      return ReadText(key, value, kMaxPlateBytes, &plate_.text);
    }
    double confidence = 0;
    if (key == "confidence" && NumberOf(value, &confidence)) {
      plate_.confidence = ScaleConfidence(confidence);
    }
    return absl::OkStatus();
  }

  // The text of an array, also of one that came as JSON text in a string (`*holder` keeps the
  // decoded text alive). "" for null, and for a string that is no JSON array: that is in *holder.
  absl::Status ArrayText(std::string_view field, const JsonSlice& value, std::string* holder,
                         std::string_view* text) {
    if (value.type == JsonType::kArray) *text = value.text;
    if (value.type == JsonType::kArray || value.type == JsonType::kNull) return absl::OkStatus();
    if (value.type != JsonType::kString) return WrongType(field, "an array", value);
    *holder = DecodeJsonString(value.text);
    if (JsonScanner(*holder, Limits(options_)).Peek() == '[') *text = *holder;
    return absl::OkStatus();
  }

  static absl::Status ArrayError(std::string_view field, size_t limit, const absl::Status& status) {
    if (status.code() == absl::StatusCode::kResourceExhausted) {
      return FieldError(field, absl::StrCat("too many, limit ", limit));
    }
    return FieldError(field, absl::StrCat("a string that is no JSON array, ", status.message()));
  }

  // As ArrayText, and the elements of the array.
  absl::Status Elements(std::string_view field, const JsonSlice& value, size_t limit,
                        std::string* holder, std::vector<JsonElement>* elements, bool* plain) {
    std::string_view text;
    VD_RETURN_IF_ERROR(ArrayText(field, value, holder, &text));
    *plain = text.empty() && value.type == JsonType::kString;
    if (text.empty()) return absl::OkStatus();
    const absl::Status status = JsonScanner(text, Limits(options_)).ScanArray(limit, elements);
    return status.ok() ? status : ArrayError(field, limit, status);
  }

  absl::Status CountElements(std::string_view field, const JsonSlice& value, size_t* count) {
    std::string holder;
    std::string_view text;
    VD_RETURN_IF_ERROR(ArrayText(field, value, &holder, &text));
    *count = 0;
    if (text.empty())
      return holder.empty() ? absl::OkStatus() : WrongType(field, "an array", value);
    const absl::Status status =
        JsonScanner(text, Limits(options_)).CountArray(kMaxObjectsPerDetection, count);
    return status.ok() ? status : ArrayError(field, kMaxObjectsPerDetection, status);
  }

  absl::Status ReadPlates(std::string_view field, const JsonSlice& value) {
    std::string holder;
    std::vector<JsonElement> elements;
    bool plain = false;
    VD_RETURN_IF_ERROR(Elements(field, value, kMaxPlatesPerDetection, &holder, &elements, &plain));
    if (plain) return AddPlate(field, PlateRead{std::move(holder), {}, "{}", ""});
    for (size_t i = 0; i < elements.size(); ++i) {
      VD_RETURN_IF_ERROR(ReadPlate(field, i, elements[i]));
    }
    return absl::OkStatus();
  }

  absl::Status ReadPlate(std::string_view field, size_t place, const JsonElement& element) {
    PlateRead plate;
    plate.place = place;
    if (element.value.type != JsonType::kObject) {
      VD_RETURN_IF_ERROR(ReadText(field, element.value, kMaxPlateBytes, &plate.text));
      return AddPlate(field, std::move(plate));
    }
    for (const JsonMember& member : element.members) {
      double confidence = 0;
      if (IsPlateTextKey(member.key)) {
        VD_RETURN_IF_ERROR(ReadText(field, member.value, kMaxPlateBytes, &plate.text));
      } else if ((member.key == "confidence" || member.key == "score") &&
                 NumberOf(member.value, &confidence)) {
        plate.confidence = ScaleConfidence(confidence);
      }
    }
    plate.metadata_json.assign(element.value.text);
    return AddPlate(field, std::move(plate));
  }

  absl::Status AddPlate(std::string_view field, PlateRead plate) {
    if (plate.text.empty()) return absl::OkStatus();
    if (plate.text.size() > kMaxPlateBytes) {
      return FieldError(
          field, absl::StrCat("too long, ", plate.text.size(), " bytes, limit ", kMaxPlateBytes));
    }
    out_->plates.push_back(std::move(plate));
    return absl::OkStatus();
  }

  absl::Status ReadAnnotated(std::string_view field, const JsonSlice& value) {
    if (value.type == JsonType::kNull) return absl::OkStatus();
    if (value.type != JsonType::kString) return WrongType(field, "a string", value);
    if (value.text.size() == 2) return absl::OkStatus();  // "".
    out_->has_images = true;
    NoteImage(value);
    if (options_.keep_images) out_->annotated_image = DecodeJsonString(value.text);
    return absl::OkStatus();
  }

  absl::Status ReadCropped(std::string_view field, const JsonSlice& value) {
    std::string holder;
    std::vector<JsonElement> elements;
    bool plain = false;
    VD_RETURN_IF_ERROR(Elements(field, value, kMaxImagesPerDetection, &holder, &elements, &plain));
    for (size_t i = 0; i < elements.size(); ++i) {
      const JsonSlice& element = elements[i].value;
      if (element.type != JsonType::kString && element.type != JsonType::kNull) {
        return WrongType(absl::StrCat(AbslView(field), "/", i), "a string", element);
      }
      if (!options_.keep_images) continue;
      out_->cropped_plates.push_back(
          element.type == JsonType::kNull ? "" : DecodeJsonString(element.text));
    }
    if (plain && !holder.empty() && options_.keep_images) out_->cropped_plates.push_back(holder);
    if (elements.empty() && holder.empty()) return absl::OkStatus();
    out_->has_images = true;
    NoteImage(value);
    return absl::OkStatus();
  }

  void NoteImage(const JsonSlice& value) { images_.push_back(value.text); }

  // The slices point into json_, in ascending order but for nested ones.
  void CutImages() {
    std::sort(images_.begin(), images_.end(),
              [](std::string_view a, std::string_view b) { return a.data() < b.data(); });
    size_t at = 0;
    for (const std::string_view image : images_) {
      const auto begin = static_cast<size_t>(image.data() - json_.data());
      out_->payload_json.append(json_.substr(at, begin - at)).append("null");
      at = begin + image.size();
    }
    out_->payload_json.append(json_.substr(at));
  }

  std::string unfolded_;  // Where json_ points when it is not as it came.
  std::string_view json_;
  const PayloadOptions& options_;
  HeaderReader header_;
  DetectionPayload* const out_;
  PlateRead plate_;  // For devices that send one plate flat.
  std::vector<std::string_view> images_;
};

absl::Status ReadHealthStatus(std::string_view field, const JsonSlice& value, std::string* out) {
  std::string text;
  VD_RETURN_IF_ERROR(ReadText(field, value, kMaxNameBytes, &text));
  const std::string lower = absl::AsciiStrToLower(text);
  if (lower.empty() || lower == "healthy" || lower == "warning" || lower == "error") {
    *out = lower;
  } else if (lower == "pass") {
    *out = "healthy";
  } else if (lower == "fail") {
    *out = "error";
  } else {
    return FieldError(field,
                      absl::StrCat("expected healthy, warning or error, got ", ShownText(text)));
  }
  return absl::OkStatus();
}

}  // namespace

int32_t DetectionPayload::vehicles() const {
  return vehicles_count.value_or(static_cast<int32_t>(vehicles_listed));
}

int32_t DetectionPayload::plate_count() const {
  return plates_count.value_or(static_cast<int32_t>(std::max(plates_listed, plates.size())));
}

std::optional<double> ScaleConfidence(double value) {
  if (!(value >= 0 && value <= 100)) return std::nullopt;
  return value <= 1 ? value : value / 100;
}

absl::Status ReadDetection(std::string_view json, const PayloadOptions& options,
                           DetectionPayload* out) {
  return DetectionReader(json, options, out).Read();
}

absl::Status ReadHealth(std::string_view json, const PayloadOptions& options, HealthPayload* out) {
  std::vector<JsonMember> members;
  VD_RETURN_IF_ERROR(ScanMembers(json, options, &members));
  HeaderReader header(options, &out->header);
  for (const JsonMember& member : members) {
    bool used = false;
    VD_RETURN_IF_ERROR(header.Read(member, &used));
    const std::string& key = member.key;
    if (key == "component") {
      VD_RETURN_IF_ERROR(ReadText(key, member.value, kMaxNameBytes, &out->component));
    } else if (key == "status") {
      VD_RETURN_IF_ERROR(ReadHealthStatus(key, member.value, &out->status));
    } else if (key == "message") {
      VD_RETURN_IF_ERROR(ReadText(key, member.value, kMaxMessageBytes, &out->message));
    }
  }
  return absl::OkStatus();
}

absl::Status ReadRegistration(std::string_view json, const PayloadOptions& options,
                              RegistrationPayload* out) {
  std::vector<JsonMember> members;
  VD_RETURN_IF_ERROR(ScanMembers(json, options, &members));
  HeaderReader header(options, &out->header);
  for (const JsonMember& member : members) {
    bool used = false;
    VD_RETURN_IF_ERROR(header.Read(member, &used));
    const std::string& key = member.key;
    const JsonSlice& value = member.value;
    if (key == "camera_name" || key == "name") {
      VD_RETURN_IF_ERROR(ReadOptionalText(key, value, &out->camera_name));
    } else if (key == "hostname") {
      VD_RETURN_IF_ERROR(ReadOptionalText(key, value, &out->hostname));
    } else if (key == "ip_address") {
      VD_RETURN_IF_ERROR(ReadOptionalText(key, value, &out->ip_address));
    } else if (key == "location_lat") {
      VD_RETURN_IF_ERROR(ReadNumber(key, value, -90, 90, &out->latitude));
    } else if (key == "location_lon") {
      VD_RETURN_IF_ERROR(ReadNumber(key, value, -180, 180, &out->longitude));
    }
  }
  return absl::OkStatus();
}

absl::Status ReadHeader(std::string_view json, const PayloadOptions& options, PayloadHeader* out) {
  std::vector<JsonMember> members;
  VD_RETURN_IF_ERROR(ScanMembers(json, options, &members));
  HeaderReader header(options, out);
  for (const JsonMember& member : members) {
    bool used = false;
    VD_RETURN_IF_ERROR(header.Read(member, &used));
  }
  return absl::OkStatus();
}

}  // namespace viaduct
