#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <map>
#include <set>
#include <unordered_map>
#include <unordered_set>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "core/base/string_view.h"
#include "core/config/schema.h"
#include "core/config/units.h"

namespace viaduct {

using nlohmann::json;

bool JsonDepthWithin(std::string_view text, int max_depth) {
  int depth = 0;
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '[' || c == '{') {
      if (++depth > max_depth) return false;
    } else if (c == ']' || c == '}') {
      --depth;
    }
  }
  return true;
}

const SchemaNode* SchemaNode::Property(std::string_view name) const {
  for (const auto& [key, node] : properties) {
    if (key == name) return node;
  }
  return nullptr;
}

// Lives for one Compile.
class SchemaCompiler {
 public:
  explicit SchemaCompiler(const json& document) : document_(document) {}

  absl::Status Run(Schema* schema) {
    schema_ = schema;
    schema->root_ = Compile(document_, "", 0);
    if (error_.ok()) FindCircles();
    return error_;
  }

 private:
  using Keyword = void (SchemaCompiler::*)(const json&, const std::string&, SchemaNode*, int);

  void Fail(const std::string& at, const std::string& text) {
    if (error_.ok()) {
      error_ = absl::InvalidArgumentError(absl::StrCat("schema: ", at, ": ", text));
    }
  }

  const SchemaNode* Compile(const json& value, const std::string& at, int depth) {
    // A reference may lead to a place that is also reached directly: one node for both.
    if (const auto found = by_pointer_.find(at); found != by_pointer_.end()) return found->second;
    schema_->nodes_.push_back(std::make_unique<SchemaNode>());
    SchemaNode* node = schema_->nodes_.back().get();
    by_pointer_[at] = node;
    if (schema_->nodes_.size() > kMaxSchemaNodes || depth > kMaxSchemaDepth) {
      Fail(at, "too large or too deep");
    } else if (value.is_boolean()) {
      node->never = !value.get<bool>();
    } else if (!value.is_object()) {
      Fail(at, "a schema must be an object or a boolean");
    } else if (const auto ref = value.find("$ref"); ref != value.end()) {
      node->ref = Resolve(*ref, at, depth);
    } else {
      for (const auto& [key, argument] : value.items()) {
        if (!error_.ok()) break;
        Apply(key, argument, absl::StrCat(at, "/", EscapePointer(key)), node, depth + 1);
      }
    }
    return node;
  }

  const SchemaNode* Resolve(const json& ref, const std::string& at, int depth) {
    if (!ref.is_string()) {
      Fail(at, "$ref must be a string");
      return nullptr;
    }
    const std::string& target = ref.get_ref<const std::string&>();
    if (target.empty() || target[0] != '#' || (target.size() > 1 && target[1] != '/')) {
      Fail(at, "$ref must stay inside this schema and begin with \"#/\"");
      return nullptr;
    }
    const json* place = &document_;
    for (size_t i = 1; i < target.size();) {
      const size_t end = std::min(target.find('/', i + 1), target.size());
      std::string key = Unescape(target.substr(i + 1, end - i - 1));
      if (place->is_object() && place->contains(key)) {
        place = &(*place)[key];
      } else {
        Fail(at, absl::StrCat("$ref leads to nothing, \"", target.substr(0, 200), "\""));
        return nullptr;
      }
      i = end;
    }
    return Compile(*place, target.substr(1), depth + 1);
  }

  static std::string Unescape(const std::string& part) {
    std::string out;
    for (size_t i = 0; i < part.size(); ++i) {
      const bool escape = part[i] == '~' && i + 1 < part.size();
      if (escape) ++i;
      out.push_back(!escape ? part[i] : part[i] == '1' ? '/' : '~');
    }
    return out;
  }

