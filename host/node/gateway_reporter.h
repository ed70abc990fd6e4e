// Tells the server how the roads of this node are, over these roads: the section "gateway.report".
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "core/base/clock.h"
#include "core/base/executor.h"
#include "core/base/executor_timer_queue.h"
#include "core/lpr/gateway_report.h"
#include "core/message/envelope.h"
#include "core/observe/log.h"
#include "core/spool/spool.h"

namespace viaduct {

// Makes a report every interval, and soon after a road went down, came back or is preferred to
// another. It is state, not history: while one waits in the spool no other is made, also one of an
// earlier run. Thread-safe. Timers, executor and spool must have been stopped when it is destroyed.
class GatewayReporter {
 public:
  static constexpr absl::Duration kLookEvery = absl::Seconds(1);
  // Between two reports, whatever happens; and between two looks into the spool.
  static constexpr absl::Duration kMinGap = absl::Seconds(5);
  // After one that the server has refused, so that they do not fill the spool as dead letters.
  static constexpr absl::Duration kAfterRefusal = absl::Hours(1);

  struct Deps {  // All outlive it.
    std::string node_id;
    const Clock* clock = nullptr;
    TimerQueue* timers = nullptr;
    Executor* executor = nullptr;
    Log* log = nullptr;
    Spool* spool = nullptr;
    std::function<GatewayReport()> roads;
    std::function<std::vector<FileReport>()> files;  // Reads the disk.
    // Hands a message to the node as a producer would.
    std::function<void(Envelope, std::function<void(absl::Status)>)> submit;
  };

  GatewayReporter(absl::Duration interval, Deps deps);

  // Looks each second; the first report comes after kMinGap.
  void Start();

 private:
  void Arm();
  void Look();
  // What a change of is told of at once.
  static std::string MarkOf(const GatewayReport& report);
  bool Waits() const;
  // The last one was refused, and is among the dead letters.
  bool Refused() const;
  // Only metered roads are ready, and nothing else went over one since the last report.
  bool CostsByItself(const GatewayReport& report) const;
  void Submit(GatewayReport report);

  const absl::Duration interval_;
  const Deps deps_;
  // Of the looks alone, which follow each other.
  int64_t next_ns_ = 0;         // Not before that.
  int64_t due_ns_ = 0;          // At the latest.
  int64_t told_ns_ = 0;         // When the last one was made.
  std::string told_id_;         // Of the message; "": none was made.
  std::string told_;            // MarkOf it.
  int64_t told_confirmed_ = 0;  // Over all roads, when it was made.
  int64_t own_ = 0;             // Of what was confirmed since: the report itself.
};

}  // namespace viaduct
