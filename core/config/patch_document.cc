#include "core/config/patch_document.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/config/document.h"

namespace viaduct {
namespace {

using nlohmann::json;

constexpr char kNameKey[] = "name";
constexpr size_t kIndent = 2;

ConfigNode NodeOf(const json& value) {
  ConfigNode node;
  if (value.is_object()) {
    node.kind = ConfigNode::Kind::kMap;
    for (const auto& [key, member] : value.items()) node.Member(key) = NodeOf(member);
  } else if (value.is_array()) {
    node.kind = ConfigNode::Kind::kList;
    for (const json& item : value) node.items.push_back(NodeOf(item));
  } else if (!value.is_null()) {
    node.kind = ConfigNode::Kind::kScalar;
    node.plain = !value.is_string();
    node.text = value.is_string() ? value.get<std::string>() : value.dump();
  }
  return node;
}

void Merge(const json& patch, ConfigNode* node);

bool IsNamed(const ConfigNode& node) {
  return node.is_list() &&
         std::all_of(node.items.begin(), node.items.end(), [](const ConfigNode& item) {
           return item.is_map() && item.Find(kNameKey) != nullptr;
         });
}

void MergeNamed(const json& patch, ConfigNode* list) {
  for (const auto& [name, change] : patch.items()) {
    const auto found = std::find_if(
        list->items.begin(), list->items.end(),
        [name = name](const ConfigNode& item) { return item.Find(kNameKey)->text == name; });
    if (change.is_null()) {
      if (found != list->items.end()) list->items.erase(found);
      continue;
    }
    if (found != list->items.end()) {
      Merge(change, &*found);
      continue;
    }
    ConfigNode added;
    added.kind = ConfigNode::Kind::kMap;
    added.Member(kNameKey) = NodeOf(name);
    Merge(change, &added);
    list->items.push_back(std::move(added));
  }
}

void Merge(const json& patch, ConfigNode* node) {
  if (!patch.is_object()) {
    *node = NodeOf(patch);
    return;
  }
  if (IsNamed(*node) && !node->items.empty()) return MergeNamed(patch, node);
  if (!node->is_map()) {
    *node = ConfigNode();
    node->kind = ConfigNode::Kind::kMap;
  }
  for (const auto& [key, change] : patch.items()) {
    if (!change.is_null()) {
      Merge(change, &node->Member(key));
      continue;
    }
    node->members.erase(std::remove_if(node->members.begin(), node->members.end(),
                                       [key = key](const ConfigMember& m) { return m.key == key; }),
                        node->members.end());
  }
}

std::string Quoted(const std::string& text) {
  return json(text).dump(-1, ' ', false, json::error_handler_t::replace);
}

// What was plain is plain again wherever it stood; of several lines it was a text.
std::string ScalarText(const ConfigNode& node) {
  const bool plain = node.plain && node.text.find('\n') == std::string::npos && !node.text.empty();
  return plain ? node.text : Quoted(node.text);
}

// What stands behind "key:" or "-".
void Write(const ConfigNode& node, size_t indent, std::string* out) {
  const std::string margin(indent, ' ');
  if (node.is_map() && !node.members.empty()) {
    absl::StrAppend(out, "\n");
    for (const ConfigMember& member : node.members) {
      absl::StrAppend(out, margin, Quoted(member.key), ":");
      Write(member.value, indent + kIndent, out);
    }
  } else if (node.is_list() && !node.items.empty()) {
    absl::StrAppend(out, "\n");
    for (const ConfigNode& item : node.items) {
      absl::StrAppend(out, margin, "-");
      Write(item, indent + kIndent, out);
    }
  } else if (node.is_scalar()) {
    absl::StrAppend(out, " ", ScalarText(node), "\n");
  } else {
    absl::StrAppend(out, node.is_map() ? " {}\n" : node.is_list() ? " []\n" : " null\n");
  }
}

}  // namespace

absl::StatusOr<std::string> PatchDocument(std::string_view yaml, std::string_view patch_json) {
  if (patch_json.size() > kMaxPatchBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("patch: too large, ", patch_json.size(), " bytes, limit ", kMaxPatchBytes));
  }
  bool too_deep = false;
  const auto look = [&too_deep](int depth, json::parse_event_t, const json&) {
    too_deep = too_deep || depth > kMaxDocumentDepth;
    return !too_deep;
  };
  const json patch = json::parse(patch_json, look, /*allow_exceptions=*/false);
  if (too_deep) return absl::InvalidArgumentError("patch: nested too deeply");
  if (!patch.is_object()) return absl::InvalidArgumentError("patch: not a JSON object");
  ConfigNode root;
  Findings findings;
  if (!ParseDocument(yaml, &root, &findings)) {
    return absl::InvalidArgumentError("patch: the present configuration is no YAML");
  }
  Merge(patch, &root);
  std::string out;
  Write(root, 0, &out);
  return out.substr(0, 1) == "\n" ? out.substr(1) : out;
}

}  // namespace viaduct
