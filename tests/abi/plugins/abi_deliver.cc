// viaduct.deliver/1: ends messages on a thread of its own, each in another way.
#include <chrono>
#include <string>

#include "viaduct/cpp/plugin.h"
#include "work_thread.h"

namespace viaduct::abi_test {
namespace {

using sdk::Status;

constexpr size_t kWindow = 100;

struct Held {
  uint64_t token;
  std::string id;
  bool late;
};

class DeliverPlugin final : public sdk::Plugin, public sdk::Deliver {
 public:
  using Plugin::Plugin;

  Status Configure(const sdk::Config&) override {
    return host().AddHistogram("batch_messages", "Messages of a batch.", {1, 8, 32}, &batches_);
  }
  Status Start(uint32_t) override {
    thread_.Start();
    host().SetHealth(sdk::Health::kHealthy);
    return {};
  }
  Status Drain(int64_t deadline_ns) override {
    const std::chrono::nanoseconds left(deadline_ns - host().MonotonicNs());
    return thread_.AwaitIdle(left) ? Status() : sdk::DeadlineExceeded("abi_deliver: still busy");
  }
  void Stop() override {
    for (const Held& held : thread_.Stop()) host().Complete(sdk::Cancelled(held.token));
  }

  uint32_t Credit(uint32_t) override { return static_cast<uint32_t>(thread_.Room()); }
  Status DeliverBatch(uint32_t lane, const sdk::MessageList& batch, size_t* taken) override {
    for (const vd_message& message : batch) {
      const bool late = message.deadline_ns != 0 && message.deadline_ns < host().MonotonicNs();
      if (!thread_.Push({message.token, std::string(sdk::Text(message.message_id)), late})) break;
      ++*taken;
    }
    batches_.Observe(static_cast<double>(*taken));
    host().OnRoom(lane);
    return {};
  }
  void CancelDelivery(uint32_t, const sdk::TokenList&) override {}  // They end soon anyway.

 private:
  void End(const Held& held) {
    if (held.late) {
      host().Complete(sdk::Expired(held.token));
    } else if (held.token % 7 == 0) {
      host().Complete(sdk::Retry(held.token, sdk::Code::kUnavailable, held.id, 1000000));
    } else if (held.token % 11 == 0) {
      host().Complete(sdk::Reject(held.token, sdk::Code::kInvalidArgument, held.id));
    } else {
      host().Complete(sdk::Durable(held.token, held.token % 13 == 0));
    }
  }

  sdk::Metric batches_;
  WorkThread<Held> thread_{kWindow, [this](Held& held) { End(held); }};
};

}  // namespace
}  // namespace viaduct::abi_test

VIADUCT_PLUGIN(viaduct::abi_test::DeliverPlugin,
               viaduct::sdk::Describe("abi_deliver", "1.0.0")
                   .Summary("Ends messages on a thread of its own, each in another way")
                   .Licence("Apache-2.0")
                   .MaxLanes(4))
