#include "core/config/redact.h"

#include <algorithm>
#include <map>
#include <set>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/config/schema.h"
#include "core/config/schema_value.h"

namespace viaduct {
namespace {

using nlohmann::json;
using Place = std::pair<uint32_t, uint32_t>;  // Line and column.

// What is shown in place of a secret. A default inside a reference may be the secret itself.
std::string ShownSecret(const std::string& as_written) {
  const bool whole_variable =
      as_written.compare(0, 2, "${") == 0 && as_written.find('}') == as_written.size() - 1;
  const bool path =
      as_written.compare(0, 6, "file:/") == 0 || as_written.compare(0, 7, "file:${") == 0;
  const bool safe = path || (whole_variable && as_written.find(":-") == std::string::npos);
  return safe ? as_written : std::string(kRedacted);
}

// Password of a URL: scheme://user:password@host.
std::string WithoutUserInfo(const std::string& text) {
  const size_t scheme = text.find("://");
  if (scheme == std::string::npos) return text;
  const size_t end = std::min(text.find_first_of("/?#", scheme + 3), text.size());
  const size_t at = text.rfind('@', end);
  const size_t colon = text.find(':', scheme + 3);
  if (at == std::string::npos || at < scheme || colon == std::string::npos || colon > at) {
    return text;
  }
  return absl::StrCat(text.substr(0, colon + 1), "***", text.substr(at));
}

void CollectSecrets(const ConfigNode& node, std::set<Place>* places) {
  if (node.is_scalar() && node.secret) places->insert({node.line, node.column});
  for (const ConfigMember& member : node.members) CollectSecrets(member.value, places);
  for (const ConfigNode& item : node.items) CollectSecrets(item, places);
}

// The tree as it may be shown.
void Redact(const std::set<Place>& secrets, ConfigNode* node) {
  if (node->is_scalar()) {
    const bool secret = secrets.count({node->line, node->column}) != 0;
    std::string shown = secret ? ShownSecret(node->text) : WithoutUserInfo(node->text);
    if (shown != node->text) {
      node->text = std::move(shown);
      node->plain = false;
    }
  }
  for (ConfigMember& member : node->members) Redact(secrets, &member.value);
  for (ConfigNode& item : node->items) Redact(secrets, &item);
}

bool SameTree(const ConfigNode& a, const ConfigNode& b) {
  if (a.kind != b.kind || a.members.size() != b.members.size() ||
      a.items.size() != b.items.size()) {
    return false;
  }
  if (a.is_scalar() && (a.text != b.text || (a.plain != b.plain && PlainJson(a) != PlainJson(b)))) {
    return false;
  }
  for (size_t i = 0; i < a.members.size(); ++i) {
    if (a.members[i].key != b.members[i].key || !SameTree(a.members[i].value, b.members[i].value)) {
      return false;
    }
  }
  return std::equal(a.items.begin(), a.items.end(), b.items.begin(), SameTree);
}

std::string Quoted(const std::string& text) {
  return json(text).dump(-1, ' ', false, json::error_handler_t::replace);
}

bool IsBareWord(const std::string& text) {
  static constexpr std::string_view kSafe =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./+-";
  return !text.empty() && text[0] != '-' && text.find_first_not_of(kSafe) == std::string::npos;
}

void WriteYaml(const ConfigNode& node, int indent, std::string* out) {
  const std::string margin(static_cast<size_t>(indent), ' ');
  switch (node.kind) {
    case ConfigNode::Kind::kNull:
      out->append(" null\n");
      return;
    case ConfigNode::Kind::kScalar:
      absl::StrAppend(out, " ", node.plain && IsBareWord(node.text) ? node.text : Quoted(node.text),
                      "\n");
      return;
    case ConfigNode::Kind::kMap:
      if (node.members.empty()) out->append(" {}");
      out->append(indent == 0 && out->empty() ? "" : "\n");
      for (const ConfigMember& member : node.members) {
        const bool bare = IsBareWord(member.key) && ResolvePlain(member.key).is_string();
        absl::StrAppend(out, margin, bare ? member.key : Quoted(member.key), ":");
        WriteYaml(member.value, indent + 2, out);
      }
      return;
    case ConfigNode::Kind::kList:
      break;
  }
  if (node.items.empty()) out->append(" []");
  out->append("\n");
  for (const ConfigNode& item : node.items) {
    absl::StrAppend(out, margin, "-");
    WriteYaml(item, indent + 2, out);
  }
}

// Where a scalar that begins at `begin` ends on its line; npos where that is not plain to see.
size_t EndOfScalar(std::string_view text, size_t begin) {
  const char quote = text[begin];
  const size_t line_end = std::min(text.find('\n', begin), text.size());
  if (quote == '\'' || quote == '"') {
    for (size_t i = begin + 1; i < line_end; ++i) {
      if (quote == '"' && text[i] == '\\') {
        ++i;
      } else if (text[i] == quote) {
        if (quote == '"' || i + 1 >= line_end || text[i + 1] != '\'') return i + 1;
        ++i;
      }
    }
    return std::string_view::npos;
  }
  size_t end = begin;
  while (end < line_end && std::string_view("#,]}").find(text[end]) == std::string_view::npos) {
    ++end;
  }
  while (end > begin && (text[end - 1] == ' ' || text[end - 1] == '\r')) --end;
  return end;
}

// Offsets of line starts.
std::vector<size_t> LineStarts(std::string_view text) {
  std::vector<size_t> starts = {0};
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\n') starts.push_back(i + 1);
  }
  return starts;
}

void CollectChanges(const ConfigNode& before, const ConfigNode& after,
                    std::map<Place, std::string>* changes) {
  if (before.is_scalar() && before.text != after.text) {
    (*changes)[{before.line, before.column}] = after.text;
  }
  for (size_t i = 0; i < before.members.size(); ++i) {
    CollectChanges(before.members[i].value, after.members[i].value, changes);
  }
  for (size_t i = 0; i < before.items.size(); ++i) {
    CollectChanges(before.items[i], after.items[i], changes);
  }
}

bool IsHiddenEverywhere(const ConfigNode& before, const ConfigNode& after, std::string_view text) {
  if (before.is_scalar() && before.text != after.text &&
      text.find(before.text) != std::string_view::npos) {
    return false;
  }
  for (size_t i = 0; i < before.members.size(); ++i) {
    if (!IsHiddenEverywhere(before.members[i].value, after.members[i].value, text)) return false;
  }
  for (size_t i = 0; i < before.items.size(); ++i) {
    if (!IsHiddenEverywhere(before.items[i], after.items[i], text)) return false;
  }
  return true;
}

// Puts the redacted values into the text. Best effort: the caller reads the result again.
std::string Splice(std::string_view text, const std::map<Place, std::string>& changes) {
  const std::vector<size_t> lines = LineStarts(text);
  std::string out;
  size_t copied = 0;
  for (const auto& [place, value] : changes) {
    if (place.first == 0 || place.first > lines.size() || place.second == 0) return "";
    const size_t begin = lines[place.first - 1] + place.second - 1;
    if (begin < copied || begin >= text.size()) return "";
    const size_t end = EndOfScalar(text, begin);
    if (end == std::string_view::npos) return "";
    out.append(text.substr(copied, begin - copied)).append(Quoted(value));
    copied = end;
  }
  return out.append(text.substr(copied));
}

void RedactValue(const ConfigNode& node, json* value) {
  if (node.is_scalar()) {
    if (node.secret) {
      *value = ShownSecret(node.reference);
    } else if (!node.reference.empty()) {
      *value = node.reference;
    } else if (value->is_string()) {
      *value = WithoutUserInfo(value->get<std::string>());
    }
    return;
  }
  for (const ConfigMember& member : node.members) {
    if (value->is_object() && value->contains(member.key)) {
      RedactValue(member.value, &(*value)[member.key]);
    }
  }
  for (size_t i = 0; i < node.items.size() && value->is_array() && i < value->size(); ++i) {
    RedactValue(node.items[i], &(*value)[i]);
  }
}

}  // namespace

