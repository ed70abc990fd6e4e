// What this node does for its server: commands that come over a road.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "core/base/executor.h"
#include "core/base/executor_timer_queue.h"
#include "core/lpr/json_fields.h"
#include "core/lpr/replies.h"
#include "core/message/exchange.h"
#include "core/observe/health_tree.h"
#include "core/plugin/instances.h"
#include "core/spool/spool.h"
#include "host/node/command_memory.h"
#include "host/node/config_control.h"
#include "host/node/node_commands_json.h"
#include "viaduct/control/v1/node.pb.h"

namespace viaduct {

// Only what fleet.accept of the configuration names is carried out: nobody checks who the server
// is. Thread-safe.
class NodeCommands final : public CallHandler {
 public:
  // What would cut off the road that brought the command comes so long after the answer.
  static constexpr absl::Duration kAnswerFirst = absl::Milliseconds(500);
  // And is taken back, where nobody has confirmed it: who is cut off for good cannot mend it.
  static constexpr absl::Duration kConfirmAfterCut = absl::Minutes(5);
  static constexpr absl::Duration kProbeTimeout = absl::Seconds(5);
  static constexpr uint32_t kProbeBytes = 64;
  static constexpr size_t kMaxConfigBytes = 512u << 10;

  struct Deps {
    const Clock* clock = nullptr;
    ConfigControl* config = nullptr;
    Instances* instances = nullptr;
    HealthTree* health = nullptr;
    Spool* spool = nullptr;        // May be null.
    Executor* reads = nullptr;     // For what is soon done,
    Executor* commands = nullptr;  // for what waits for an instance,
    Executor* changes = nullptr;   // and for changes of the configuration.
    TimerQueue* timers = nullptr;
    std::function<control::v1::NodeInfo()> info;
    // What the server says of a file; null where this node does not wait for its word.
    std::function<void(const std::string& transfer_id, const std::string& status,
                       const std::string& sha256, const std::string& detail)>
        file_status;
    // Writes down a changing command: who, which, on what, and how it ended.
    std::function<void(const std::string& author, std::string_view command,
                       std::string_view subject, const absl::Status& status)>
        audit;
  };

  // Before the first command; what comes earlier is answered 503.
  void Begin(Deps deps);

  // The path is the command, the body its arguments, one object.
  void Handle(CallRequest request, ReplyFn reply) override;

 private:
  using Handler = void (NodeCommands::*)(const CallRequest& request, const JsonFields& arguments,
                                         ReplyFn reply);
  struct Entry {
    std::string_view name;
    Handler handler;
    bool changes;  // One that comes twice is carried out once.
  };
  using Work = std::function<absl::Status()>;
  struct Later {  // What is done after its answer.
    std::string author;
    DeferredCommand deferred;
  };
  static const Entry kEntries[];

  void GetStatus(const CallRequest& request, const JsonFields& arguments, ReplyFn reply);
  void GetHealth(const CallRequest& request, const JsonFields& arguments, ReplyFn reply);
  void TestConnection(const CallRequest& request, const JsonFields& arguments, ReplyFn reply);
  void RestartInstance(const CallRequest& request, const JsonFields& arguments, ReplyFn reply);
  void UpdateConfig(const CallRequest& request, const JsonFields& arguments, ReplyFn reply);
  void FileTransferStatus(const CallRequest& request, const JsonFields& arguments, ReplyFn reply);
  void ConfirmConfig(const CallRequest& request, const JsonFields& arguments, ReplyFn reply);

  // One of kEntries that this node has.
  bool IsKnown(const Entry& entry) const;
  CallReply Unknown(std::string_view name) const;
  CallReply NotAccepted(std::string_view name) const;
  bool IsAccepted(std::string_view name) const;
  // Answers 503 where the executor takes nothing more.
  static void RunOn(Executor* executor, const ReplyFn& reply, Task task);
  // The same work, once the answer has had time to leave. False: it will not be done.
  bool RunLater(Executor* executor, Later later, Work work);
  void EndDeferred(const Later& later, const absl::Status& status);
  std::optional<DeferredCommand> last_deferred() const;
  void ChangeNow(const RevisionStore::Proposal& proposal, const ReplyFn& reply);
  void ChangeLater(const ConfigControl::Planned& planned, const std::string& message_id,
                   RevisionStore::Proposal proposal, const ReplyFn& reply);
  absl::Status CheckBase(const RevisionStore::Proposal& proposal, uint64_t base) const;
  std::string Author(const CallRequest& request) const;

  Deps deps_;  // Set by Begin.
  bool begun_ = false;
  CommandMemory memory_;
  mutable absl::Mutex mutex_;
  std::optional<DeferredCommand> last_deferred_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace viaduct
