// Between the document's text and JSON values.
#include "core/config/schema_value.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "core/base/string_view.h"
#include "core/config/schema.h"

namespace viaduct {
namespace {

using nlohmann::json;

bool AllDigits(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return absl::ascii_isdigit(static_cast<unsigned char>(c));
  });
}

// [-+]? ( . digits | digits ( . digits? )? ) ( [eE] [-+]? digits )?
bool LooksLikeNumber(std::string_view text) {
  if (!text.empty() && (text[0] == '-' || text[0] == '+')) text.remove_prefix(1);
  const size_t exponent = text.find_first_of("eE");
  if (exponent != std::string_view::npos) {
    std::string_view digits = text.substr(exponent + 1);
    if (!digits.empty() && (digits[0] == '-' || digits[0] == '+')) digits.remove_prefix(1);
    if (!AllDigits(digits)) return false;
    text = text.substr(0, exponent);
  }
  const size_t point = text.find('.');
  if (point == std::string_view::npos) return AllDigits(text);
  const std::string_view before = text.substr(0, point);
  const std::string_view after = text.substr(point + 1);
  return (AllDigits(before) && (after.empty() || AllDigits(after))) ||
         (before.empty() && AllDigits(after));
}

bool ParseRadix(std::string_view digits, int radix, json* out) {
  uint64_t value = 0;
  if (digits.empty() || digits.size() > 16) return false;
  for (const char c : digits) {
    const auto byte = static_cast<unsigned char>(c);
    const int digit = absl::ascii_isdigit(byte)    ? c - '0'
                      : absl::ascii_isxdigit(byte) ? absl::ascii_tolower(byte) - 'a' + 10
                                                   : 99;
    if (digit >= radix) return false;
    value = value * static_cast<uint64_t>(radix) + static_cast<uint64_t>(digit);
  }
  *out = value;
  return true;
}

constexpr std::array<std::string_view, 11> kSecretEndings = {
    "password", "passwd",      "passphrase", "secret",       "_token",     "api_key",
    "apikey",   "private_key", "credential", "access_token", "credentials"};

bool IsSecretName(std::string_view key) {
  const std::string lower = absl::AsciiStrToLower(AbslView(key));
  if (lower == "token" || lower == "pass") return true;
  return std::any_of(kSecretEndings.begin(), kSecretEndings.end(), [&](std::string_view ending) {
    return lower.size() >= ending.size() &&
           lower.compare(lower.size() - ending.size(), ending.size(), ending) == 0;
  });
}

}  // namespace

json ResolvePlain(std::string_view text) {
  if (text.empty() || text == "~" || text == "null" || text == "Null" || text == "NULL") {
    return nullptr;
  }
  if (text == "true" || text == "True" || text == "TRUE") return true;
  if (text == "false" || text == "False" || text == "FALSE") return false;
  json radix;
  if (text.substr(0, 2) == "0x" && ParseRadix(text.substr(2), 16, &radix)) return radix;
  if (text.substr(0, 2) == "0o" && ParseRadix(text.substr(2), 8, &radix)) return radix;
  if (LooksLikeNumber(text)) {
    int64_t integer = 0;
    const bool whole = text.find_first_of(".eE") == std::string_view::npos;
    if (whole && absl::SimpleAtoi(AbslView(text), &integer)) return integer;
    uint64_t large = 0;
    if (whole && absl::SimpleAtoi(AbslView(text), &large)) return large;
    double number = 0;
    if (absl::SimpleAtod(AbslView(text), &number) && std::isfinite(number)) return number;
  }
  return std::string(text);
}

json PlainJson(const ConfigNode& node) {
  switch (node.kind) {
    case ConfigNode::Kind::kNull:
      return nullptr;
    case ConfigNode::Kind::kScalar:
      return node.plain ? ResolvePlain(node.text) : json(node.text);
    case ConfigNode::Kind::kList: {
      json list = json::array();
      for (const ConfigNode& item : node.items) list.push_back(PlainJson(item));
      return list;
    }
    case ConfigNode::Kind::kMap:
      break;
  }
  json object = json::object();
  for (const ConfigMember& member : node.members) object[member.key] = PlainJson(member.value);
  return object;
}

ConfigNode NodeFromJson(const json& value) {
  ConfigNode node;
  if (value.is_object()) {
    node.kind = ConfigNode::Kind::kMap;
    for (const auto& [key, member] : value.items()) node.Member(key) = NodeFromJson(member);
  } else if (value.is_array()) {
    node.kind = ConfigNode::Kind::kList;
    for (const json& item : value) node.items.push_back(NodeFromJson(item));
  } else if (!value.is_null()) {
    node.kind = ConfigNode::Kind::kScalar;
    node.plain = !value.is_string();
    node.text = value.is_string() ? value.get<std::string>()
                                  : value.dump(-1, ' ', false, json::error_handler_t::replace);
  }
  return node;
}

std::string Show(const ConfigNode& node) {
  if (node.is_map()) return "a section";
  if (node.is_list()) return "a list";
  if (node.is_null()) return "empty";
  if (node.secret) return "something else";
  // What a reference stands for is not for a report.
  const std::string_view text = node.reference.empty() ? node.text : node.reference;
  return absl::StrCat(node.plain ? "" : "the text ", ShowText(text));
}

std::string ShowText(std::string_view text) {
  constexpr size_t kMaxShown = 60;
  std::string out = "\"";
  for (size_t i = 0; i < std::min(text.size(), kMaxShown); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    out.push_back(byte < 0x20 || byte == 0x7F ? '?' : text[i]);
  }
  // Not in the middle of a character.
  while (text.size() > kMaxShown && (static_cast<unsigned char>(out.back()) & 0x80u) != 0) {
    out.pop_back();
  }
  if (text.size() > kMaxShown) out.append("...");
  out.push_back('"');
  const size_t scheme = out.find("://");
  const size_t at = scheme == std::string::npos ? scheme : out.find('@', scheme);
  if (at != std::string::npos) out.replace(scheme + 3, at - scheme - 3, "***");
  return out;
}

void MarkAllSecret(ConfigNode* node) {
  node->secret = true;
  for (ConfigMember& member : node->members) MarkAllSecret(&member.value);
  for (ConfigNode& item : node->items) MarkAllSecret(&item);
}

void MarkSecretsByName(ConfigNode* node) {
  for (ConfigMember& member : node->members) {
    if (IsSecretName(member.key)) {
      MarkAllSecret(&member.value);
    } else {
      MarkSecretsByName(&member.value);
    }
  }
  for (ConfigNode& item : node->items) MarkSecretsByName(&item);
}

}  // namespace viaduct
