#include "core/gateway/selector.h"

#include <string>
#include <utility>

namespace viaduct {
namespace {

constexpr double kMsPerSecond = 1e3;
// Each class is below its limit, the last one has none.
constexpr size_t kSizeLimits[kSizeClasses - 1] = {1u << 10, 10'000, 1u << 20};

std::string WhyNot(const SelectorMessage& message, const LinkView& link, size_t index) {
  if (!link.ready) return "not ready";
  if (link.room == 0) return "full";
  if (!HasRoom(message, link)) return "leaves no room to the backlog now";
  return (message.tried >> index & 1) != 0 ? "has failed this message" : "";
}

std::vector<LinkVerdict> VerdictsOf(const SelectorMessage& message,
                                    absl::Span<const LinkView> links) {
  std::vector<LinkVerdict> verdicts;
  verdicts.reserve(links.size());
  for (size_t i = 0; i < links.size(); ++i) {
    LinkVerdict verdict;
    verdict.link = std::string(links[i].name);
    verdict.eligible = IsCandidate(message, links, i);
    verdict.expected_ms =
        links[i].model == nullptr
            ? 0
            : links[i].model->ExpectedSeconds(message.bytes + links[i].in_flight_bytes) *
                  kMsPerSecond;
    verdict.why = WhyNot(message, links[i], i);
    verdicts.push_back(std::move(verdict));
  }
  return verdicts;
}

}  // namespace

size_t MessageKind(const SelectorMessage& message) {
  size_t size = 0;
  while (size < kSizeClasses - 1 && message.bytes >= kSizeLimits[size]) ++size;
  return static_cast<size_t>(message.priority) * kSizeClasses + size;
}

SelectorMessage SmallestOfKind(size_t kind) {
  const size_t size = kind % kSizeClasses;
  SelectorMessage message;
  message.priority = static_cast<Priority>(kind / kSizeClasses);
  message.bytes = size == 0 ? 1 : kSizeLimits[size - 1];
  return message;
}

bool HasRoom(const SelectorMessage& message, const LinkView& link) {
  return link.room > 0 && (!message.backlog || link.backlog_room > 0);
}

bool IsCandidate(const SelectorMessage& message, absl::Span<const LinkView> links, size_t index) {
  return links[index].ready && HasRoom(message, links[index]) && (message.tried >> index & 1) == 0;
}

SelectorMessage WithFreshRound(const SelectorMessage& message, absl::Span<const LinkView> links) {
  SelectorMessage fresh = message;
  for (size_t i = 0; i < links.size(); ++i) {
    if (IsCandidate(message, links, i)) return fresh;
  }
  fresh.tried = 0;
  return fresh;
}

Explanation ExplanationOf(const SelectorMessage& message, absl::Span<const LinkView> links,
                          int pick, std::string why) {
  Explanation out;
  out.links = VerdictsOf(message, links);
  if (pick == Choice::kNone) {
    out.why = "no link can take it now";
  } else {
    out.link = std::string(links[static_cast<size_t>(pick)].name);
    out.why = std::move(why);
  }
  return out;
}

size_t Selector::RoomForBacklog(absl::Span<const LinkView> links) const {
  size_t room = 0;
  for (const LinkView& link : links) room += link.backlog_room;
  return room;
}

Choice ConfiguredOrderSelector::Pick(const SelectorMessage& message,
                                     absl::Span<const LinkView> links) {
  const SelectorMessage round = WithFreshRound(message, links);
  Choice choice;
  for (size_t i = 0; i < links.size(); ++i) {
    if (IsCandidate(round, links, i)) {
      choice.link = static_cast<int>(i);
      break;
    }
    choice.momentary = choice.momentary || links[i].ready;
  }
  return choice;
}

Explanation ConfiguredOrderSelector::Explain(const SelectorMessage& message,
                                             absl::Span<const LinkView> links) const {
  const SelectorMessage round = WithFreshRound(message, links);
  int first = Choice::kNone;
  for (size_t i = links.size(); i-- > 0;) {
    if (IsCandidate(round, links, i)) first = static_cast<int>(i);
  }
  return ExplanationOf(round, links, first, "the first of the configuration that can take it");
}

Choice EqualPrioritySelector::Pick(const SelectorMessage& message,
                                   absl::Span<const LinkView> links) {
  SelectorMessage equal = message;
  equal.priority = Priority::kNormal;
  return selector_->Pick(equal, links);
}

Explanation EqualPrioritySelector::Explain(const SelectorMessage& message,
                                           absl::Span<const LinkView> links) const {
  SelectorMessage equal = message;
  equal.priority = Priority::kNormal;
  return selector_->Explain(equal, links);
}

}  // namespace viaduct
