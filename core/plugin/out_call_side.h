// The host side of viaduct.call/1 from the host to a peer behind the plugin.
#pragma once

#include <cstdint>
#include <memory>

#include "absl/time/time.h"
#include "core/message/exchange.h"
#include "core/plugin/ticket_table.h"
#include "viaduct/abi/abi.h"

namespace viaduct {

class Incarnation;

// Thread-safe.
class OutCallSide {
 public:
  explicit OutCallSide(Incarnation* owner);

  // `reply` is called exactly once: with the peer's answer, or with 404 (no such peer), 501 (the
  // plugin takes no calls), 503 (not now, too many, or the instance stops: the peer has not got
  // it), 502 (the instance stopped when the peer may have got it) or 504 (`limit`).
  void Call(CallRequest request, absl::Duration limit, ReplyFn reply);
  void Reply(const vd_reply& reply);  // From the plugin.
  void CancelAll();

 private:
  struct Waiting {
    ReplyFn reply;
    uint64_t timer = 0;
    bool sent = false;  // The plugin has it.
  };
  void Send(uint64_t ticket, uint32_t lane, const CallRequest& request, int64_t deadline_ns);
  void Expire(uint64_t ticket, uint32_t lane);
  bool Finish(uint64_t ticket, CallReply reply);

  Incarnation* const owner_;
  TicketTable<Waiting> waiting_;
};

}  // namespace viaduct
