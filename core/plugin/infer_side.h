// The host side of viaduct.infer/1.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "core/plugin/frames.h"
#include "core/plugin/ticket_table.h"
#include "viaduct/abi/abi.h"

namespace viaduct {

// Thread-safe.
class InferSide {
 public:
  explicit InferSide(Incarnation* owner);

  // What the plugin says, less what is on its way to it.
  size_t Credit();
  absl::StatusOr<uint64_t> Infer(Frame frame, std::string options_json, InferDoneFn done);
  void Cancel(uint64_t ticket);
  void CancelAll();

  static const vd_host_infer_1* Table();

 private:
  static constexpr uint64_t kMaxCrops = 64;
  struct Waiting {
    InferDoneFn done;
    uint64_t timer = 0;
  };
  void Send(uint64_t ticket, uint32_t lane, const Frame& frame, const std::string& options);
  bool ArmExpiry(uint64_t ticket, int64_t deadline_ns);
  void Expire(uint64_t ticket);
  bool Finish(uint64_t ticket, InferResult result);
  bool ReadCrops(const vd_infer_result& theirs, InferResult* ours) const;
  uint32_t LaneOf(uint64_t ticket) const;
  static void OnDone(const vd_host* host, const vd_infer_result* result);

  Incarnation* const owner_;
  TicketTable<Waiting> waiting_;
  std::atomic<size_t> on_way_{0};  // Given to a lane; the plugin has not seen them yet.
};

}  // namespace viaduct
