// What pages show of the node, and have it do: core/lpr's NodeDesk.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>

#include "absl/time/time.h"
#include "core/base/clock.h"
#include "core/base/executor.h"
#include "core/lpr/node_desk.h"
#include "core/observe/alerts.h"
#include "core/observe/log.h"
#include "core/transfer/transfers.h"
#include "host/node/alert_marks.h"
#include "host/node/config_control.h"
#include "host/node/gateway_facts.h"

namespace viaduct {

// Thread-safe. The pools must have been stopped when it is destroyed.
class Desk final : public NodeDesk {
 public:
  static constexpr size_t kMaxRevisions = 100;  // That are shown.

  struct Deps {  // All outlive it.
    std::string node_id;
    const Clock* clock = nullptr;
    Log* log = nullptr;
    const GatewayFacts* gateway = nullptr;
    Transfers* transfers = nullptr;  // May be null.
    const Alerts* alerts = nullptr;
    AlertMarks* marks = nullptr;
    ConfigControl* config = nullptr;
    Executor* reads = nullptr;     // Reading files and the like.
    Executor* commands = nullptr;  // Waits for plugins.
    Executor* changes = nullptr;   // Of the configuration, in order.
    // Somebody has seen to an alert; must return at once.
    std::function<void(const Alert&, const AlertMark&)> marked;
  };

  // Before the first call.
  void Begin(Deps deps) { deps_ = std::move(deps); }

  void ShowLinks(ReplyFn reply) override;
  void ShowTransfers(int limit, std::string cursor, ReplyFn reply) override;
  void ShowAlerts(ReplyFn reply) override;
  void Acknowledge(std::string alert_id, std::string by, std::string note, ReplyFn reply) override;
  // desk_config.cc
  void ShowConfig(ReplyFn reply) override;
  void PlanConfig(std::string yaml, ReplyFn reply) override;
  void ApplyConfig(Apply apply, ReplyFn reply) override;
  void ConfirmConfig(std::optional<uint64_t> revision, ReplyFn reply) override;
  void RollBackConfig(uint64_t revision, std::string author, ReplyFn reply) override;

  // An alert was cleared: its mark is no other's. Returns at once.
  void OnCleared(const Alert& alert);

 private:
  static void RunOn(Executor* executor, ReplyFn reply, std::function<CallReply()> work);
  std::optional<Alert> FindAlert(const std::string& id) const;
  CallReply Mark(const std::string& alert_id, AlertMark mark);
  CallReply Applied(const ConfigControl::Outcome& outcome) const;

  Deps deps_;  // Does not change any more.
};

}  // namespace viaduct
