// What tests of the dispatcher's decisions give it: links that do as they are told, and an outbox
// in memory that keeps the contract of the spool.
#pragma once

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/clock.h"
#include "core/gateway/link.h"
#include "core/gateway/outbox.h"

namespace viaduct {

// Keeps what it is given.
class ScriptedLink final : public Link {
 public:
  explicit ScriptedLink(std::string name) : name_(std::move(name)) {}
  std::string_view name() const override { return name_; }
  bool ready() const override { return is_ready; }
  size_t credit() const override { return room; }
  size_t Deliver(absl::Span<const OutboundMessage> batch) override {
    for (const OutboundMessage& message : batch) {
      tokens.push_back(message.token);
      ids.emplace_back(message.message_id);
    }
    return batch.size();
  }
  void SetHandlers(CompletionFn, ReadyFn) override {}

  bool is_ready = true;
  size_t room = 100;
  std::vector<uint64_t> tokens;
  std::vector<std::string> ids;

 private:
  const std::string name_;
};

// By priority; due ones, then live ones, then the backlog; in the order of their keys.
class ScriptedOutbox final : public Outbox {
 public:
  explicit ScriptedOutbox(const Clock* clock) : clock_(clock) {}

  struct Kind {
    Priority priority = Priority::kNormal;
    bool backlog = false;
    size_t bytes = 2;
  };
  void Put(int64_t key, const Kind& kind) { waiting_[key].kind = kind; }
  void Put(int64_t key) { Put(key, Kind()); }

  size_t Claim(const ClaimLimits& limits, std::vector<OutboxMessage>* out) override {
    size_t left[2] = {limits.live, limits.backlog};
    size_t count = 0;
    for (const Priority priority : {Priority::kHigh, Priority::kNormal, Priority::kLow}) {
      for (const Turn& turn : {Turn{true, false}, {false, false}, {true, true}, {false, true}}) {
        for (auto& [key, entry] : waiting_) {
          if (entry.kind.priority != priority || !IsTurnOf(turn, entry)) continue;
          if (entry.put_off && !limits.put_off) continue;
          size_t& of_kind = left[entry.kind.backlog ? 1 : 0];
          if (count == limits.messages || of_kind == 0) break;
          --of_kind;
          ++count;
          Take(key, &entry, out);
        }
      }
    }
    claims += count;
    return count;
  }

  void Settle(absl::Span<const Settlement> settlements) override {
    for (const Settlement& s : settlements) {
      settled.push_back(s);
      Entry& entry = waiting_[s.key];
      entry.claimed = false;
      entry.was_out = true;
      entry.put_off = s.kind == SettleKind::kRelease && s.delay_ns > 0;
      entry.due_ns = clock_->MonotonicNanos() + s.delay_ns;
      releases += s.kind == SettleKind::kRelease ? 1 : 0;
      entry.attempts += s.kind == SettleKind::kRelease ? 0 : 1;
      if (s.kind == SettleKind::kConfirmed || s.kind == SettleKind::kExpired) waiting_.erase(s.key);
    }
  }

  int64_t NextDueNanos() const override {
    int64_t due = kNever;
    for (const auto& [key, entry] : waiting_) {
      if (!entry.claimed && entry.was_out) due = std::min(due, entry.due_ns);
    }
    return due;
  }
  void SetReadyHandler(std::function<void()>) override {}

  size_t claims = 0;
  size_t releases = 0;
  std::vector<Settlement> settled;

 private:
  struct Entry {
    Kind kind;
    bool claimed = false;
    bool was_out = false;  // Given away before.
    bool put_off = false;  // And released with a delay.
    int64_t due_ns = 0;
    uint32_t attempts = 0;
  };
  struct Turn {
    bool was_out = false;
    bool backlog = false;
  };

  bool IsTurnOf(const Turn& turn, const Entry& entry) const {
    return !entry.claimed && entry.was_out == turn.was_out && entry.kind.backlog == turn.backlog &&
           entry.due_ns <= clock_->MonotonicNanos();
  }
  static void Take(int64_t key, Entry* entry, std::vector<OutboxMessage>* out) {
    entry->claimed = true;
    OutboxMessage message;
    message.key = key;
    message.message_id = absl::StrCat("m", key);
    message.envelope_json = std::string(entry->kind.bytes, ' ');
    message.priority = entry->kind.priority;
    message.backlog = entry->kind.backlog;
    message.attempts = entry->attempts;
    out->push_back(std::move(message));
  }

  const Clock* clock_;
  std::map<int64_t, Entry> waiting_;
};

}  // namespace viaduct
