// One life of an instance: from create to destroy, or until it hangs and is given up.
#pragma once

#include <atomic>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "core/base/executor.h"
#include "core/base/executor_strand.h"
#include "core/config/config_view.h"
#include "core/plugin/call_gate.h"
#include "core/plugin/call_scope.h"
#include "core/plugin/call_watch.h"
#include "core/plugin/counters.h"
#include "core/plugin/instance.h"
#include "core/plugin/instance_services.h"
#include "core/plugin/plugin.h"
#include "core/plugin/plugin_tables.h"

namespace viaduct {

class DeliverSide;    // deliver_side.h
class FileSide;       // file_side.h
class FrameConsumer;  // frames.h
class HostSide;       // host_side.h
class InboundSide;    // inbound_side.h
class InferSide;      // infer_side.h
class LinkHandlers;   // link.h
class OutCallSide;    // out_call_side.h
class ProbeSide;      // probe_side.h
class SourceSide;     // source_side.h

enum class Phase : uint8_t {
  kNew,
  kCreated,
  kConfigured,
  kStarted,  // From the moment start is entered.
  kDraining,
  kStopping,
  kStopped,
  kHung,
};

// The control calls (Create to Destroy) are made by one thread at a time, in the order of
// lifecycle.h, and wait for the plugin within the limits. Everything else is thread-safe. Must be
// held in a shared_ptr: calls under way keep it alive.
//
// A call into the plugin that does not come back makes the incarnation hung: it is cut off from
// both sides, everything it held ends as cancelled, and its memory, its library and the thread
// inside it are left alone for the rest of the process.
class Incarnation final : public std::enable_shared_from_this<Incarnation> {
 public:
  // Told on any thread, possibly from inside the plugin; must not block and not call back.
  struct Events {
    std::function<void(InstanceHealth, std::string)> on_health;
    std::function<void(const Incarnation*, absl::Status)> on_fail;
  };
  struct Params {
    std::string name;
    std::shared_ptr<const Plugin> plugin;
    uint32_t lanes = 0;
    InstanceLimits limits;
    InstanceServices* services = nullptr;
    std::shared_ptr<Counters> counters;
    std::shared_ptr<LinkHandlers> handlers;
    std::shared_ptr<FrameConsumer> frames;
    Events events;
  };

  static std::shared_ptr<Incarnation> Make(Params params);
  struct Private {};  // Only Make can name a useful one: construction takes two steps.
  Incarnation(Private, Params params);
  ~Incarnation();
  Incarnation(const Incarnation&) = delete;
  Incarnation& operator=(const Incarnation&) = delete;

  absl::Status Create();
  absl::Status Configure(std::shared_ptr<const ConfigView> config);
  absl::Status Start();
  absl::Status Drain(absl::Duration limit);
  absl::Status Stop();
  // From any phase that is not hung; stops first where needed.
  absl::Status Destroy();
  // Gives up: `why` says what did not come back.
  void GiveUp(const absl::Status& why);
  bool hung() const { return phase() == Phase::kHung; }

  // For a watchdog that looks now and then, on one thread: a call into the plugin, but for those of
  // the life cycle, that has lasted for the lane's time-out. Also when it has been given up.
  CallWatch::Late LateCall(int64_t now_ns);

  // ---- for the sides ---------------------------------------------------------------------------
  Phase phase() const { return phase_.load(std::memory_order_acquire); }
  bool accepting() const { return phase() == Phase::kStarted || phase() == Phase::kDraining; }
  // Until start has returned.
  bool registering() const { return phase() <= Phase::kStarted && !start_returned_.load(); }
  bool answering() const { return accepting() || phase() == Phase::kStopping; }
  // True between the success of start and drain or stop: the host may bring work of its own.
  bool delivering() const { return delivering_.load(std::memory_order_acquire); }

  const std::string& name() const { return params_.name; }
  const Plugin& plugin() const { return *params_.plugin; }
  const InstanceLimits& limits() const { return params_.limits; }
  InstanceServices& services() const { return *params_.services; }
  Counters& counters() const { return *params_.counters; }
  const PluginTables& tables() const { return tables_; }
  vd_instance* instance() const { return instance_; }
  absl::Duration confirm_timeout() const { return confirm_timeout_; }  // Of a configured one.
  uint32_t lane_count() const { return static_cast<uint32_t>(lanes_.size()); }
  Strand& lane(uint32_t i) const { return *lanes_[i]; }
  CallGate& gate() { return gate_; }
  // For what may not run on the stack it came up on.
  ThreadPool& workers() { return workers_; }
  void CountRefused() { Counters::Add(&counters().refused, 1); }

