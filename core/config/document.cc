#include "core/config/document.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"

namespace viaduct {

const ConfigNode* ConfigNode::Find(std::string_view key) const {
  for (const ConfigMember& member : members) {
    if (member.key == key) return &member.value;
  }
  return nullptr;
}

ConfigNode* ConfigNode::Find(std::string_view key) {
  // NOLINTNEXTLINE(cppcoreguidelines-pro-type-const-cast): *this is not const.
  return const_cast<ConfigNode*>(std::as_const(*this).Find(key));
}

ConfigNode& ConfigNode::Member(std::string_view key) {
  if (ConfigNode* found = Find(key)) return *found;
  ConfigMember member;
  member.key = std::string(key);
  member.line = member.value.line = line;
  member.column = member.value.column = column;
  kind = Kind::kMap;
  members.push_back(std::move(member));
  return members.back().value;
}

std::string EscapePointer(std::string_view key) {
  std::string out;
  for (const char c : key) {
    if (c == '~') {
      out.append("~0");
    } else if (c == '/') {
      out.append("~1");
    } else {
      out.push_back(c);
    }
  }
  return out;
}

std::string ChildPointer(const std::string& parent, std::string_view key, const ConfigNode& child) {
  return child.origin.empty() ? absl::StrCat(parent, "/", EscapePointer(key)) : child.origin;
}

void Findings::Add(Finding finding) {
  if (finding.severity == FindingSeverity::kError) ++errors_;
  // The bound is on memory; the last one says that there are more.
  if (all_.size() > kMaxFindings) return;
  if (all_.size() == kMaxFindings) {
    finding.code = "too_many";
    finding.text = absl::StrCat("more than ", kMaxFindings, " mistakes, the rest is not shown");
    finding.pointer.clear();
  }
  all_.push_back(std::move(finding));
}

void Findings::Error(uint32_t line, uint32_t column, std::string pointer, std::string_view code,
                     std::string text) {
  Add({FindingSeverity::kError, "", std::move(pointer), std::string(code), std::move(text), "",
       line, column});
}

void Findings::Warning(uint32_t line, uint32_t column, std::string pointer, std::string_view code,
                       std::string text) {
  Add({FindingSeverity::kWarning, "", std::move(pointer), std::string(code), std::move(text), "",
       line, column});
}

void Findings::Append(Findings other) {
  for (Finding& finding : other.all_) Add(std::move(finding));
}

void Findings::SetInstance(const std::string& name) {
  for (Finding& finding : all_) finding.instance = name;
}

bool Findings::Has(std::string_view code) const {
  return std::any_of(all_.begin(), all_.end(),
                     [&](const Finding& finding) { return finding.code == code; });
}

std::vector<Finding> Findings::Finish(std::string_view file) && {
  const auto order = [](const Finding& f) {
    return std::tie(f.line, f.column, f.code, f.text, f.pointer);
  };
  std::stable_sort(all_.begin(), all_.end(),
                   [&](const Finding& a, const Finding& b) { return order(a) < order(b); });
  // An anchor used twice makes each mistake below it twice.
  const auto same_place = [](const Finding& a, const Finding& b) {
    return a.line != 0 && a.line == b.line && a.column == b.column && a.code == b.code &&
           a.text == b.text;
  };
  all_.erase(std::unique(all_.begin(), all_.end(), same_place), all_.end());
  for (Finding& finding : all_) finding.file = std::string(file);
  return std::move(all_);
}

}  // namespace viaduct
