// viaduct.submit/1: hands over messages from a lane, stops when there is no room, sends again what
// ends with RETRY.
#include <algorithm>
#include <array>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <string>
#include <vector>

#include "viaduct/cpp/plugin.h"

namespace viaduct::abi_test {
namespace {

using sdk::Status;

constexpr uint64_t kMessages = 300;
constexpr size_t kBatch = 16;
constexpr char kContent[] = R"({"plate":"ABC123"})";

class SubmitPlugin final : public sdk::Plugin, public sdk::SubmitHandler {
 public:
  using Plugin::Plugin;

  Status Configure(const sdk::Config&) override { return {}; }
  Status Start(uint32_t) override {
    if (!host().has_submit()) return sdk::FailedPrecondition("abi_submit: the host takes nothing");
    for (uint64_t token = 1; token <= kMessages; ++token) waiting_.push_back(token);
    return host().Post<&SubmitPlugin::Send>(0, this);
  }
  Status Drain(int64_t deadline_ns) override {
    const std::chrono::nanoseconds left(deadline_ns - host().MonotonicNs());
    std::unique_lock<std::mutex> lock(mutex_);
    draining_ = true;
    if (idle_.wait_for(lock, left, [this] { return in_flight_ == 0; })) return {};
    return sdk::DeadlineExceeded("abi_submit: not everything is answered");
  }
  void Stop() override {}

  void OnSubmitDone(const sdk::CompletionList& completions) override {
    bool again = false;
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      for (const vd_completion& completion : completions) {
        --in_flight_;
        if (completion.outcome != VD_OUTCOME_RETRY || draining_) continue;
        waiting_.push_back(completion.token);
        again = true;
      }
      idle_.notify_all();
    }
    // Not here: this is the host's thread.
    if (again) static_cast<void>(host().Post<&SubmitPlugin::Send>(0, this));
  }
  void OnSubmitRoom(uint32_t lane) override {
    static_cast<void>(host().Post<&SubmitPlugin::Send>(lane, this));
  }

 private:
  // On lane 0.
  void Send() {
    for (;;) {
      const std::vector<uint64_t> tokens = Take();
      if (tokens.empty()) return;
      std::vector<vd_inbound> batch;
      const std::array<vd_attr, 1> credentials = {sdk::Attr("api_key", "secret")};
      for (const uint64_t token : tokens) {
        vd_inbound inbound = sdk::Record<vd_inbound>();
        inbound.token = token;
        inbound.route = sdk::Str("/api/detection");
        inbound.content = sdk::Octets(kContent);
        inbound.peer = sdk::Str("192.0.2.7:51234");
        inbound.credentials = credentials.data();
        inbound.credential_count = credentials.size();
        batch.push_back(inbound);
      }
      size_t taken = 0;
      const Status status = host().Submit(0, batch.data(), batch.size(), &taken);
      Return(tokens, taken);
      if (!status.ok() || taken < tokens.size()) return;  // Until there is room.
    }
  }
  std::vector<uint64_t> Take() {
    const std::lock_guard<std::mutex> lock(mutex_);
    std::vector<uint64_t> tokens;
    while (!draining_ && !waiting_.empty() && tokens.size() < kBatch) {
      tokens.push_back(waiting_.front());
      waiting_.pop_front();
    }
    in_flight_ += tokens.size();  // Before the answer can come.
    return tokens;
  }
  void Return(const std::vector<uint64_t>& tokens, size_t taken) {
    const std::lock_guard<std::mutex> lock(mutex_);
    in_flight_ -= tokens.size() - taken;
    waiting_.insert(waiting_.begin(), tokens.begin() + static_cast<std::ptrdiff_t>(taken),
                    tokens.end());
    idle_.notify_all();
  }

  std::mutex mutex_;
  std::condition_variable idle_;
  std::deque<uint64_t> waiting_;
  size_t in_flight_ = 0;
  bool draining_ = false;
};

}  // namespace
}  // namespace viaduct::abi_test

VIADUCT_PLUGIN(viaduct::abi_test::SubmitPlugin,
               viaduct::sdk::Describe("abi_submit", "1.0.0")
                   .Summary("Hands over messages as fast as the host has room")
                   .Licence("Apache-2.0"))
