// The host side of viaduct.probe/1.
#pragma once

#include <cstdint>

#include "core/plugin/road_prober.h"
#include "core/plugin/ticket_table.h"
#include "viaduct/abi/abi.h"

namespace viaduct {

// Thread-safe.
class ProbeSide {
 public:
  explicit ProbeSide(Incarnation* owner);

  void Probe(absl::Duration limit, uint32_t payload_bytes, ProbeDoneFn done);
  void CancelAll();

  static const vd_host_probe_1* Table();

 private:
  static constexpr absl::Duration kGrace = absl::Milliseconds(200);  // For the plugin's own done.
  struct Waiting {
    ProbeDoneFn done;
    uint64_t timer = 0;
  };
  void Send(uint64_t ticket, uint32_t lane, uint32_t payload_bytes, int64_t deadline_ns);
  bool Finish(uint64_t ticket, ProbeResult result);
  static void OnDone(const vd_host* host, const vd_probe_result* result);

  Incarnation* const owner_;
  TicketTable<Waiting> waiting_;
};

}  // namespace viaduct
