#include "core/lpr/masking.h"

#include <algorithm>
#include <iterator>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "core/base/string_view.h"
#include "core/message/json_scanner.h"
#include "core/store/plate_key.h"

namespace viaduct {
namespace {

constexpr size_t kMaxElements = 1u << 20;  // Of one list; more than any reply has.
// Shorter ones stand in many a text that has nothing to do with them.
constexpr size_t kMinPlateBytes = 3;

constexpr std::string_view kPlateKeys[] = {
    "license_plate", "plate",       "plate_number", "plate_text", "text",       "original_plate",
    "candidates",    "ocr_results", "plates",       "raw_text",   "normalized", "alternatives"};
constexpr std::string_view kImageKeys[] = {
    "annotated_image", "cropped_plates", "plate_images", "plate_image", "image",
    "image_path",      "image_files",    "crop",         "thumbnail",   "image_url"};

template <typename List>
bool Has(const List& list, std::string_view key) {
  return std::find(std::begin(list), std::end(list), key) != std::end(list);
}

using Plates = absl::flat_hash_set<std::string>;

// Both passes over a document. `inside`: below a member that holds plates.
class Masker {
 public:
  void Collect(const JsonSlice& value, bool inside) {
    if (value.type == JsonType::kString && inside) {
      std::string key = PlateKey(DecodeJsonString(value.text));
      if (key.size() >= kMinPlateBytes) plates_.insert(std::move(key));
      return;
    }
    Visit(value, [&](std::string_view key, const JsonSlice& child) {
      Collect(child, key.empty() ? inside : Has(kPlateKeys, key));
    });
  }

  void Write(const JsonSlice& value, bool inside, std::string* out) const {
    if (value.type == JsonType::kString) return WriteText(value.text, inside, out);
    if (value.type != JsonType::kObject && value.type != JsonType::kArray) {
      out->append(value.text);
      return;
    }
    const bool object = value.type == JsonType::kObject;
    out->push_back(object ? '{' : '[');
    bool first = true;
    Visit(value, [&](std::string_view key, const JsonSlice& child) {
      if (!first) out->push_back(',');
      first = false;
      if (object) {
        AppendJsonString(NamesPlate(PlateKey(key)) ? MaskPlate(key) : std::string(key), out);
        out->push_back(':');
        if (Has(kImageKeys, key)) {
          out->append(child.type == JsonType::kArray ? "[]" : "null");
          return;
        }
      }
      Write(child, object ? Has(kPlateKeys, key) : inside, out);
    });
    out->push_back(object ? '}' : ']');
  }

 private:
  // Members with their key, elements with "".
  template <typename Fn>
  static void Visit(const JsonSlice& value, const Fn& fn) {
    if (value.type == JsonType::kObject) {
      std::vector<JsonMember> members;
      if (!JsonScanner(value.text, {}).ScanObject(&members).ok()) return;
      for (const JsonMember& member : members) fn(member.key, member.value);
    } else if (value.type == JsonType::kArray) {
      std::vector<JsonElement> elements;
      if (!JsonScanner(value.text, {}).ScanArray(kMaxElements, &elements).ok()) return;
      for (const JsonElement& element : elements) fn("", element.value);
    }
  }

  void WriteText(std::string_view quoted, bool inside, std::string* out) const {
    const std::string text = DecodeJsonString(quoted);
    const bool named = inside || NamesPlate(PlateKey(text));
    if (named) {
      AppendJsonString(MaskPlate(text), out);
    } else {
      out->append(quoted);
    }
  }

  bool NamesPlate(const std::string& key) const {
    return std::any_of(plates_.begin(), plates_.end(), [&key](const std::string& plate) {
      return key == plate || key.find(plate) != std::string::npos;
    });
  }

  Plates plates_;
};

bool IsLetterOrDigit(unsigned char c) { return absl::ascii_isalnum(c) || c >= 0x80; }

}  // namespace

std::string MaskPlate(std::string_view plate) {
  std::string out;
  bool first = true;
  bool keeps = false;  // The octets of the first one, which may be several.
  for (const char c : plate) {
    const auto octet = static_cast<unsigned char>(c);
    const bool continues = (octet & 0xC0) == 0x80;
    if (continues) {
      if (keeps) out.push_back(c);
      continue;
    }
    if (!IsLetterOrDigit(octet)) {
      keeps = false;
      out.push_back(c);
      continue;
    }
    keeps = first;
    first = false;
    out.push_back(keeps ? c : '*');
  }
  return out;
}

bool PlateMask::AppliesTo(const security::Principal* principal) const {
  return principal != nullptr && Has(roles_, security::RoleName(principal->role));
}

std::string PlateMask::MaskJson(std::string_view json) {
  JsonSlice document;
  if (!JsonScanner(json, {}).ScanDocument(&document).ok()) return std::string(json);
  Masker masker;
  masker.Collect(document, /*inside=*/false);
  std::string out;
  out.reserve(json.size());
  masker.Write(document, /*inside=*/false, &out);
  return out;
}

std::string MaskedRoom(std::string_view room) { return absl::StrCat(AbslView(room), " (masked)"); }

}  // namespace viaduct
