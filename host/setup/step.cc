#include "host/setup/step.h"

#include <algorithm>
#include <array>
#include <utility>

namespace viaduct::setup {
namespace {

constexpr std::array<std::pair<StepKind, std::string_view>, 6> kNames = {{
    {StepKind::kGroup, "group"},
    {StepKind::kUser, "user"},
    {StepKind::kFolder, "folder"},
    {StepKind::kFile, "file"},
    {StepKind::kRole, "role"},
    {StepKind::kDatabase, "database"},
}};

}  // namespace

std::string_view KindName(StepKind kind) {
  for (const auto& [known, name] : kNames) {
    if (known == kind) return name;
  }
  return "unknown";
}

bool KindNamed(std::string_view name, StepKind* kind) {
  const auto found = std::find_if(kNames.begin(), kNames.end(),
                                  [name](const auto& known) { return known.second == name; });
  if (found == kNames.end()) return false;
  *kind = found->first;
  return true;
}

}  // namespace viaduct::setup
