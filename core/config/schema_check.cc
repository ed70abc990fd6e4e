#include <algorithm>
#include <cmath>
#include <optional>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/config/schema.h"
#include "core/config/schema_rules.h"
#include "core/config/schema_value.h"
#include "core/config/suggest.h"

namespace viaduct {
namespace {

using nlohmann::json;

uint32_t TypeOf(const json& value) {
  switch (value.type()) {
    case json::value_t::null:
      return SchemaNode::kNull;
    case json::value_t::boolean:
      return SchemaNode::kBoolean;
    case json::value_t::number_integer:
    case json::value_t::number_unsigned:
      return SchemaNode::kInteger;
    case json::value_t::number_float:
      return SchemaNode::kNumber;
    case json::value_t::array:
      return SchemaNode::kArray;
    case json::value_t::object:
      return SchemaNode::kObject;
    default:
      return SchemaNode::kString;
  }
}

const SchemaNode& Follow(const SchemaNode& schema) {
  const SchemaNode* node = &schema;
  while (node->ref != nullptr) node = node->ref;  // Circles were refused by Compile.
  return *node;
}

bool AllowsNull(const SchemaNode& schema) {
  const SchemaNode& node = Follow(schema);
  return node.types == SchemaNode::kAny || (node.types & SchemaNode::kNull) != 0;
}

// Lives for one document against one schema.
class Checker {
 public:
  explicit Checker(Findings* findings) : findings_(findings) {}

  void MarkSecrets(const SchemaNode& schema, ConfigNode* node);
  json Check(const SchemaNode& schema, ConfigNode* node, const std::string& pointer);
  // It ran out of steps: what Check gave means nothing.
  bool gave_up() const { return steps_ >= kMaxCheckSteps; }

 private:
  struct Branch {
    Findings findings;
    json value;
  };

  void Fail(const ConfigNode& node, const std::string& pointer, std::string_view code,
            const std::string& text) {
    FailAt(node, pointer, code, text, findings_);
  }

  bool Typed(const SchemaNode& schema, const ConfigNode& node, const std::string& pointer,
             json* value);
  bool TypedScalar(const SchemaNode& schema, const ConfigNode& node, json* value);
  json CheckMap(const SchemaNode& schema, ConfigNode* node, const std::string& pointer);
  void CheckMember(const SchemaNode& schema, ConfigMember* member, const std::string& pointer,
                   json* object);
  void UnknownKey(const SchemaNode& schema, ConfigMember* member, const std::string& pointer);
  void FillDefaults(const SchemaNode& schema, const ConfigNode& node, const std::string& pointer,
                    json* object);
  void CheckKeys(const SchemaNode& schema, const ConfigNode& node, const std::string& pointer,
                 const json& object);
  void CheckDependencies(const SchemaNode& schema, ConfigNode* node, const std::string& pointer,
                         json* object);
  json CheckList(const SchemaNode& schema, ConfigNode* node, const std::string& pointer);
  Branch Try(const SchemaNode& schema, ConfigNode* node, const std::string& pointer,
             bool strict = true);
  void CheckCombined(const SchemaNode& schema, ConfigNode* node, const std::string& pointer,
                     json* value);
  // How many fit; the first that does, or the one that comes nearest.
  size_t CountFits(const std::vector<const SchemaNode*>& schemas, bool strict, ConfigNode* node,
                   const std::string& pointer, Branch* fitting, std::optional<Branch>* nearest);
  void CheckAlternatives(const std::vector<const SchemaNode*>& schemas, bool only_one,
                         ConfigNode* node, const std::string& pointer, json* value);
  static void Merge(const ConfigNode& node, const json& from, json* into);

