// viaduct.probe/1: answers by a timer on its lane; every third probe finds no peer and waits for
// its deadline.
#include <algorithm>

#include "viaduct/cpp/plugin.h"

namespace viaduct::abi_test {
namespace {

using sdk::Status;

constexpr int64_t kRoundTripNs = 1000000;

// Everything but Stop happens on lane 0, and Stop when the lane is at rest: no lock.
class ProbePlugin final : public sdk::Plugin, public sdk::Prober {
 public:
  using Plugin::Plugin;

  Status Configure(const sdk::Config&) override { return {}; }
  Status Start(uint32_t) override { return {}; }
  void Stop() override {
    if (token_ != 0) End(VD_CANCELLED);
  }

  Status Probe(uint32_t lane, const vd_probe& probe) override {
    if (token_ != 0) return sdk::ResourceExhausted("abi_probe: one is under way");
    peer_answers_ = ++count_ % 3 != 0;
    begin_ns_ = host().MonotonicNs();
    const int64_t left = std::max<int64_t>(probe.deadline_ns - begin_ns_, 0);
    VIADUCT_RETURN_IF_ERROR(host().StartTimer<&ProbePlugin::OnTimer>(
        lane, peer_answers_ ? std::min(kRoundTripNs, left) : left, this, &timer_));
    token_ = probe.token;
    return {};
  }

 private:
  void OnTimer() { End(peer_answers_ ? VD_OK : VD_DEADLINE_EXCEEDED); }
  void End(int32_t code) {
    vd_probe_result result = sdk::Record<vd_probe_result>();
    result.token = token_;
    result.code = code;
    result.round_trip_ns = code == VD_OK ? host().MonotonicNs() - begin_ns_ : 0;
    result.bytes_sent = 64;
    token_ = 0;
    host().ProbeDone(result);
  }

  uint64_t count_ = 0;
  uint64_t token_ = 0;  // Of the probe under way, 0: none.
  uint64_t timer_ = 0;
  int64_t begin_ns_ = 0;
  bool peer_answers_ = false;
};

}  // namespace
}  // namespace viaduct::abi_test

VIADUCT_PLUGIN(viaduct::abi_test::ProbePlugin, viaduct::sdk::Describe("abi_probe", "1.0.0")
                                                   .Summary("Measures a road that is not there")
                                                   .Licence("Apache-2.0"))