  void Apply(const std::string& key, const json& argument, const std::string& at, SchemaNode* node,
             int depth) {
    static constexpr std::array<std::pair<std::string_view, Keyword>, 17> kKeywords = {{
        {"type", &SchemaCompiler::Type},
        {"enum", &SchemaCompiler::Enum},
        {"const", &SchemaCompiler::Const},
        {"default", &SchemaCompiler::Default},
        {"properties", &SchemaCompiler::Properties},
        {"patternProperties", &SchemaCompiler::PatternProperties},
        {"required", &SchemaCompiler::Required},
        {"dependencies", &SchemaCompiler::Dependencies},
        {"items", &SchemaCompiler::Items},
        {"uniqueItems", &SchemaCompiler::UniqueItems},
        {"pattern", &SchemaCompiler::Pattern},
        {"format", &SchemaCompiler::Format},
        {"definitions", &SchemaCompiler::Definitions},
        {"$defs", &SchemaCompiler::Definitions},
        {"x-viaduct-secret", &SchemaCompiler::Secret},
        {"x-viaduct-minimum", &SchemaCompiler::UnitLimit},
        {"x-viaduct-maximum", &SchemaCompiler::UnitLimit},
    }};
    const auto* found = std::find_if(kKeywords.begin(), kKeywords.end(),
                                     [&](const auto& keyword) { return keyword.first == key; });
    if (found != kKeywords.end()) {
      (this->*found->second)(argument, at, node, depth);
    } else if (!Child(key, argument, at, node, depth) &&
               !Children(key, argument, at, node, depth) && !Count(key, argument, at, node) &&
               !Number(key, argument, at, node) && !IsAnnotation(key)) {
      Fail(at, "unknown keyword (draft 7; own ones begin with \"x-\")");
    }
  }

  static bool IsAnnotation(const std::string& key) {
    static constexpr std::array<std::string_view, 11> kAnnotations = {
        "$schema",  "$id",       "$comment",         "title",           "description", "examples",
        "readOnly", "writeOnly", "contentMediaType", "contentEncoding", "deprecated"};
    return key.compare(0, 2, "x-") == 0 ||
           std::find(kAnnotations.begin(), kAnnotations.end(), key) != kAnnotations.end();
  }

  // Keywords whose argument is one schema.
  bool Child(const std::string& key, const json& argument, const std::string& at, SchemaNode* node,
             int depth) {
    const SchemaNode** target = key == "additionalProperties" ? &node->additional_properties
                                : key == "propertyNames"      ? &node->property_names
                                : key == "additionalItems"    ? &node->additional_items
                                : key == "contains"           ? &node->contains
                                : key == "not"                ? &node->negated
                                : key == "if"                 ? &node->if_node
                                : key == "then"               ? &node->then_node
                                : key == "else"               ? &node->else_node
                                                              : nullptr;
    if (target == nullptr) return false;
    *target = Compile(argument, at, depth);
    return true;
  }

  // Keywords whose argument is a list of schemas.
  bool Children(const std::string& key, const json& argument, const std::string& at,
                SchemaNode* node, int depth) {
    std::vector<const SchemaNode*>* target = key == "allOf"   ? &node->all_of
                                             : key == "anyOf" ? &node->any_of
                                             : key == "oneOf" ? &node->one_of
                                                              : nullptr;
    if (target == nullptr) return false;
    if (!argument.is_array() || argument.empty()) {
      Fail(at, "must be a list of schemas");
      return true;
    }
    CompileList(argument, at, target, depth);
    return true;
  }

  void CompileList(const json& list, const std::string& at, std::vector<const SchemaNode*>* out,
                   int depth) {
    for (size_t i = 0; i < list.size() && error_.ok(); ++i) {
      out->push_back(Compile(list[i], absl::StrCat(at, "/", i), depth));
    }
  }

  bool Count(const std::string& key, const json& argument, const std::string& at,
             SchemaNode* node) {
    std::optional<uint64_t>* target = key == "minProperties"   ? &node->min_properties
                                      : key == "maxProperties" ? &node->max_properties
                                      : key == "minItems"      ? &node->min_items
                                      : key == "maxItems"      ? &node->max_items
                                      : key == "minLength"     ? &node->min_length
                                      : key == "maxLength"     ? &node->max_length
                                                               : nullptr;
    if (target == nullptr) return false;
    if (argument.is_number_unsigned()) {
      *target = argument.get<uint64_t>();
    } else {
      Fail(at, "must be a whole number, 0 or more");
    }
    return true;
  }

  bool Number(const std::string& key, const json& argument, const std::string& at,
              SchemaNode* node) {
    std::optional<double>* target = key == "minimum"            ? &node->minimum
                                    : key == "maximum"          ? &node->maximum
                                    : key == "exclusiveMinimum" ? &node->exclusive_minimum
                                    : key == "exclusiveMaximum" ? &node->exclusive_maximum
                                    : key == "multipleOf"       ? &node->multiple_of
                                                                : nullptr;
    if (target == nullptr) return false;
    if (!argument.is_number() || (key == "multipleOf" && argument.get<double>() <= 0)) {
      Fail(at, "must be a number");
      return true;
    }
    *target = argument.get<double>();
    return true;
  }

