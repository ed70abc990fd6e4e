// A road that breaks the rules of viaduct.deliver/1 in one chosen way. It never says DURABLE for a
// message, so whatever it is given must reach the server by another road.
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "faulty_config_schema.h"
#include "viaduct/cpp/plugin.h"

namespace {

using viaduct::sdk::Code;
using viaduct::sdk::Config;
using viaduct::sdk::Describe;
using viaduct::sdk::MessageList;
using viaduct::sdk::Plugin;
using viaduct::sdk::Retry;
using viaduct::sdk::Status;
using viaduct::sdk::TokenList;

constexpr uint32_t kCredit = 64;
constexpr uint64_t kUnknownToken = UINT64_C(0xDEADBEEF00000000);

class Faulty final : public Plugin, public viaduct::sdk::Deliver {
 public:
  using Plugin::Plugin;

  Status Configure(const Config& config) override {
    VIADUCT_RETURN_IF_ERROR(config.Read("/fault", &fault_));
    return config.Read("/hang_ms", &hang_ms_);
  }
  Status Start(uint32_t) override {
    if (fault_ == "throw_start") throw std::runtime_error("thrown by start on purpose");
    if (fault_ == "hang_start") Hang();
    host().SetHealth(viaduct::sdk::Health::kHealthy);
    return {};
  }
  void Stop() override {
    if (fault_ == "hang_stop") Hang();
    std::vector<uint64_t> held;
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      held.swap(held_);
    }
    for (const uint64_t token : held) End(token);
  }

  uint32_t Credit(uint32_t) override {
    if (fault_ == "greedy") return UINT32_MAX;
    const std::lock_guard<std::mutex> lock(mutex_);
    return held_.size() >= kCredit ? 0 : kCredit - static_cast<uint32_t>(held_.size());
  }
  Status DeliverBatch(uint32_t, const MessageList& batch, size_t* taken) override {
    if (fault_ == "throw") throw std::runtime_error("thrown by deliver on purpose");
    if (fault_ == "fail_often") host().Fail(Code::kUnavailable, "failed on purpose");
    if (fault_ == "hang") Hang();
    *taken = batch.size();
    if (fault_ == "overtake") *taken += 7;  // More than was offered.
    for (size_t i = 0; i < batch.size(); ++i) Take(batch[i].token);
    return {};
  }
  void CancelDelivery(uint32_t, const TokenList& tokens) override {
    if (fault_ == "never") return;
    for (const uint64_t token : tokens) End(token);
  }

 private:
  void Hang() const { std::this_thread::sleep_for(std::chrono::milliseconds(hang_ms_)); }
  void End(uint64_t token) {
    const vd_completion completion = Retry(token, Code::kUnavailable, "a faulty road");
    host().Complete(completion);
  }
  void Take(uint64_t token) {
    if (fault_ == "never" || fault_ == "greedy") {
      const std::lock_guard<std::mutex> lock(mutex_);
      held_.push_back(token);
      return;
    }
    End(token);
    if (fault_ == "twice") End(token);
    if (fault_ == "unknown_tokens") End(token ^ kUnknownToken);
  }

  std::string fault_;
  int64_t hang_ms_ = 0;
  std::mutex mutex_;
  std::vector<uint64_t> held_;
};

}  // namespace

VIADUCT_PLUGIN(Faulty, Describe("faulty", "1.0.0")
                           .Summary("A road that breaks the rules, for tests")
                           .Licence("Apache-2.0")
                           .Schema(faulty_config_schema)
                           .MaxLanes(2))