std::string RedactYaml(std::string_view text, const ConfigNode& as_written,
                       const ConfigNode& checked) {
  std::set<Place> secrets;
  CollectSecrets(checked, &secrets);
  ConfigNode shown = as_written;
  Redact(secrets, &shown);
  std::map<Place, std::string> changes;
  CollectChanges(as_written, shown, &changes);
  std::string spliced = Splice(text, changes);
  ConfigNode again;
  Findings findings;
  // A copy of a secret in a comment, or a scalar over several lines, ends here.
  if (!spliced.empty() && ParseDocument(spliced, &again, &findings) && findings.empty() &&
      SameTree(again, shown) && IsHiddenEverywhere(as_written, shown, spliced)) {
    return spliced;
  }
  std::string written;
  WriteYaml(shown, 0, &written);
  return written;
}

std::string RedactJson(const ConfigNode& node, const json& value) {
  json shown = value;
  RedactValue(node, &shown);
  return shown.dump(-1, ' ', false, json::error_handler_t::replace);
}

void FindPlainSecrets(const ConfigNode& node, const std::string& pointer, Findings* findings) {
  if (node.broken) return;
  if (node.is_scalar() && node.text == kRedacted) {
    findings->Error(node, pointer, "redacted_value",
                    "this is the mark of a redacted secret: put the secret or a reference here");
  } else if (node.is_scalar() && node.secret && node.reference.empty() && !node.text.empty()) {
    findings->Warning(
        node.line, node.column, pointer, "plain_secret",
        absl::StrCat(pointer.substr(pointer.rfind('/') + 1),
                     ": secret in plain text, better \"file:/path\" (mode 0600) or ${NAME}"));
  }
  for (const ConfigMember& member : node.members) {
    FindPlainSecrets(member.value, ChildPointer(pointer, member.key, member.value), findings);
  }
  for (size_t i = 0; i < node.items.size(); ++i) {
    FindPlainSecrets(node.items[i], ChildPointer(pointer, absl::StrCat(i), node.items[i]),
                     findings);
  }
}

}  // namespace viaduct