  void Type(const json& argument, const std::string& at, SchemaNode* node, int) {
    static constexpr std::array<std::pair<std::string_view, uint32_t>, 7> kTypes = {
        {{"null", SchemaNode::kNull},
         {"boolean", SchemaNode::kBoolean},
         {"integer", SchemaNode::kInteger},
         {"number", SchemaNode::kNumber},
         {"string", SchemaNode::kString},
         {"array", SchemaNode::kArray},
         {"object", SchemaNode::kObject}}};
    const json list = argument.is_array() ? argument : json::array({argument});
    for (const json& name : list) {
      const auto* found = std::find_if(kTypes.begin(), kTypes.end(), [&](const auto& type) {
        return name.is_string() && name.get_ref<const std::string&>() == type.first;
      });
      if (found == kTypes.end()) return Fail(at, "not a type");
      node->types |= found->second;
    }
    if (node->types == SchemaNode::kAny) Fail(at, "must name a type");
  }

  void Enum(const json& argument, const std::string& at, SchemaNode* node, int) {
    if (!argument.is_array() || argument.empty()) return Fail(at, "must be a list of values");
    node->enum_values = std::vector<json>(argument.begin(), argument.end());
  }
  void Const(const json& argument, const std::string&, SchemaNode* node, int) {
    node->const_value = argument;
  }
  void Default(const json& argument, const std::string&, SchemaNode* node, int) {
    node->default_value = argument;
  }
  void UniqueItems(const json& argument, const std::string& at, SchemaNode* node, int) {
    if (!argument.is_boolean()) return Fail(at, "must be true or false");
    node->unique_items = argument.get<bool>();
  }
  void Secret(const json& argument, const std::string& at, SchemaNode* node, int) {
    if (!argument.is_boolean()) return Fail(at, "must be true or false");
    node->secret = argument.get<bool>();
  }

  void Properties(const json& argument, const std::string& at, SchemaNode* node, int depth) {
    if (!argument.is_object()) return Fail(at, "must be an object");
    for (const auto& [name, value] : argument.items()) {
      if (!error_.ok()) return;
      node->properties.emplace_back(
          name, Compile(value, absl::StrCat(at, "/", EscapePointer(name)), depth));
    }
  }

  void PatternProperties(const json& argument, const std::string& at, SchemaNode* node, int depth) {
    if (!argument.is_object()) return Fail(at, "must be an object");
    for (const auto& [pattern, value] : argument.items()) {
      if (!error_.ok()) return;
      const std::string place = absl::StrCat(at, "/", EscapePointer(pattern));
      std::unique_ptr<RE2> compiled = CompilePattern(pattern, at);
      node->pattern_properties.emplace_back(std::move(compiled), Compile(value, place, depth));
    }
  }

  void Required(const json& argument, const std::string& at, SchemaNode* node, int) {
    Names(argument, at, &node->required);
  }

  void Names(const json& argument, const std::string& at, std::vector<std::string>* out) {
    if (!argument.is_array()) return Fail(at, "must be a list of names");
    for (const json& name : argument) {
      if (!name.is_string()) return Fail(at, "must be a list of names");
      out->push_back(name.get<std::string>());
    }
  }

  void Dependencies(const json& argument, const std::string& at, SchemaNode* node, int depth) {
    if (!argument.is_object()) return Fail(at, "must be an object");
    for (const auto& [name, value] : argument.items()) {
      if (!error_.ok()) return;
      const std::string place = absl::StrCat(at, "/", EscapePointer(name));
      if (value.is_array()) {
        node->dependent_keys.emplace_back(name, std::vector<std::string>());
        Names(value, place, &node->dependent_keys.back().second);
      } else {
        node->dependent_schemas.emplace_back(name, Compile(value, place, depth));
      }
    }
  }

  void Items(const json& argument, const std::string& at, SchemaNode* node, int depth) {
    if (argument.is_array()) {
      CompileList(argument, at, &node->item_tuple, depth);
    } else {
      node->items = Compile(argument, at, depth);
    }
  }

  void Definitions(const json& argument, const std::string& at, SchemaNode*, int depth) {
    if (!argument.is_object()) return Fail(at, "must be an object");
    for (const auto& [name, value] : argument.items()) {
      if (!error_.ok()) return;
      Compile(value, absl::StrCat(at, "/", EscapePointer(name)), depth);
    }
  }

