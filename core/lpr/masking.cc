#include "core/lpr/masking.h"

#include <algorithm>
#include <iterator>
#include <set>
#include <utility>
#include <vector>

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
constexpr size_t kMaxPlateBytesSought = 64;  // Longer ones are masked where they stand.
constexpr size_t kMaxPlates = 1u << 16;      // Different ones in one document.
constexpr int kMaxDepth = 200;               // What is taken in is nested less.
// Octets that are looked at, each as often as it is: what needs more is not shown.
constexpr size_t kMaxWork = size_t{1} << 30;
// A longer text may be a picture under any name.
constexpr size_t kMaxTextBytes = 1u << 10;
constexpr size_t kMaxProseBytes = 64u << 10;
constexpr std::string_view kPictureStart = "data:image/";
constexpr std::string_view kRefusal = R"({"success":false,"message":"masked: cannot be shown"})";

constexpr std::string_view kImageKeys[] = {
    "annotated_image", "cropped_plates", "plate_images", "plate_image", "image",
    "image_path",      "image_files",    "crop",         "thumbnail",   "image_url"};

// What people write.
constexpr std::string_view kProseKeys[] = {"note",  "message", "error_message", "detail",
                                           "error", "reason",  "remark"};
// Numbers that say something about a plate and are none. The texts are masked with the others.
constexpr std::string_view kMeasureKeys[] = {
    "confidence", "score", "scores", "confidences", "bbox", "box",      "x",
    "y",          "x1",    "y1",     "x2",          "y2",   "width",    "height",
    "votes",      "index", "count",  "angle",       "area", "track_id", "corners"};
// Not told from a plate by its text, and wanted as it is for the next page.
constexpr std::string_view kCursorKey = "next_cursor";

template <typename List>
bool Has(const List& list, std::string_view key) {
  return std::find(std::begin(list), std::end(list), key) != std::end(list);
}

using Plates = absl::flat_hash_set<std::string>;

bool HasDigit(std::string_view text) {
  return std::any_of(text.begin(), text.end(), [](char c) { return absl::ascii_isdigit(c); });
}

JsonScanLimits Limits(std::string_view text) {
  JsonScanLimits limits;
  limits.max_bytes = text.size();
  limits.max_depth = kMaxDepth;
  return limits;
}

// Where a value stands.
struct Place {
  bool inside = false;   // Below a member that holds plates, at any depth.
  bool deeper = false;   // Not as the member itself or in a list that it is.
  bool measure = false;  // A number of kMeasureKeys.
  bool prose = false;
};

Place Below(const Place& place, std::string_view key) {
  const bool plate = HoldsPlates(key);
  Place below;
  below.inside = place.inside || plate;
  below.deeper = !plate;
  below.measure = Has(kMeasureKeys, key);
  below.prose = Has(kProseKeys, key);
  return below;
}

// Both passes over a document. Where something cannot be looked through it fails, and nothing of
// the document is shown.
class Masker {
 public:
  void Collect(const JsonSlice& value, const Place& place) {
    if (value.type == JsonType::kString && place.inside) {
      Note(DecodeJsonString(value.text), place.deeper);
    } else if (value.type == JsonType::kNumber && place.inside && !place.measure) {
      Note(value.text, place.deeper);
    }
    Visit(value, [&](const std::string* key, const JsonSlice& child) {
      if (key != nullptr && place.inside && HasDigit(*key)) Note(*key, /*deeper=*/true);
      Collect(child, key == nullptr ? place : Below(place, *key));
    });
  }

  void Write(const JsonSlice& value, const Place& place, std::string* out) {
    if (value.type == JsonType::kString) return WriteText(value.text, place, out);
    if (value.type == JsonType::kNumber) return WriteNumber(value.text, place, out);
    if (value.type != JsonType::kObject && value.type != JsonType::kArray) {
      out->append(value.text);
      return;
    }
    const bool object = value.type == JsonType::kObject;
    out->push_back(object ? '{' : '[');
    bool first = true;
    Visit(value, [&](const std::string* key, const JsonSlice& child) {
      if (!first) out->push_back(',');
      first = false;
      if (key == nullptr) return Write(child, place, out);
      WriteMember(*key, child, Below(place, *key), out);
    });
    out->push_back(object ? '}' : ']');
  }