  Findings* findings_;
  size_t steps_ = 0;
  // A number is a number. Set where a schema is only asked whether it fits: by turning numbers into
  // texts, "a text or a number" would fit twice.
  bool strict_ = false;
};

void Checker::MarkSecrets(const SchemaNode& unresolved, ConfigNode* node) {
  if (++steps_ >= kMaxCheckSteps) return MarkAllSecret(node);
  const SchemaNode& schema = Follow(unresolved);
  if (schema.secret) return MarkAllSecret(node);
  for (ConfigMember& member : node->members) {
    const SchemaNode* property = schema.Property(member.key);
    if (property != nullptr) MarkSecrets(*property, &member.value);
    for (const auto& [pattern, child] : schema.pattern_properties) {
      if (RE2::PartialMatch(member.key, *pattern)) MarkSecrets(*child, &member.value);
    }
    if (property == nullptr && schema.additional_properties != nullptr) {
      MarkSecrets(*schema.additional_properties, &member.value);
    }
  }
  for (size_t i = 0; i < node->items.size(); ++i) {
    if (schema.items != nullptr) MarkSecrets(*schema.items, &node->items[i]);
    if (i < schema.item_tuple.size()) MarkSecrets(*schema.item_tuple[i], &node->items[i]);
    if (i >= schema.item_tuple.size() && schema.additional_items != nullptr) {
      MarkSecrets(*schema.additional_items, &node->items[i]);
    }
  }
  for (const auto* group : {&schema.all_of, &schema.any_of, &schema.one_of}) {
    for (const SchemaNode* child : *group) MarkSecrets(*child, node);
  }
  for (const SchemaNode* child : {schema.if_node, schema.then_node, schema.else_node}) {
    if (child != nullptr) MarkSecrets(*child, node);
  }
  for (const auto& [name, child] : schema.dependent_schemas) MarkSecrets(*child, node);
}

bool Checker::TypedScalar(const SchemaNode& schema, const ConfigNode& node, json* value) {
  const uint32_t types = schema.types;
  *value = node.plain ? ResolvePlain(node.text) : json(node.text);
  if (types == SchemaNode::kAny || (types & TypeOf(*value)) != 0) return true;
  if (value->is_number_integer()) {
    if ((types & SchemaNode::kNumber) != 0) return true;
  } else if (value->is_number_float() && (types & SchemaNode::kInteger) != 0) {
    const double number = value->get<double>();
    if (number == std::floor(number)) {
      if (std::fabs(number) < 9.2e18) *value = static_cast<int64_t>(number);
      return true;
    }
  }
  // 0123 and 1.10 are as good a password or version as any other; what a reference stands for is
  // not written by hand and cannot be quoted.
  const bool text_is_meant = value->is_number() || !node.reference.empty();
  if (!strict_ && (types & SchemaNode::kString) != 0 && text_is_meant) {
    *value = node.text;
    return true;
  }
  return false;
}

bool Checker::Typed(const SchemaNode& schema, const ConfigNode& node, const std::string& pointer,
                    json* value) {
  bool fits = false;
  if (node.is_scalar()) {
    fits = TypedScalar(schema, node, value);
  } else {
    *value = node.is_map() ? json::object() : node.is_list() ? json::array() : json(nullptr);
    fits = schema.types == SchemaNode::kAny || (schema.types & TypeOf(*value)) != 0;
  }
  if (fits) return true;
  std::string hint;
  if (node.is_scalar() && !node.secret && node.reference.empty()) {
    json other;
    ConfigNode turned = node;
    turned.plain = !node.plain;
    if (TypedScalar(schema, turned, &other)) {
      hint = node.plain ? ", put it in quotes" : ", without quotes";
    }
  }
  Fail(node, pointer, "wrong_type",
       absl::StrCat("must be ", TypeWords(schema), hint, ", is ", Show(node)));
  return false;
}

json Checker::Check(const SchemaNode& unresolved, ConfigNode* node, const std::string& pointer) {
  const SchemaNode& schema = Follow(unresolved);
  if (node->broken || ++steps_ >= kMaxCheckSteps) return nullptr;
  if (schema.never) {
    Fail(*node, pointer, "not_allowed", "is not allowed here");
    return nullptr;
  }
  json value;
  if (!Typed(schema, *node, pointer, &value)) return PlainJson(*node);
  const size_t errors = findings_->errors();
  if (node->is_map()) {
    value = CheckMap(schema, node, pointer);
  } else if (node->is_list()) {
    value = CheckList(schema, node, pointer);
  } else if (schema.format != ValueFormat::kNone && !value.is_null()) {
    CheckUnit(schema, *node, pointer, findings_);
  } else if (value.is_string()) {
    CheckText(schema, *node, pointer, value.get_ref<const std::string&>(), findings_);
  } else if (value.is_number()) {
    CheckNumber(schema, *node, pointer, value.get<double>(), findings_);
  }
  // One mistake about a value is enough.
  if (!node->is_scalar() || findings_->errors() == errors) {
    CheckChoice(schema, *node, pointer, value, findings_);
  }
  CheckCombined(schema, node, pointer, &value);
  return value;
}

void Checker::UnknownKey(const SchemaNode& schema, ConfigMember* member,
                         const std::string& pointer) {
  std::vector<std::string> known;
  for (const auto& [name, child] : schema.properties) known.push_back(name);
  const std::string nearest = Suggest(member->key, known);
  const std::string hint = nearest.empty() ? "" : absl::StrCat(", did you mean \"", nearest, "\"?");
  findings_->Error(member->line, member->column, pointer, "unknown_key",
                   absl::StrCat("unknown key ", ShowText(member->key), hint));
  MarkAllSecret(&member->value);  // It may be a misspelt password.
  member->value.broken = true;
}

void Checker::CheckMember(const SchemaNode& schema, ConfigMember* member,
                          const std::string& pointer, json* object) {
  std::vector<const SchemaNode*> children;
  if (const SchemaNode* property = schema.Property(member->key)) children.push_back(property);
  for (const auto& [pattern, child] : schema.pattern_properties) {
    if (RE2::PartialMatch(member->key, *pattern)) children.push_back(child);
  }
  if (children.empty() && schema.additional_properties != nullptr) {
    if (Follow(*schema.additional_properties).never) return UnknownKey(schema, member, pointer);
    children.push_back(schema.additional_properties);
  }
  if (children.empty()) {
    (*object)[member->key] = PlainJson(member->value);
    return;
  }
  if (member->value.is_null() && !AllowsNull(*children.front())) return;  // As if not there.
  bool first = true;
  for (const SchemaNode* child : children) {
    json value = Check(*child, &member->value, pointer);
    if (std::exchange(first, false)) (*object)[member->key] = std::move(value);
  }
}

json Checker::CheckMap(const SchemaNode& schema, ConfigNode* node, const std::string& pointer) {
  json object = json::object();
  for (ConfigMember& member : node->members) {
    const std::string child = ChildPointer(pointer, member.key, member.value);
    if (schema.property_names != nullptr) {
      ConfigNode name;
      name.kind = ConfigNode::Kind::kScalar;
      name.plain = false;
      name.line = member.line;
      name.column = member.column;
      name.text = member.key;
      if (!Try(*schema.property_names, &name, child).findings.empty()) {
        Fail(name, child, "bad_key", "not a good name for a key here");
        continue;
      }
    }
    CheckMember(schema, &member, child, &object);
  }
  FillDefaults(schema, *node, pointer, &object);
  CheckKeys(schema, *node, pointer, object);
  CheckDependencies(schema, node, pointer, &object);
  return object;
}

void Checker::FillDefaults(const SchemaNode& schema, const ConfigNode& node,
                           const std::string& pointer, json* object) {
  for (const auto& [name, unresolved] : schema.properties) {
    const SchemaNode& child = Follow(*unresolved);
    if (!child.default_value.has_value() || object->contains(name)) continue;
    const ConfigNode* given = node.Find(name);
    if (given != nullptr && !given->is_null()) continue;  // Broken; has its finding.
    ConfigNode value = NodeFromJson(*child.default_value);
    value.line = node.line;
    value.column = node.column;
    (*object)[name] = Check(child, &value, absl::StrCat(pointer, "/", EscapePointer(name)));
  }
}

void Checker::CheckKeys(const SchemaNode& schema, const ConfigNode& node,
                        const std::string& pointer, const json& object) {
  for (const std::string& name : schema.required) {
    const ConfigNode* given = node.Find(name);
    if (object.contains(name) || (given != nullptr && !given->is_null())) continue;
    const std::string child = absl::StrCat(pointer, "/", EscapePointer(name));
    if (given != nullptr) {
      findings_->Error(*given, child, "missing_key", absl::StrCat("\"", name, "\" has no value"));
    } else {
      findings_->Error(node, child, "missing_key",
                       absl::StrCat(Subject(pointer), ": \"", name, "\" is missing"));
    }
  }
  CheckSize(node, pointer,
            {node.members.size(), schema.min_properties, schema.max_properties, "keys"}, findings_);
}

void Checker::CheckDependencies(const SchemaNode& schema, ConfigNode* node,
                                const std::string& pointer, json* object) {
  for (const auto& [name, needed] : schema.dependent_keys) {
    if (node->Find(name) == nullptr) continue;
    for (const std::string& other : needed) {
      if (node->Find(other) != nullptr) continue;
      Fail(*node, absl::StrCat(pointer, "/", EscapePointer(other)), "missing_key",
           absl::StrCat("is needed beside \"", name, "\""));
    }
  }
  for (const auto& [name, child] : schema.dependent_schemas) {
    if (node->Find(name) == nullptr) continue;
    Merge(*node, Check(*child, node, pointer), object);
  }
}

json Checker::CheckList(const SchemaNode& schema, ConfigNode* node, const std::string& pointer) {
  json list = json::array();
  bool found = schema.contains == nullptr;
  std::set<json> seen;
  for (size_t i = 0; i < node->items.size(); ++i) {
    ConfigNode& item = node->items[i];
    const std::string child = ChildPointer(pointer, absl::StrCat(i), item);
    const SchemaNode* item_schema = schema.items != nullptr        ? schema.items
                                    : i < schema.item_tuple.size() ? schema.item_tuple[i]
                                    : schema.item_tuple.empty()    ? nullptr
                                                                   : schema.additional_items;
    json value = item_schema == nullptr ? PlainJson(item) : Check(*item_schema, &item, child);
    found = found || Try(*schema.contains, &item, child).findings.errors() == 0;
    if (schema.unique_items && !item.broken && !seen.insert(value).second) {
      Fail(item, child, "duplicate_item", absl::StrCat("is in the list twice, ", Show(item)));
    }
    list.push_back(std::move(value));
  }
  if (!found) Fail(*node, pointer, "missing_item", "no element is of the kind that is needed");
  CheckSize(*node, pointer, {node->items.size(), schema.min_items, schema.max_items, "elements"},
            findings_);
  return list;
}

Checker::Branch Checker::Try(const SchemaNode& schema, ConfigNode* node, const std::string& pointer,
                             bool strict) {
  Branch branch;
  Findings* const outer = std::exchange(findings_, &branch.findings);
  const bool outer_strict = std::exchange(strict_, strict);
  branch.value = Check(schema, node, pointer);
  strict_ = outer_strict;
  findings_ = outer;
  return branch;
}

void Checker::Merge(const ConfigNode& node, const json& from, json* into) {
  if (from.is_object() && into->is_object()) {
    for (const auto& [key, value] : from.items()) {
      const ConfigNode* given = node.Find(key);
      // Typed by the branch, a default of the branch, or not known there at all.
      const bool plain = given != nullptr && PlainJson(*given) == value;
      if (!into->contains(key) || !plain) (*into)[key] = value;
    }
  } else if (node.is_scalar() && *into == PlainJson(node)) {
    *into = from;
  }
}

size_t Checker::CountFits(const std::vector<const SchemaNode*>& schemas, bool strict,
                          ConfigNode* node, const std::string& pointer, Branch* fitting,
                          std::optional<Branch>* nearest) {
  size_t fits = 0;
  nearest->reset();
  for (const SchemaNode* schema : schemas) {
    Branch branch = Try(*schema, node, pointer, strict);
    if (branch.findings.errors() == 0) {
      if (++fits == 1) *fitting = std::move(branch);
      continue;
    }
    // The one with the fewest mistakes is likely what was meant, unless it is of another type.
    const auto& all = branch.findings.all();
    const bool another = std::any_of(all.begin(), all.end(), [&](const Finding& finding) {
      return finding.pointer == pointer && finding.code == "wrong_type";
    });
    if (another) continue;
    if (!nearest->has_value() || branch.findings.errors() < (*nearest)->findings.errors()) {
      *nearest = std::move(branch);
    }
  }
  return fits;
}

void Checker::CheckAlternatives(const std::vector<const SchemaNode*>& schemas, bool only_one,
                                ConfigNode* node, const std::string& pointer, json* value) {
  Branch fitting;
  std::optional<Branch> nearest;
  size_t fits = CountFits(schemas, true, node, pointer, &fitting, &nearest);
  if (fits == 0 && !strict_) fits = CountFits(schemas, false, node, pointer, &fitting, &nearest);
  if (fits > 1 && only_one) {
    Fail(*node, pointer, "ambiguous", "fits more than one of the forms of which it must be one");
  } else if (fits > 0) {
    Merge(*node, fitting.value, value);
  } else if (nearest.has_value()) {
    findings_->Append(std::move(nearest->findings));
  } else {
    Fail(*node, pointer, "wrong_type",
         absl::StrCat("fits none of the ", schemas.size(), " forms it may have, is ", Show(*node)));
  }
}

void Checker::CheckCombined(const SchemaNode& schema, ConfigNode* node, const std::string& pointer,
                            json* value) {
  for (const SchemaNode* child : schema.all_of) Merge(*node, Check(*child, node, pointer), value);
  if (!schema.any_of.empty()) CheckAlternatives(schema.any_of, false, node, pointer, value);
  if (!schema.one_of.empty()) CheckAlternatives(schema.one_of, true, node, pointer, value);
  if (schema.negated != nullptr && Try(*schema.negated, node, pointer).findings.errors() == 0) {
    Fail(*node, pointer, "not_allowed", absl::StrCat("is not allowed, ", Show(*node)));
  }
  if (schema.if_node == nullptr) return;
  const bool holds = Try(*schema.if_node, node, pointer).findings.errors() == 0;
  const SchemaNode* next = holds ? schema.then_node : schema.else_node;
  if (next != nullptr) Merge(*node, Check(*next, node, pointer), value);
}

}  // namespace

json CheckAgainstSchema(const SchemaNode& schema, ConfigNode* node, const std::string& pointer,
                        Findings* findings) {
  Checker(nullptr).MarkSecrets(schema, node);
  Checker checker(findings);
  json value = checker.Check(schema, node, pointer);
  if (checker.gave_up()) {
    findings->Error(*node, pointer, "schema_too_costly",
                    "the schema takes too many steps to check this");
  }
  return value;
}

}  // namespace viaduct
