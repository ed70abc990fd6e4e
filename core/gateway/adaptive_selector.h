// The default choice: the link on which this message is expected to be confirmed soonest, learnt
// from what each link did with messages before; weighed with what it costs, and steady.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "core/gateway/selector.h"

namespace viaduct {

// One link is preferred for each priority and class of size. It changes at once when it can take
// nothing, back when it can again and is no worse, and otherwise only for one that is clearly
// better, and not often. While the preferred link is so loaded or so silent that another would
// confirm clearly sooner, messages spill over to that one. One ordinary message at a time goes over
// a link that never confirmed any, over one that failed and may work again, and now and then over
// one of which nothing was heard for long.
class AdaptiveSelector final : public Selector {
 public:
  struct Options {
    double better = 0.8;   // Another is better when it is expected to take at most this share,
    double better_ms = 5;  // and so much less; and by what was confirmed over minutes this share
    double lasting_better = 0.9;  // at most, though it be as slow as the few of them allow;
    // unless it is expected to take less than this one: what is heavy-tailed misleads for a while.
    double much_better = 1.0 / 3;
    double spill = 0.6;                    // The same for one message that spills over.
    int64_t dwell_ns = 30'000'000'000;     // From one change for the better to the next.
    int64_t settle_ns = 2'000'000'000;     // And since the last one that had to be.
    int64_t explore_ns = 30'000'000'000;   // A link of which nothing was heard so long is tried.
    int64_t explore_new_ns = 500'000'000;  // Between tries of links that never confirmed any.
    uint32_t explore_every = 20;  // Of the messages at most, for links of which little is known.
    double silence = 2;           // A link that says nothing for so many times what was expected,
    double silence_ms = 20;       // and so much more, will go on saying nothing for as long again.
    size_t explore_bytes = 64u << 10;  // With a message of at most this size.
    double cost_ms = 1'000;     // What one unit of `cost_per_mb` counts for, at normal priority.
    double metered_ms = 2'000;  // What a metered link counts for, at normal priority.
    double low_priority = 10;  // Both, times this, at low priority; high priority asks for neither.
  };

  explicit AdaptiveSelector(Options options) : options_(options) {}
  AdaptiveSelector() : AdaptiveSelector(Options()) {}

  Choice Pick(const SelectorMessage& message, absl::Span<const LinkView> links) override;
  Explanation Explain(const SelectorMessage& message,
                      absl::Span<const LinkView> links) const override;
  size_t RoomForBacklog(absl::Span<const LinkView> links) const override;
  bool hedges() const override { return true; }

 private:
  enum class Why : uint8_t { kNone, kBest, kPreferred, kUnavailable, kSpill, kExplore };

  struct Preference {
    std::string link;
    int64_t since_ns = 0;
    int64_t chosen_ns = 0;  // Last changed for the better; 0: never.
    std::string left;       // Of necessity, for this one; "": none.
  };
  struct Decision {
    int link = Choice::kNone;
    Why why = Why::kNone;
    bool changes = false;  // The preference becomes `link`.
  };
  struct Costs {
    double idle_ms = 0;     // Of the message, were nothing under way.
    double loaded_ms = 0;   // Behind what is under way, and after the silence.
    double usual_ms = 0;    // Behind what usually is on the preferred link.
    double lasting_ms = 0;  // The same by the last minutes.
  };
  // What a link usually has under way, and what that costs on it.
  struct Load {
    uint64_t bytes = 0;
    double quick_ms = 0;
    double lasting_ms = 0;
  };

  static std::string Reason(Why why, const std::string& preferred);
  double PriceMs(const SelectorMessage& message, const LinkView& link) const;
  // The highest price that the message pays.
  double MostMs(const SelectorMessage& message, absl::Span<const LinkView> links) const;
  SelectorMessage RoundOf(const SelectorMessage& message, double most_ms,
                          absl::Span<const LinkView> links) const;
  static Load LoadOf(const SelectorMessage& message, const LinkView& link);
  Costs CostsOf(const SelectorMessage& message, const LinkView& link, const Load& load) const;
  int ToExplore(const SelectorMessage& message, absl::Span<const LinkView> links,
                int preferred) const;
  bool MayExplore(const SelectorMessage& message, const LinkView& link) const;
  static bool IsNoWorse(const Costs& left, const Costs& present);
  // `model`: of the best.
  bool IsWorthAChange(const SelectorMessage& message, const LinkModel& model, const Costs& best,
                      const Costs& present) const;
  bool MayChange(const SelectorMessage& message, const Preference& preference) const;
  Decision Decide(const SelectorMessage& message, double most_ms,
                  absl::Span<const LinkView> links) const;

  const Options options_;
  std::array<Preference, kMessageKinds> preferences_;
  int64_t explored_ns_ = 0;
  uint32_t since_explored_ = 0;  // Messages.
};

}  // namespace viaduct
