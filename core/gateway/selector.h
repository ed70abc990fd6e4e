// Which link takes a message. Pure decisions over views; the dispatcher does everything else.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "absl/types/span.h"
#include "core/message/envelope.h"

namespace viaduct {

inline constexpr size_t kMaxLinks = 64;  // One bit each in SelectorMessage::tried.

struct SelectorMessage {
  size_t bytes = 0;
  DataType data_type = DataType::kDetection;
  Priority priority = Priority::kNormal;
  uint32_t attempts = 0;
  uint64_t tried = 0;  // Bit i: link i failed it since all links were last tried.
};

struct LinkView {
  std::string_view name;
  bool ready = false;  // Started, not draining, not pausing after failures.
  size_t room = 0;     // Messages it takes now.
  size_t in_flight = 0;
};

// Lives on the dispatcher's thread.
class Selector {
 public:
  static constexpr int kNone = -1;
  virtual ~Selector() = default;
  // Index into `links` of one that is ready and has room; kNone: not now. Called for every message,
  // must be quick.
  virtual int Pick(const SelectorMessage& message, absl::Span<const LinkView> links) = 0;
};

// The first in the configured order that has not failed this message; when all have, the first.
class ConfiguredOrderSelector final : public Selector {
 public:
  int Pick(const SelectorMessage& message, absl::Span<const LinkView> links) override;
};

}  // namespace viaduct
