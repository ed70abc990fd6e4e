#include "core/receive/incoming_parts.h"

#include "absl/strings/match.h"
#include "absl/strings/string_view.h"

namespace viaduct {
namespace {

constexpr absl::string_view kPartBegin = ".viaduct-";
constexpr absl::string_view kPartEnd = ".part";
constexpr absl::string_view kPartial = "/.viaduct-partial/";

bool IsPart(absl::string_view name) {
  const absl::string_view base = name.substr(name.rfind('/') + 1);
  return absl::StrContains(name, kPartial) ||
         (absl::StartsWith(base, kPartBegin) && absl::EndsWith(base, kPartEnd));
}

}  // namespace

size_t RemoveOldParts(const IncomingFolder& folder, absl::Time before) {
  const int64_t before_ns = absl::ToUnixNanos(before);
  size_t removed = 0;
  IncomingVisitor visitor;
  visitor.odd = [&](const IncomingEntry& entry) {
    const bool old = IsPart(entry.name) && entry.changed_ns < before_ns;
    if (old && folder.Remove(entry).ok()) ++removed;
  };
  folder.Scan("", visitor);
  return removed;
}

}  // namespace viaduct
