#include "core/plugin/instance_runner.h"

#include <algorithm>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "core/plugin/out_call_side.h"
#include "core/plugin/testing/instances_fixture.h"

namespace viaduct {
namespace {

using testing::Contains;

class InstanceRunnerTest : public InstancesFixture {
 protected:
  std::shared_ptr<InstanceRunner> MakeRunner(std::function<void(const InstanceInfo&)> on_change) {
    limits_.lane_timeout = kLong;
    InstanceRunner::Params params;
    params.limits = limits_;
    params.services = &services_;
    params.plugins = registry_.get();
    params.on_change = std::move(on_change);
    return std::make_shared<InstanceRunner>(Spec("a", "{}"), std::move(params));
  }
  static void Order(InstanceRunner* runner, const std::string& command) {
    CallRequest request;
    request.path = command;
    runner->current()->get()->out_call_side().Call(std::move(request), kLong, [](CallReply) {});
  }

  InstanceServices services_{&clock_, &log_, &metrics_, &health_, &application_};
};

// A thread of the plugin is held up while it tells of its health; the stop goes on meanwhile.
TEST_F(InstanceRunnerTest, ANewerStateIsNeverFollowedByAnOlder) {
  absl::Mutex mutex;
  bool told_health = false;
  bool stopping = false;
  std::vector<InstanceState> told;
  const auto runner = MakeRunner([&](const InstanceInfo& info) {
    if (info.state == InstanceState::kStarted && info.health == InstanceHealth::kDegraded) {
      absl::MutexLock lock(&mutex);
      told_health = true;
      mutex.AwaitWithTimeout(absl::Condition(&stopping), kLong);
    }
    absl::MutexLock lock(&mutex);
    told.push_back(info.state);
  });
  runner->Start().IgnoreError();
  Order(runner.get(), "degraded");
  {
    absl::MutexLock lock(&mutex);
    ASSERT_TRUE(mutex.AwaitWithTimeout(absl::Condition(&told_health), kLong));
  }
  std::thread stopper([&] { runner->Stop().IgnoreError(); });
  while (runner->info().state != InstanceState::kStopping) std::this_thread::yield();
  {
    absl::MutexLock lock(&mutex);
    EXPECT_THAT(told, testing::Not(Contains(InstanceState::kStopping))) << "not past the older one";
    stopping = true;
  }
  stopper.join();
  runner->Close(absl::ZeroDuration());
  absl::MutexLock lock(&mutex);
  EXPECT_EQ(told.back(), InstanceState::kStopped);
  const auto stopped = std::find(told.begin(), told.end(), InstanceState::kStopping);
  EXPECT_EQ(std::count(stopped, told.end(), InstanceState::kStarted), 0);
  EXPECT_FALSE(health_.Get("instance/a").ok()) << "nothing is told after Close";
}

}  // namespace
}  // namespace viaduct
