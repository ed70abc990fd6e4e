// The interfaces that a plugin may implement. A plugin class derives from those it offers; the
// header of each in viaduct/abi/ is the contract. Records are borrowed until the call returns.
//
// Functions that the ABI tags [lane] are called one at a time per lane, lanes in parallel; those
// tagged [any] from any thread. None may block.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "viaduct/cpp/status.h"
#include "viaduct/cpp/text.h"

namespace viaduct::sdk {

// viaduct.deliver/1: messages from the host to a peer.
class Deliver {
 public:
  // [any] How many more messages the instance would take now on this lane.
  virtual uint32_t Credit(uint32_t lane) = 0;
  // [lane] Takes the first `*taken` of `batch` (0 at the call). Each of them ends with exactly one
  // Host::Complete, which may come before this returns. An error: none was taken.
  virtual Status DeliverBatch(uint32_t lane, const MessageList& batch, size_t* taken) = 0;
  // [lane] Let go of these soon, as Cancelled, where that is still possible.
  virtual void CancelDelivery(uint32_t lane, const TokenList& tokens) = 0;

 protected:
  ~Deliver() = default;
};

// viaduct.publish/1: the same functions, of a listener that publishes to its subscribers. A class
// that is both has Plugin::Offers say which of the two an instance is.
class Publish : public Deliver {
 protected:
  ~Publish() = default;
};

// viaduct.submit/1: messages from a peer to the host, begun with Host::Submit.
class SubmitHandler {
 public:
  // [any] How taken messages ended. DURABLE: acknowledge to the peer now.
  virtual void OnSubmitDone(const CompletionList& completions) = 0;
  // [any] The host would take messages again on this lane.
  virtual void OnSubmitRoom(uint32_t lane) = 0;

 protected:
  ~SubmitHandler() = default;
};

// viaduct.call/1: requests with replies, in both directions.
class CallHandler {
 public:
  // [any] The answer to Host::Call.
  virtual void OnReply(const vd_reply& reply) = 0;
  // [lane] A call of the host to a peer, answered later with Host::Reply unless this fails.
  virtual Status OnCall(uint32_t lane, const vd_call& call) {
    static_cast<void>(lane);
    static_cast<void>(call);
    return Unimplemented("call: this plugin takes none");
  }
  // [lane] The host no longer waits for the answer.
  virtual void OnCallCancel(uint32_t lane, uint64_t token) {
    static_cast<void>(lane);
    static_cast<void>(token);
  }

 protected:
  ~CallHandler() = default;
};

// viaduct.file/1: one file on its way.
class FileMover {
 public:
  // [any] How many more transfers the instance would take now.
  virtual uint32_t FileCredit() = 0;
  // [lane] Begins a transfer; it ends with exactly one Host::FileDone unless this fails.
  virtual Status BeginFile(uint32_t lane, const vd_file_job& job) = 0;
  // [lane] End it soon, as cancelled, keeping what is durable.
  virtual void CancelFile(uint32_t lane, uint64_t token) = 0;

 protected:
  ~FileMover() = default;
};

// viaduct.discard/1, beside viaduct.file/1: what is left of files that nobody will go on with.
class FileDiscarder {
 public:
  // [lane] Remove what is unfinished of it on the other side, soon; nobody is told how that ended.
  virtual Status DiscardFile(uint32_t lane, const vd_leftover& leftover) = 0;

 protected:
  ~FileDiscarder() = default;
};

// viaduct.probe/1: measuring the road.
class Prober {
 public:
  // [lane] Measures once; ends with one Host::ProbeDone, at its deadline at the latest, unless this
  // fails.
  virtual Status Probe(uint32_t lane, const vd_probe& probe) = 0;

 protected:
  ~Prober() = default;
};

// viaduct.source/1: frames from a camera, begun with Host::PushFrame.
class FrameSource {
 public:
  // [any] How many frames the host will take before it must see room again.
  virtual void OnFrameRoom(uint32_t frames) = 0;
  // [any] A pushed frame has ended (VD_OUTCOME_...).
  virtual void OnFrameDone(uint64_t ticket, uint32_t outcome) = 0;

 protected:
  ~FrameSource() = default;
};

// viaduct.infer/1: frames in, results out.
class Inferer {
 public:
  // [any] How many more frames the instance would take now.
  virtual uint32_t InferCredit() = 0;
  // [lane] Ends with one Host::InferDone unless this fails. `options` is a JSON object or "".
  virtual Status Infer(uint32_t lane, uint64_t ticket, const vd_frame& frame,
                       std::string_view options) = 0;
  // [lane] The result is no longer wanted.
  virtual void CancelInfer(uint32_t lane, uint64_t ticket) = 0;

 protected:
  ~Inferer() = default;
};

}  // namespace viaduct::sdk
