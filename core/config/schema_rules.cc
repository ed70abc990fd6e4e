#include "core/config/schema_rules.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/config/schema_value.h"
#include "core/config/suggest.h"
#include "core/config/units.h"
#include "core/observe/utf8.h"

namespace viaduct {
namespace {

using nlohmann::json;

std::string NumberText(double value) {
  if (value == std::floor(value) && std::fabs(value) < 1e15) {
    return absl::StrCat(static_cast<int64_t>(value));
  }
  return absl::StrCat(value);
}

}  // namespace

// "a whole number or a text"
std::string TypeWords(const SchemaNode& schema) {
  if (schema.format == ValueFormat::kBytes) return "a size such as 64KiB or 4GiB";
  if (schema.format == ValueFormat::kDuration) return "a duration such as 200ms, 30s or 30d";
  static constexpr std::array<std::pair<uint32_t, std::string_view>, 7> kWords = {
      {{SchemaNode::kBoolean, "true or false"},
       {SchemaNode::kInteger, "a whole number"},
       {SchemaNode::kNumber, "a number"},
       {SchemaNode::kString, "a text"},
       {SchemaNode::kArray, "a list"},
       {SchemaNode::kObject, "a section with keys"},
       {SchemaNode::kNull, "empty"}}};
  std::string out;
  for (const auto& [type, word] : kWords) {
    if ((schema.types & type) == 0) continue;
    if (!out.empty()) out.append(" or ");
    out.append(word);
  }
  return out;
}

// "spool", "instances[2]"
std::string Subject(const std::string& pointer) {
  if (pointer.empty()) return "the document";
  const size_t slash = pointer.rfind('/');
  const std::string last = pointer.substr(slash + 1);
  const bool index = !last.empty() && last.find_first_not_of("0123456789") == std::string::npos;
  if (!index || slash == 0) return last;
  const size_t before = pointer.rfind('/', slash - 1);
  return absl::StrCat(pointer.substr(before + 1, slash - before - 1), "[", last, "]");
}

void FailAt(const ConfigNode& node, const std::string& pointer, std::string_view code,
            const std::string& text, Findings* findings) {
  findings->Error(node, pointer, code, absl::StrCat(Subject(pointer), ": ", text));
}

void CheckSize(const ConfigNode& node, const std::string& pointer, const SizeRule& rule,
               Findings* findings) {
  const std::string what(rule.of);
  if (rule.min.has_value() && rule.size < *rule.min) {
    const bool empty = rule.size == 0 && *rule.min == 1;
    FailAt(node, pointer, "bad_length",
           empty ? std::string("must not be empty")
                 : absl::StrCat("must have at least ", *rule.min, " ", what, ", has ", rule.size),
           findings);
  }
  if (rule.max.has_value() && rule.size > *rule.max) {
    FailAt(node, pointer, "bad_length",
           absl::StrCat("must have at most ", *rule.max, " ", what, ", has ", rule.size), findings);
  }
}

void CheckNumber(const SchemaNode& schema, const ConfigNode& node, const std::string& pointer,
                 double value, Findings* findings) {
  const auto out_of_range = [&](std::string_view rule, double limit) {
    FailAt(node, pointer, "out_of_range",
           absl::StrCat("must be ", std::string(rule), " ", NumberText(limit), ", is ", Show(node)),
           findings);
  };
  if (schema.minimum.has_value() && value < *schema.minimum) {
    out_of_range("at least", *schema.minimum);
  } else if (schema.maximum.has_value() && value > *schema.maximum) {
    out_of_range("at most", *schema.maximum);
  } else if (schema.exclusive_minimum.has_value() && value <= *schema.exclusive_minimum) {
    out_of_range("more than", *schema.exclusive_minimum);
  } else if (schema.exclusive_maximum.has_value() && value >= *schema.exclusive_maximum) {
    out_of_range("less than", *schema.exclusive_maximum);
  } else if (schema.multiple_of.has_value()) {
    const double times = value / *schema.multiple_of;
    if (times != std::floor(times)) out_of_range("a multiple of", *schema.multiple_of);
  } else if ((schema.types & SchemaNode::kInteger) != 0 &&
             (schema.types & SchemaNode::kNumber) == 0 && std::fabs(value) > 9.2e18) {
    FailAt(node, pointer, "out_of_range", "is too large a number", findings);
  }
}

void CheckText(const SchemaNode& schema, const ConfigNode& node, const std::string& pointer,
               const std::string& text, Findings* findings) {
  const size_t errors = findings->errors();
  if (schema.min_length.has_value() || schema.max_length.has_value()) {
    CheckSize(node, pointer,
              {CountCharacters(text), schema.min_length, schema.max_length, "characters"},
              findings);
  }
  if (schema.pattern != nullptr && findings->errors() == errors &&
      !RE2::PartialMatch(text, *schema.pattern)) {
    FailAt(node, pointer, "bad_value",
           absl::StrCat("must look like ", schema.pattern->pattern(), ", is ", Show(node)),
           findings);
  }
}

void CheckUnit(const SchemaNode& schema, const ConfigNode& node, const std::string& pointer,
               Findings* findings) {
  const bool bytes = schema.format == ValueFormat::kBytes;
  // Both kinds of unit compare as one number.
  const auto parse = [bytes](const std::string& from) -> absl::StatusOr<double> {
    if (bytes) {
      absl::StatusOr<uint64_t> size = ParseBytes(from);
      if (!size.ok()) return size.status();
      return static_cast<double>(*size);
    }
    absl::StatusOr<absl::Duration> duration = ParseDuration(from);
    if (!duration.ok()) return duration.status();
    return absl::ToDoubleNanoseconds(*duration);
  };
  const absl::StatusOr<double> value = parse(node.text);
  if (!value.ok()) {
    FailAt(node, pointer, bytes ? "bad_size" : "bad_duration",
           absl::StrCat(Show(node), " is ", std::string(value.status().message())), findings);
    return;
  }
  const absl::StatusOr<double> min = parse(schema.unit_minimum);
  const absl::StatusOr<double> max = parse(schema.unit_maximum);
  if (!schema.unit_minimum.empty() && min.ok() && *value < *min) {
    FailAt(node, pointer, "out_of_range",
           absl::StrCat("must be at least ", schema.unit_minimum, ", is ", Show(node)), findings);
  } else if (!schema.unit_maximum.empty() && max.ok() && *value > *max) {
    FailAt(node, pointer, "out_of_range",
           absl::StrCat("must be at most ", schema.unit_maximum, ", is ", Show(node)), findings);
  }
}

void CheckChoice(const SchemaNode& schema, const ConfigNode& node, const std::string& pointer,
                 const json& value, Findings* findings) {
  std::vector<json> allowed;
  if (schema.enum_values.has_value()) allowed = *schema.enum_values;
  if (schema.const_value.has_value() && value != *schema.const_value) {
    allowed = {*schema.const_value};
  }
  if (allowed.empty() || std::find(allowed.begin(), allowed.end(), value) != allowed.end()) return;
  std::string list;
  std::vector<std::string> words;
  for (const json& choice : allowed) {
    const std::string word = choice.is_string()
                                 ? choice.get<std::string>()
                                 : choice.dump(-1, ' ', false, json::error_handler_t::replace);
    if (list.size() > 200) break;
    absl::StrAppend(&list, list.empty() ? "" : ", ", word);
    words.push_back(word);
  }
  const std::string nearest =
      node.is_scalar() && !node.secret && node.reference.empty() ? Suggest(node.text, words) : "";
  const std::string hint = nearest.empty() ? "" : absl::StrCat(", did you mean \"", nearest, "\"?");
  FailAt(
      node, pointer, "bad_value",
      absl::StrCat("must be ", words.size() > 1 ? "one of " : "", list, ", is ", Show(node), hint),
      findings);
}

}  // namespace viaduct
