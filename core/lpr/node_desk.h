// What pages show of the node beside what is stored, and have it do: the host does it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "absl/time/time.h"
#include "core/message/exchange.h"

namespace viaduct {

// Thread-safe. Every call returns at once; `reply` is called once, on any thread, with the answer
// of docs/API.md. Who may ask has been looked at before.
class NodeDesk {
 public:
  struct Apply {
    std::string yaml;
    absl::Duration confirm_within = absl::ZeroDuration();  // Zero: it needs no confirmation.
    std::string author;
  };

  virtual ~NodeDesk() = default;
  virtual void ShowLinks(ReplyFn reply) = 0;
  virtual void ShowTransfers(int limit, std::string cursor, ReplyFn reply) = 0;
  virtual void ShowAlerts(ReplyFn reply) = 0;
  virtual void Acknowledge(std::string alert_id, std::string by, std::string note,
                           ReplyFn reply) = 0;
  virtual void ShowConfig(ReplyFn reply) = 0;
  virtual void PlanConfig(std::string yaml, ReplyFn reply) = 0;
  virtual void ApplyConfig(Apply apply, ReplyFn reply) = 0;
  virtual void ConfirmConfig(std::optional<uint64_t> revision, ReplyFn reply) = 0;  // None: newest.
  virtual void RollBackConfig(uint64_t revision, std::string author, ReplyFn reply) = 0;
};

}  // namespace viaduct
