#include "core/config/short_form.h"

#include <array>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/string_view.h"

namespace viaduct {
namespace {

// The whole short form. A new key of it is a new row.
enum class Row : uint8_t {
  kInstance,  // An instance of that name with the plugin of that name; the section is its config.
  kSection,   // A section of the node under another name.
};

struct SectionRow {
  std::string_view key;
  Row row;
  std::string_view parent;  // kSection: where it goes.
  std::string_view name;
};
constexpr std::array<SectionRow, 7> kSections = {{
    {"websocket", Row::kInstance, "", ""},
    {"rest", Row::kInstance, "", ""},
    {"mqtt", Row::kInstance, "", ""},
    {"sftp", Row::kInstance, "", ""},
    {"rsync", Row::kInstance, "", ""},
    {"protocol_selection", Row::kSection, "gateway", "selection"},
    {"fallback", Row::kSection, "gateway", "fallback"},
}};

// A value that also names the node where the node section does not.
struct NodeIdRow {
  std::string_view section;
  std::string_view key;
};
constexpr std::array<NodeIdRow, 1> kNodeIds = {{{"mqtt", "client_id"}}};

// A value that is taken, but not as far as its author may think.
struct AdviceRow {
  std::string_view section;
  std::string_view key;
  std::string_view element;  // Of a list; empty: the key itself, whatever its value.
  std::string_view code;
  std::string_view text;
};
constexpr std::array<AdviceRow, 2> kAdvice = {{
    {"rsync", "options", "--delete", "confined_delete",
     "\"--delete\" is kept inside this device's own folder on the server"},
    {"rest", "retry_attempts", "", "no_effect",
     "has no effect: what fails goes by another road at once where one is ready, else by this one "
     "after gateway.retry, until it is delivered"},
}};

ConfigNode ScalarAt(const ConfigNode& place, std::string_view text, std::string origin) {
  ConfigNode node;
  node.kind = ConfigNode::Kind::kScalar;
  node.plain = false;
  node.line = place.line;
  node.column = place.column;
  node.text = std::string(text);
  node.origin = std::move(origin);
  return node;
}

void Advise(const ConfigMember& section, Findings* findings) {
  for (const AdviceRow& row : kAdvice) {
    if (section.key != row.section) continue;
    const ConfigNode* value = section.value.Find(row.key);
    if (value == nullptr) continue;
    if (row.element.empty()) {
      findings->Warning(value->line, value->column,
                        absl::StrCat("/", AbslView(row.section), "/", AbslView(row.key)), row.code,
                        absl::StrCat(AbslView(row.key), " ", AbslView(row.text)));
      continue;
    }
    for (size_t i = 0; i < value->items.size(); ++i) {
      const ConfigNode& item = value->items[i];
      if (!item.is_scalar() || item.text != row.element) continue;
      findings->Warning(item.line, item.column,
                        absl::StrCat("/", AbslView(row.section), "/", AbslView(row.key), "/", i),
                        row.code, std::string(row.text));
    }
  }
}

void TakeNodeId(const ConfigMember& section, ConfigNode* root) {
  for (const NodeIdRow& row : kNodeIds) {
    if (section.key != row.section) continue;
    const ConfigNode* value = section.value.Find(row.key);
    if (value == nullptr || !value->is_scalar() || value->broken) continue;
    ConfigNode& node = root->Member("node");
    if (!node.is_map() && !node.is_null()) continue;
    ConfigNode& id = node.Member("id");
    if (!id.is_null()) continue;
    id = *value;
    id.origin = absl::StrCat("/", section.key, "/", AbslView(row.key));
  }
}

ConfigNode MakeInstance(ConfigMember section) {
  const std::string origin = absl::StrCat("/", section.key);
  ConfigNode place;
  place.line = section.line;
  place.column = section.column;
  ConfigNode instance = place;
  instance.kind = ConfigNode::Kind::kMap;
  instance.origin = origin;
  instance.Member("name") = ScalarAt(place, section.key, origin);
  instance.Member("plugin") = ScalarAt(place, section.key, origin);
  ConfigNode& config = instance.Member("config");
  config = std::move(section.value);
  config.origin = origin;
  return instance;
}

void MoveSection(const SectionRow& row, ConfigMember section, ConfigNode* root,
                 Findings* findings) {
  ConfigNode& parent = root->Member(row.parent);
  if (!parent.is_map() && !parent.is_null()) return;  // Reported when the parent is checked.
  ConfigNode& target = parent.Member(row.name);
  const std::string origin = absl::StrCat("/", section.key);
  if (!target.is_null()) {
    findings->Error(
        section.line, section.column, origin, "duplicate_key",
        absl::StrCat("given twice, here and as ", AbslView(row.parent), ".", AbslView(row.name)));
    return;
  }
  target = std::move(section.value);
  target.origin = origin;
}

const SectionRow* FindRow(std::string_view key) {
  for (const SectionRow& row : kSections) {
    if (row.key == key) return &row;
  }
  return nullptr;
}

// "auth: none" in so many words.
void ExpandAuth(ConfigNode* root) {
  for (ConfigMember& member : root->members) {
    if (member.key != "auth" || !member.value.is_scalar() || member.value.text != "none") continue;
    ConfigNode mode = std::exchange(member.value, ConfigNode());
    member.value.kind = ConfigNode::Kind::kMap;
    member.value.line = mode.line;
    member.value.column = mode.column;
    member.value.Member("mode") = std::move(mode);
  }
}

}  // namespace

void ExpandShortForm(ConfigNode* root, Findings* findings) {
  ExpandAuth(root);
  std::vector<ConfigMember> sections;
  std::vector<ConfigMember> others;
  for (ConfigMember& member : root->members) {
    (FindRow(member.key) != nullptr ? sections : others).push_back(std::move(member));
  }
  root->members = std::move(others);
  for (ConfigMember& section : sections) {
    Advise(section, findings);
    TakeNodeId(section, root);
    const SectionRow* row = FindRow(section.key);
    if (row->row == Row::kSection) {
      MoveSection(*row, std::move(section), root, findings);
      continue;
    }
    ConfigNode& instances = root->Member("instances");
    if (instances.is_null()) instances.kind = ConfigNode::Kind::kList;
    if (instances.is_map() && instances.members.empty()) instances.kind = ConfigNode::Kind::kList;
    if (instances.is_list()) instances.items.push_back(MakeInstance(std::move(section)));
  }
}

}  // namespace viaduct
