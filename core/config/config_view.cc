#include "core/config/config_view.h"

#include <array>
#include <cmath>
#include <map>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "core/base/string_view.h"
#include "core/config/document.h"
#include "core/config/json_view.h"
#include "core/config/schema.h"

namespace viaduct {
namespace {

using nlohmann::json;

// One reference token of a JSON pointer; false where an escape is malformed.
bool Unescape(std::string_view token, std::string* out) {
  out->clear();
  for (size_t i = 0; i < token.size(); ++i) {
    if (token[i] != '~') {
      out->push_back(token[i]);
      continue;
    }
    if (i + 1 >= token.size() || (token[i + 1] != '0' && token[i + 1] != '1')) return false;
    out->push_back(token[++i] == '0' ? '~' : '/');
  }
  return true;
}

const json* Step(const json& at, const std::string& token) {
  if (at.is_object()) {
    const auto found = at.find(token);
    return found == at.end() ? nullptr : &*found;
  }
  if (!at.is_array() || token.empty() || token.size() > 9) return nullptr;
  if (token.find_first_not_of("0123456789") != std::string::npos) return nullptr;
  uint32_t index = 0;
  if ((token.size() > 1 && token[0] == '0') || !absl::SimpleAtoi(token, &index)) return nullptr;
  return index < at.size() ? &at[index] : nullptr;
}

const json* Resolve(const json& root, std::string_view pointer) {
  const json* at = &root;
  std::string token;
  while (!pointer.empty()) {
    if (pointer[0] != '/') return nullptr;
    pointer.remove_prefix(1);
    const size_t end = pointer.find('/');
    if (!Unescape(pointer.substr(0, end), &token)) return nullptr;
    at = Step(*at, token);
    if (at == nullptr) return nullptr;
    pointer = end == std::string_view::npos ? std::string_view() : pointer.substr(end);
  }
  return at;
}

ConfigType TypeOf(const json& value) {
  switch (value.type()) {
    case json::value_t::null:
    case json::value_t::discarded:
      return ConfigType::kNull;
    case json::value_t::boolean:
      return ConfigType::kBoolean;
    case json::value_t::number_integer:
    case json::value_t::number_unsigned:
      return ConfigType::kInteger;
    case json::value_t::number_float:
      return ConfigType::kNumber;
    case json::value_t::array:
      return ConfigType::kList;
    case json::value_t::object:
      return ConfigType::kObject;
    default:
      return ConfigType::kString;
  }
}

// Thread-safe.
class JsonView final : public ConfigView {
 public:
  explicit JsonView(json document) : document_(std::move(document)) {}

  ConfigType type(std::string_view pointer) const override {
    const json* value = Resolve(document_, pointer);
    return value == nullptr ? ConfigType::kMissing : TypeOf(*value);
  }

  absl::StatusOr<std::string_view> GetString(std::string_view pointer) const override {
    const json* value = Resolve(document_, pointer);
    if (value == nullptr || !value->is_string()) return Wrong(pointer, value, "a string");
    return std::string_view(value->get_ref<const std::string&>());
  }

  absl::StatusOr<int64_t> GetInteger(std::string_view pointer) const override {
    const json* value = Resolve(document_, pointer);
    if (value == nullptr || !value->is_number()) return Wrong(pointer, value, "an integer");
    if (value->is_number_unsigned()) {
      if (value->get<uint64_t>() <= static_cast<uint64_t>(INT64_MAX)) return value->get<int64_t>();
      return OutOfRange(pointer);
    }
    if (value->is_number_integer()) return value->get<int64_t>();
    const double number = value->get<double>();
    if (number != std::floor(number)) return Wrong(pointer, value, "an integer");
    if (std::fabs(number) >= 9223372036854775808.0) return OutOfRange(pointer);
    return static_cast<int64_t>(number);
  }

  absl::StatusOr<double> GetNumber(std::string_view pointer) const override {
    const json* value = Resolve(document_, pointer);
    if (value == nullptr || !value->is_number()) return Wrong(pointer, value, "a number");
    return value->get<double>();
  }

  absl::StatusOr<bool> GetBoolean(std::string_view pointer) const override {
    const json* value = Resolve(document_, pointer);
    if (value == nullptr || !value->is_boolean()) return Wrong(pointer, value, "a boolean");
    return value->get<bool>();
  }

  absl::StatusOr<uint64_t> GetSize(std::string_view pointer) const override {
    const json* value = Resolve(document_, pointer);
    if (value == nullptr || !value->is_structured()) {
      return Wrong(pointer, value, "a list or an object");
    }
    return value->size();
  }

  absl::StatusOr<std::string_view> GetJson(std::string_view pointer) const override {
    const json* value = Resolve(document_, pointer);
    if (value == nullptr) return Wrong(pointer, value, "");
    absl::MutexLock lock(&mutex_);
    // By value, not by pointer text: there are no more texts than values.
    auto& text = texts_[value];
    if (text == nullptr) {
      text = std::make_unique<const std::string>(
          value->dump(-1, ' ', false, json::error_handler_t::replace));
    }
    return std::string_view(*text);
  }

 private:
  static absl::Status Wrong(std::string_view pointer, const json* value, std::string_view wanted) {
    const std::string where(pointer.substr(0, 200));
    if (value == nullptr) return absl::NotFoundError(absl::StrCat("config: nothing at ", where));
    return absl::InvalidArgumentError(absl::StrCat("config: ", where, " is not ", AbslView(wanted),
                                                   " but ",
                                                   AbslView(ConfigTypeName(TypeOf(*value)))));
  }
  static absl::Status OutOfRange(std::string_view pointer) {
    return absl::OutOfRangeError(
        absl::StrCat("config: ", AbslView(pointer.substr(0, 200)), " does not fit 64 bits"));
  }

  const json document_;
  mutable absl::Mutex mutex_;
  mutable std::map<const json*, std::unique_ptr<const std::string>> texts_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace

std::string_view ConfigTypeName(ConfigType type) {
  static constexpr std::array<std::string_view, 8> kNames = {
      "missing", "null", "boolean", "integer", "number", "string", "list", "object"};
  return kNames[static_cast<size_t>(type)];
}

std::shared_ptr<const ConfigView> MakeConfigView(json document) {
  return std::make_shared<JsonView>(std::move(document));
}

absl::StatusOr<std::shared_ptr<const ConfigView>> ConfigView::FromJson(std::string_view text) {
  if (text.size() > kMaxDocumentBytes || !JsonDepthWithin(text, kMaxDocumentDepth)) {
    return absl::InvalidArgumentError("config: too large or too deep");
  }
  json document = json::parse(text.begin(), text.end(), nullptr, /*allow_exceptions=*/false);
  if (document.is_discarded()) return absl::InvalidArgumentError("config: not JSON");
  return MakeConfigView(std::move(document));
}

}  // namespace viaduct