  bool failed() const { return failed_; }

 private:
  void WriteMember(const std::string& key, const JsonSlice& value, const Place& place,
                   std::string* out) {
    const bool known = HoldsPlates(key) || Has(kImageKeys, key) || Has(kProseKeys, key);
    AppendJsonString(!known && NamesPlate(PlateKey(key)) ? MaskPlate(key) : key, out);
    out->push_back(':');
    if (Has(kImageKeys, key)) {
      out->append(value.type == JsonType::kArray ? "[]" : "null");
    } else if (key == kCursorKey && value.type == JsonType::kString) {
      out->append(value.text);
    } else {
      Write(value, place, out);
    }
  }

  // Members with their key, elements with null.
  template <typename Fn>
  void Visit(const JsonSlice& value, const Fn& fn) {
    if (value.type != JsonType::kObject && value.type != JsonType::kArray) return;
    if (!Spend(value.text.size())) return;
    JsonScanner scanner(value.text, Limits(value.text));
    if (value.type == JsonType::kObject) {
      std::vector<JsonMember> members;
      failed_ = failed_ || !scanner.ScanObject(&members).ok();
      for (const JsonMember& member : members) fn(&member.key, member.value);
    } else {
      std::vector<JsonElement> elements;
      failed_ = failed_ || !scanner.ScanArray(kMaxElements, &elements).ok();
      for (const JsonElement& element : elements) fn(nullptr, element.value);
    }
  }

  // A deeper one without digits is a province or a colour, which other texts have, too.
  void Note(std::string_view text, bool deeper) {
    if (deeper && !HasDigit(text)) return;
    std::string key = PlateKey(text);
    if (key.size() < kMinPlateBytes || key.size() > kMaxPlateBytesSought) return;
    lengths_.insert(key.size());
    plates_.insert(std::move(key));
    failed_ = failed_ || plates_.size() > kMaxPlates;
  }

  void WriteText(std::string_view quoted, const Place& place, std::string* out) {
    const std::string text = DecodeJsonString(quoted);
    const size_t longest = place.prose ? kMaxProseBytes : kMaxTextBytes;
    if (text.size() > longest || text.compare(0, kPictureStart.size(), kPictureStart) == 0) {
      out->append("null");
    } else if (place.inside || NamesPlate(PlateKey(text))) {
      AppendJsonString(MaskPlate(text), out);
    } else {
      out->append(quoted);
    }
  }

  void WriteNumber(std::string_view text, const Place& place, std::string* out) {
    const bool masked = (place.inside && !place.measure) || plates_.contains(AbslView(text));
    if (masked && text.size() > 1) {
      AppendJsonString(MaskPlate(text), out);
    } else {
      out->append(text);
    }
  }

  // Each part of a length that a plate has is looked up: the number of plates costs nothing.
  bool NamesPlate(const std::string& key) {
    for (const size_t length : lengths_) {
      if (length > key.size()) break;
      if (!Spend(key.size())) return true;
      for (size_t at = 0; at + length <= key.size(); ++at) {
        if (plates_.contains(AbslView(key).substr(at, length))) return true;
      }
    }
    return false;
  }

  bool Spend(size_t work) {
    work_ += work;
    failed_ = failed_ || work_ > kMaxWork;
    return !failed_;
  }

  Plates plates_;
  std::set<size_t> lengths_;
  size_t work_ = 0;
  bool failed_ = false;
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
  if (json.empty()) return "";
  JsonSlice document;
  if (!JsonScanner(json, Limits(json)).ScanDocument(&document).ok()) return std::string(kRefusal);
  Masker masker;
  masker.Collect(document, Place());
  std::string out;
  out.reserve(json.size());
  if (!masker.failed()) masker.Write(document, Place(), &out);
  return masker.failed() ? std::string(kRefusal) : out;
}

std::string MaskedRoom(std::string_view room) { return absl::StrCat(AbslView(room), " (masked)"); }

}  // namespace viaduct