  HostSide& host_side() const { return *host_side_; }
  DeliverSide& deliver_side() const { return *deliver_side_; }
  InboundSide& inbound_side() const { return *inbound_side_; }
  OutCallSide& out_call_side() const { return *out_call_side_; }
  FileSide& file_side() const { return *file_side_; }
  ProbeSide& probe_side() const { return *probe_side_; }
  SourceSide& source_side() const { return *source_side_; }
  InferSide& infer_side() const { return *infer_side_; }

  // Calls into the plugin: through the gate, never on a stack that came from a plugin, watched, and
  // with exceptions caught, which fail the instance. False: not called, or it threw.
  template <typename F>
  bool Enter(const char* what, F&& call) {
    if (CallScope::active()) return false;
    GatePass pass(&gate_);
    return pass && Watched(what, call);
  }
  // The same without the gate, for who has passed it.
  template <typename F>
  bool Watched(const char* what, F&& call) {
    const CallWatch::Call watched(&watch_, what, !workers_.IsCurrent());
    return Guarded(what, call);
  }
  // The same once more, for who is watched already or does not wait for ever.
  template <typename F>
  bool Guarded(const char* what, F&& call) {
    try {
      call();
      return true;
    } catch (const std::exception& error) {
      Threw(what, error.what());
    } catch (...) {
      Threw(what, "not a std::exception");
    }
    return false;
  }
  // Queues `call` for a lane, where it runs as with Enter. False: it will not run.
  bool PostToLane(uint32_t lane, const char* what, std::function<void()> call);

  void Health(InstanceHealth health, std::string reason);
  void Fail(absl::Status why);

  static bool IsHandle(const vd_host* host);
  // Whose handle it is; null for a pointer that is not one of ours and for one that was given up.
  static Incarnation* Of(const vd_host* host);

 private:
  struct Handle;
  void MakeSides();

  absl::Status Control(const char* what, absl::Duration limit, std::function<absl::Status()> call);
  absl::Status CallCreate();
  absl::Status CallConfigure(const std::shared_ptr<const ConfigView>& config);
  absl::Status CallQuery();
  absl::Status CloseGate(const char* after, absl::Duration limit);
  absl::Status EndWork();
  void EndItems();
  void Threw(const char* what, std::string_view text);

  Params params_;  // Fixed, but for the plugin, which goes with destroy.
  std::unique_ptr<Handle> handle_;
  std::atomic<Phase> phase_{Phase::kNew};
  std::atomic<bool> delivering_{false};
  std::atomic<bool> start_returned_{false};
  std::atomic<bool> failed_{false};  // Fail was called once.
  vd_instance* instance_ = nullptr;
  PluginTables tables_;  // Of a configured one.
  absl::Duration confirm_timeout_;
  CallGate gate_;
  CallWatch watch_;
  ThreadPool workers_;
  std::vector<std::shared_ptr<Strand>> lanes_;

  std::unique_ptr<HostSide> host_side_;
  std::unique_ptr<DeliverSide> deliver_side_;
  std::unique_ptr<InboundSide> inbound_side_;
  std::unique_ptr<OutCallSide> out_call_side_;
  std::unique_ptr<FileSide> file_side_;
  std::unique_ptr<ProbeSide> probe_side_;
  std::unique_ptr<SourceSide> source_side_;
  std::unique_ptr<InferSide> infer_side_;
};

// A call of a plugin on the host: finds the incarnation and marks the thread. `self` is null, and
// nothing may be done, when the handle is not one of ours or the incarnation has been given up.
class HostEntry {
 public:
  explicit HostEntry(const vd_host* host) : self(Incarnation::Of(host)) {}
  explicit operator bool() const { return self != nullptr; }
  Incarnation* operator->() const { return self; }
  Incarnation* const self;

 private:
  const CallScope scope_;
};

}  // namespace viaduct
