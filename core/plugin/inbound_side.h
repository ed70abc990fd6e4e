// The host side of viaduct.submit/1 and of viaduct.call/1 from the plugin to the host: what peers
// say, on its way to the application and back.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/inlined_vector.h"
#include "absl/synchronization/mutex.h"
#include "core/message/exchange.h"
#include "viaduct/abi/abi.h"

namespace viaduct {

class Incarnation;

// Every taken message and call is answered exactly once, unless the instance stops first; answers
// that come after that find nothing and are dropped. Thread-safe.
class InboundSide {
 public:
  explicit InboundSide(Incarnation* owner);

  // Forgets whoever waits.
  void Drop();

  static const vd_host_submit_1* SubmitTable();
  static const vd_host_call_1* CallTable();

 private:
  struct Waiting {
    uint64_t ticket = 0;  // Tells a late answer from one to a token that is used again.
    uint64_t bytes = 0;
    uint32_t lane = 0;
  };
  using Table = absl::flat_hash_map<uint64_t, Waiting>;  // By the plugin's token.
  struct Done {
    uint64_t token = 0;
    CallReply reply;
  };
  struct Answered {
    uint64_t token = 0;
    uint64_t ticket = 0;
    CallReply reply;
  };

  int32_t Submit(uint32_t lane, const vd_inbound_list* batch, uint64_t* taken);
  bool SubmitOne(uint32_t lane, const vd_inbound& message);
  int32_t Call(const vd_call& call);
  // Enters a token: VD_OK, VD_RESOURCE_EXHAUSTED or VD_ALREADY_EXISTS.
  int32_t Admit(Table* table, size_t max, uint64_t token, uint64_t bytes, uint32_t lane,
                uint64_t* ticket);
  bool Leave(Table* table, uint64_t token, uint64_t ticket) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Ask(CallRequest request, ReplyFn reply);
  void FinishSubmit(uint64_t token, uint64_t ticket, CallReply reply);
  void FinishCall(uint64_t token, uint64_t ticket, CallReply reply);
  void FinishAnswered();
  void OffThePluginsStack(std::function<void(InboundSide*)> step);
  void SendReply(uint64_t token, const CallReply& reply);
  void Flush();
  void SendDone(const std::vector<Done>& done);
  void SendRoom(uint64_t lanes);

  static int32_t OnSubmit(const vd_host* host, uint32_t lane, const vd_inbound_list* batch,
                          uint64_t* taken);
  static int32_t OnCall(const vd_host* host, const vd_call* call);
  static void OnCancel(const vd_host* host, uint64_t token);
  static void OnReply(const vd_host* host, const vd_reply* reply);

  Incarnation* const owner_;
  absl::Mutex mutex_;
  Table submits_ ABSL_GUARDED_BY(mutex_);
  Table calls_ ABSL_GUARDED_BY(mutex_);
  uint64_t bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t next_ticket_ ABSL_GUARDED_BY(mutex_) = 1;
  uint64_t room_wanted_ ABSL_GUARDED_BY(mutex_) = 0;  // One bit a lane.
  std::vector<Done> done_ ABSL_GUARDED_BY(mutex_);
  bool flushing_ ABSL_GUARDED_BY(mutex_) = false;  // Somebody is in Flush or on the way there.
  std::vector<Answered> answered_ ABSL_GUARDED_BY(mutex_);  // While their plugin was calling.
  bool answering_ ABSL_GUARDED_BY(mutex_) = false;          // The same for FinishAnswered.
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace viaduct
