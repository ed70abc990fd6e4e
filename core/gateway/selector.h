// Which link takes a message. Pure decisions over views; the dispatcher does everything else.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/types/span.h"
#include "core/gateway/link_model.h"
#include "core/gateway/link_quality.h"
#include "core/message/envelope.h"

namespace viaduct {

inline constexpr size_t kMaxLinks = 64;  // One bit each in SelectorMessage::tried.

struct SelectorMessage {
  size_t bytes = 0;
  DataType data_type = DataType::kDetection;
  Priority priority = Priority::kNormal;
  bool is_file = false;
  bool backlog = false;  // Has waited already: takes no more of a link than is left to the backlog.
  uint32_t attempts = 0;
  uint64_t tried = 0;  // Bit i: link i failed it since all links were last tried.
  int64_t now_ns = 0;  // Monotonic.
};

// Kinds of messages that may have a link each: by priority and size.
inline constexpr size_t kSizeClasses = 4;
inline constexpr size_t kMessageKinds = 3 * kSizeClasses;
size_t MessageKind(const SelectorMessage& message);
SelectorMessage SmallestOfKind(size_t kind);  // That is not empty.

struct LinkView {
  std::string_view name;
  std::string_view plugin;  // Of its instance: rules may name either.
  bool ready = false;       // Started, connected, not draining, not pausing after failures.
  size_t room = 0;          // Messages it takes now.
  size_t backlog_room = 0;  // Of these, of the backlog.
  size_t in_flight = 0;
  uint64_t in_flight_bytes = 0;
  LinkQuality quality = LinkQuality::kUnknown;
  double score = 0;                  // ConnectivityScore.
  const LinkModel* model = nullptr;  // Never null where a selector sees it.
  int64_t measured_ns = 0;           // When traffic or a probe last told something; 0: never.
  int64_t silent_ns = 0;             // It owes an answer and says nothing for so long.
  bool returning = false;            // Failed; the next message decides whether it works again.
  bool metered = false;
  double cost_per_mb = 0;  // In the operator's own unit.
};

// Why a link was taken or left, for people.
struct LinkVerdict {
  std::string link;
  bool eligible = false;
  double expected_ms =
      0;                // Until a confirmation, with what is under way; 0: the rule does not ask.
  double price_ms = 0;  // What the message's cost on this link counts for, as time.
  std::string why;
};

struct Explanation {
  std::string link;  // "" when none would take it now.
  std::string why;
  std::vector<LinkVerdict> links;  // In configured order.
};

struct Choice {
  static constexpr int kNone = -1;
  int link = kNone;  // Index of one that is ready and has room; kNone: not now.
  // For this message or this moment only, as when another is full: nothing has changed for others.
  bool momentary = false;
};

// Lives on the dispatcher's thread.
class Selector {
 public:
  virtual ~Selector() = default;
  // Called for every message, must be quick.
  virtual Choice Pick(const SelectorMessage& message, absl::Span<const LinkView> links) = 0;
  // What Pick would do, and why; changes nothing.
  virtual Explanation Explain(const SelectorMessage& message,
                              absl::Span<const LinkView> links) const = 0;
  // So many messages of the backlog at most can find a link now: more need not be claimed.
  virtual size_t RoomForBacklog(absl::Span<const LinkView> links) const;
  // What takes long on the link that was chosen may go over another one besides.
  virtual bool hedges() const { return false; }
};

bool HasRoom(const SelectorMessage& message, const LinkView& link);

// Ready, with room, and has not failed this message.
bool IsCandidate(const SelectorMessage& message, absl::Span<const LinkView> links, size_t index);

// The message again, as if no link had failed it, when every link that is ready has.
SelectorMessage WithFreshRound(const SelectorMessage& message, absl::Span<const LinkView> links);

// That link `pick` takes the message: verdicts for every link with what makes it no candidate
// (their `why` is "" for candidates), its name, and `why`; or, for Choice::kNone, that none takes
// it.
Explanation ExplanationOf(const SelectorMessage& message, absl::Span<const LinkView> links,
                          int pick, std::string why);

// The first in the configured order that has not failed this message; when all have, the first.
class ConfiguredOrderSelector final : public Selector {
 public:
  Choice Pick(const SelectorMessage& message, absl::Span<const LinkView> links) override;
  Explanation Explain(const SelectorMessage& message,
                      absl::Span<const LinkView> links) const override;
};

// Chooses as another does for messages of normal priority.
class EqualPrioritySelector final : public Selector {
 public:
  explicit EqualPrioritySelector(std::unique_ptr<Selector> selector)
      : selector_(std::move(selector)) {}
  Choice Pick(const SelectorMessage& message, absl::Span<const LinkView> links) override;
  Explanation Explain(const SelectorMessage& message,
                      absl::Span<const LinkView> links) const override;
  size_t RoomForBacklog(absl::Span<const LinkView> links) const override {
    return selector_->RoomForBacklog(links);
  }
  bool hedges() const override { return selector_->hedges(); }

 private:
  const std::unique_ptr<Selector> selector_;
};

}  // namespace viaduct
