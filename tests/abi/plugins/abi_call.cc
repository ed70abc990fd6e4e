// viaduct.call/1 in both directions: asks the host from a thread, keeps replies' buffers, takes
// calls and answers them on a lane later.
#include <array>
#include <atomic>
#include <deque>
#include <mutex>
#include <string>
#include <vector>

#include "viaduct/cpp/plugin.h"
#include "work_thread.h"

namespace viaduct::abi_test {
namespace {

using sdk::Status;

constexpr uint64_t kCalls = 200;
constexpr size_t kKept = 16;
constexpr int64_t kReplyDelayNs = 200000;

class CallPlugin final : public sdk::Plugin, public sdk::CallHandler {
 public:
  using Plugin::Plugin;

  Status Configure(const sdk::Config&) override { return {}; }
  Status Start(uint32_t) override {
    if (!host().has_call()) return sdk::FailedPrecondition("abi_call: the host answers nothing");
    asking_.Start();
    for (uint64_t token = 1; token <= kCalls; ++token) asking_.Push(token);
    return {};
  }
  void Stop() override {
    asking_.Stop();
    const std::lock_guard<std::mutex> lock(mutex_);
    kept_.clear();
    taken_.clear();  // What is not answered yet stays so: the host has begun to stop.
  }

  void OnReply(const vd_reply& reply) override {
    // A body in a buffer may be kept, any other is copied.
    sdk::Buffer body = reply.buffer != nullptr
                           ? sdk::Buffer::Share(reply.buffer)
                           : sdk::Buffer::Wrap(std::string(sdk::Text(reply.body)));
    const std::lock_guard<std::mutex> lock(mutex_);
    kept_.push_back(std::move(body));
    if (kept_.size() > kKept) kept_.pop_front();
  }
  Status OnCall(uint32_t lane, const vd_call& call) override {
    if (sdk::Text(call.peer) != "CAM001") return sdk::NotFound("abi_call: no such peer");
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      taken_.push_back({call.token, std::string(sdk::Text(call.body))});
    }
    uint64_t timer = 0;
    return host().StartTimer<&CallPlugin::Answer>(lane, kReplyDelayNs, this, &timer);
  }
  void OnCallCancel(uint32_t, uint64_t) override {}  // The answer comes soon anyway.

 private:
  struct Taken {
    uint64_t token;
    std::string body;
  };

  void Ask(uint64_t token) {
    const std::array<vd_attr, 2> attributes = {sdk::Attr("content-type", "application/json"),
                                               sdk::Attr("x-request-id", "1")};
    vd_call call = sdk::Record<vd_call>();
    call.token = token;
    call.protocol = sdk::Str("http");
    call.method = sdk::Str("GET");
    call.path = sdk::Str("/api/status");
    call.peer = sdk::Str("192.0.2.7:51234");
    call.attributes = attributes.data();
    call.attribute_count = attributes.size();
    if (host().Call(call).ok() && token % 9 == 0) host().CancelCall(token);
  }
  void Answer() {
    Taken next;
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      if (taken_.empty()) return;
      next = std::move(taken_.front());
      taken_.pop_front();
    }
    const sdk::Buffer body = sdk::Buffer::Wrap(std::move(next.body));
    vd_reply reply = sdk::Record<vd_reply>();
    reply.token = next.token;
    reply.status = 200;
    reply.body = sdk::Octets(body.text());
    reply.buffer = body.raw();
    host().Reply(reply);
  }

  std::mutex mutex_;
  std::deque<sdk::Buffer> kept_;
  std::deque<Taken> taken_;
  WorkThread<uint64_t> asking_{kCalls, [this](uint64_t token) { Ask(token); }};
};

}  // namespace
}  // namespace viaduct::abi_test

VIADUCT_PLUGIN(viaduct::abi_test::CallPlugin, viaduct::sdk::Describe("abi_call", "1.0.0")
                                                  .Summary("Asks the host and answers it")
                                                  .Licence("Apache-2.0")
                                                  .MaxLanes(2))