  std::unique_ptr<RE2> CompilePattern(const std::string& pattern, const std::string& at) {
    RE2::Options options;
    options.set_log_errors(false);
    options.set_max_mem(kMaxPatternMemory);
    if (pattern.size() > kMaxPatternBytes) {
      Fail(at, absl::StrCat("a pattern may have ", kMaxPatternBytes, " bytes at most"));
      return nullptr;
    }
    auto compiled = std::make_unique<RE2>(pattern, options);
    if (compiled->ok()) return compiled;
    Fail(at, absl::StrCat("not a pattern that RE2 takes, ", compiled->error()));
    return nullptr;
  }

  void Pattern(const json& argument, const std::string& at, SchemaNode* node, int) {
    if (!argument.is_string()) return Fail(at, "must be a string");
    node->pattern = CompilePattern(argument.get_ref<const std::string&>(), at);
  }

  void Format(const json& argument, const std::string& at, SchemaNode* node, int) {
    if (!argument.is_string()) return Fail(at, "must be a string");
    const auto& name = argument.get_ref<const std::string&>();
    if (name == "viaduct-bytes") node->format = ValueFormat::kBytes;
    if (name == "viaduct-duration") node->format = ValueFormat::kDuration;
  }

  void UnitLimit(const json& argument, const std::string& at, SchemaNode* node, int) {
    const bool good =
        argument.is_string() && (ParseBytes(argument.get_ref<const std::string&>()).ok() ||
                                 ParseDuration(argument.get_ref<const std::string&>()).ok());
    if (!good) return Fail(at, "must be a size or a duration");
    const bool minimum = at.size() > 7 && at.compare(at.size() - 7, 7, "minimum") == 0;
    (minimum ? node->unit_minimum : node->unit_maximum) = argument.get<std::string>();
  }

  // Schemas that apply to the same value as `node` does: a circle of these would never end.
  static std::vector<const SchemaNode*> InPlace(const SchemaNode& node) {
    std::vector<const SchemaNode*> out = {node.ref, node.negated, node.if_node, node.then_node,
                                          node.else_node};
    out.insert(out.end(), node.all_of.begin(), node.all_of.end());
    out.insert(out.end(), node.any_of.begin(), node.any_of.end());
    out.insert(out.end(), node.one_of.begin(), node.one_of.end());
    for (const auto& [name, schema] : node.dependent_schemas) out.push_back(schema);
    return out;
  }

  void FindCircles() {
    std::unordered_set<const SchemaNode*> open;
    std::unordered_set<const SchemaNode*> closed;
    std::function<bool(const SchemaNode*)> visit = [&](const SchemaNode* node) {
      if (node == nullptr || closed.count(node) != 0) return true;
      if (!open.insert(node).second) return false;
      for (const SchemaNode* next : InPlace(*node)) {
        if (!visit(next)) return false;
      }
      open.erase(node);
      closed.insert(node);
      return true;
    };
    for (const auto& node : schema_->nodes_) {
      if (!visit(node.get())) return Fail("", "references go in a circle");
    }
  }

  const json& document_;
  Schema* schema_ = nullptr;
  std::unordered_map<std::string, const SchemaNode*> by_pointer_;
  absl::Status error_;
};

namespace {

// A default that its own schema refuses would turn up as the operator's mistake.
absl::Status CheckDefaults(const std::vector<std::unique_ptr<SchemaNode>>& nodes) {
  for (const auto& node : nodes) {
    if (!node->default_value.has_value()) continue;
    ConfigNode value = NodeFromJson(*node->default_value);
    Findings findings;
    CheckAgainstSchema(*node, &value, "", &findings);
    if (findings.errors() == 0) continue;
    return absl::InvalidArgumentError(
        absl::StrCat("schema: a default does not fit its schema, ", findings.all().front().text));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::shared_ptr<const Schema>> Schema::Compile(std::string_view text) {
  if (text.size() > kMaxSchemaBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("schema: larger than ", kMaxSchemaBytes, " bytes"));
  }
  if (!JsonDepthWithin(text, 2 * kMaxSchemaDepth)) {
    return absl::InvalidArgumentError("schema: nested too deep");
  }
  const json document = json::parse(text.begin(), text.end(), nullptr, /*allow_exceptions=*/false);
  if (document.is_discarded()) return absl::InvalidArgumentError("schema: not JSON");
  auto schema = std::make_shared<Schema>();
  VD_RETURN_IF_ERROR(SchemaCompiler(document).Run(schema.get()));
  VD_RETURN_IF_ERROR(CheckDefaults(schema->nodes_));
  return schema;
}

}  // namespace viaduct
