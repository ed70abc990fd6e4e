// A set of instances of testbed.so, and what tests need to watch and steer them.
#pragma once

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "core/base/clock.h"
#include "core/observe/health_tree.h"
#include "core/observe/log.h"
#include "core/observe/metrics.h"
#include "core/plugin/instances.h"
#include "core/plugin/registry.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace viaduct {

constexpr absl::Duration kLong = absl::Seconds(30);

// Keeps what is written. Thread-safe.
class KeepingLog final : public Log {
 public:
  bool Enabled(LogLevel, std::string_view) const override { return true; }
  void Write(LogLevel, std::string_view component, std::string_view message,
             absl::Span<const LogField>) override {
    absl::MutexLock lock(&mutex_);
    text_ += std::string(component) + ": " + std::string(message) + "\n";
  }
  std::string text() const {
    absl::MutexLock lock(&mutex_);
    return text_;
  }

 private:
  mutable absl::Mutex mutex_;
  std::string text_ ABSL_GUARDED_BY(mutex_);
};

// The application of the tests: answers at once, later or not at all. Thread-safe.
class StubApplication final : public CallHandler {
 public:
  void Handle(CallRequest request, ReplyFn reply) override {
    {
      absl::MutexLock lock(&mutex_);
      requests_.push_back(request);
      if (holding_) {
        held_.push_back(std::move(reply));
        return;
      }
    }
    reply({200, {}, "answer to " + request.path});
  }
  void Hold(bool hold) {
    absl::MutexLock lock(&mutex_);
    holding_ = hold;
  }
  std::vector<ReplyFn> TakeHeld() {
    absl::MutexLock lock(&mutex_);
    return std::exchange(held_, {});
  }
  std::vector<CallRequest> requests() const {
    absl::MutexLock lock(&mutex_);
    return requests_;
  }

 private:
  mutable absl::Mutex mutex_;
  bool holding_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<ReplyFn> held_ ABSL_GUARDED_BY(mutex_);
  std::vector<CallRequest> requests_ ABSL_GUARDED_BY(mutex_);
};

// Delivers over a link and writes down how each message ended: D(urable), R(etry), J (reject),
// E(xpired), C(ancelled), in order of completion.
class Recorder {
 public:
  explicit Recorder(std::shared_ptr<Link> link) : link_(std::move(link)) {
    link_->SetHandlers(
        [this](absl::Span<const Completion> done) {
          absl::MutexLock lock(&mutex_);
          for (const Completion& completion : done) {
            ended_ += "DRJEC"[static_cast<int>(completion.outcome)];
            last_ = completion;
            tokens_.push_back(completion.token);
          }
        },
        [this] {
          absl::MutexLock lock(&mutex_);
          ++ready_;
        });
  }
  ~Recorder() { link_->SetHandlers(nullptr, nullptr); }

  size_t Deliver(size_t count) {
    std::vector<OutboundMessage> batch(count);
    for (OutboundMessage& message : batch) {
      message.token = next_token_++;
      message.message_id = "id";
      message.edge_device_id = "CAM001";
      message.envelope_json = "{\"payload\":{}}";
      message.payload_json = message.envelope_json.substr(11, 2);
    }
    return link_->Deliver(batch);
  }
  // The ends once there are `count`, or at the deadline what there is.
  std::string Await(size_t count) {
    absl::MutexLock lock(&mutex_);
    const auto enough = [this, count]()
                            ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return ended_.size() >= count; };
    mutex_.AwaitWithTimeout(absl::Condition(&enough), kLong);
    return ended_;
  }
  bool AwaitReady(int count) {
    absl::MutexLock lock(&mutex_);
    const auto enough = [this, count]()
                            ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return ready_ >= count; };
    return mutex_.AwaitWithTimeout(absl::Condition(&enough), kLong);
  }
  int ready() const {
    absl::MutexLock lock(&mutex_);
    return ready_;
  }
  Completion last() const {
    absl::MutexLock lock(&mutex_);
    return last_;
  }
  std::vector<uint64_t> tokens() const {
    absl::MutexLock lock(&mutex_);
    return tokens_;
  }

 private:
  const std::shared_ptr<Link> link_;
  uint64_t next_token_ = 100;
  mutable absl::Mutex mutex_;
  std::string ended_ ABSL_GUARDED_BY(mutex_);
  std::vector<uint64_t> tokens_ ABSL_GUARDED_BY(mutex_);
  Completion last_ ABSL_GUARDED_BY(mutex_);
  int ready_ ABSL_GUARDED_BY(mutex_) = 0;
};

class InstancesFixture : public testing::Test {
 protected:
  InstancesFixture() : health_(&clock_) {
    folder_ = std::filesystem::temp_directory_path() /
              absl::StrCat("viaduct-instances-", getpid(), "-",
                           testing::UnitTest::GetInstance()->current_test_info()->name());
    std::filesystem::create_directories(folder_);
    PluginRegistry::Options options;
    options.folders = {absl::StrCat(VIADUCT_TEST_PLUGINS, "/good")};
    options.cache_dir = (folder_ / "cache").string();
    registry_ = std::make_unique<PluginRegistry>(std::move(options), &log_);
    registry_->Scan();
    limits_.create_timeout = limits_.configure_timeout = kLong;
    limits_.start_timeout = limits_.stop_timeout = absl::Milliseconds(500);
    limits_.lane_timeout = absl::Milliseconds(500);
    Remake();
  }
  ~InstancesFixture() override {
    instances_.reset();
    std::filesystem::remove_all(folder_);
  }

  void Remake() {
    InstancesDeps deps;
    deps.plugins = registry_.get();
    deps.clock = &clock_;
    deps.log = &log_;
    deps.metrics = &metrics_;
    deps.health = &health_;
    deps.calls = &application_;
    InstancesOptions options;
    options.limits = limits_;
    options.on_fatal = [this](const std::string&, const absl::Status&) { fatal_.Notify(); };
    instances_ = std::make_unique<Instances>(deps, std::move(options));
  }

  static InstanceSpec Spec(const std::string& name, const std::string& json) {
    InstanceSpec spec;
    spec.name = name;
    spec.plugin = "testbed";
    spec.config = *ConfigView::FromJson(json);
    return spec;
  }
  void Boot(std::vector<InstanceSpec> specs) {
    instances_->Apply(std::move(specs), ApplyMode::kBoot);
    ASSERT_TRUE(instances_->AwaitSettled(kLong));
  }

  InstanceState State(const std::string& name) { return instances_->Get(name)->state; }
  std::string Reason(const std::string& name) {
    return std::string(instances_->Get(name)->reason.message());
  }
  // Waits until the instance looks like that.
  bool Await(const std::string& name, const std::function<bool(const InstanceInfo&)>& like) {
    const auto watch = *instances_->Watch();
    const absl::Time deadline = absl::Now() + kLong;
    while (true) {
      const auto event = watch->Next(deadline);
      if (!event.ok()) return false;
      if (event->info.name == name && like(event->info)) return true;
    }
  }

  // The spec of an instance that hangs at this place until the fifo is released.
  static InstanceSpec Hanging(const std::string& where, const std::string& fifo) {
    return Spec("h", absl::StrCat("{\"", where, R"(":"hang","fifo":")", fifo, "\"}"));
  }

  // Tells the testbed what to do, and what it answered.
  CallReply OrderReply(const std::string& name, const std::string& command, uint64_t number,
                       absl::Duration limit = kLong) {
    CallRequest request;
    request.path = command;
    request.body = absl::StrCat(number);
    const auto answered = std::make_shared<absl::Notification>();
    const auto answer = std::make_shared<CallReply>();
    instances_->Call(name, std::move(request), limit, [answered, answer](CallReply reply) {
      *answer = std::move(reply);
      answered->Notify();
    });
    answered->WaitForNotification();
    return *answer;
  }
  std::string Order(const std::string& name, const std::string& command, uint64_t number) {
    return OrderReply(name, command, number).body;
  }
  // Asks until the testbed has seen `text`.
  bool AwaitSeen(const std::string& name, const std::string& text) {
    const absl::Time deadline = absl::Now() + kLong;
    while (absl::Now() < deadline) {
      if (Order(name, "seen", 0).find(text) != std::string::npos) return true;
    }
    return false;
  }

  std::string MakeFifo(const std::string& name) {
    const std::string path = (folder_ / name).string();
    EXPECT_EQ(mkfifo(path.c_str(), 0600), 0);
    return path;
  }
  // Until a plugin hangs on the fifo.
  static void AwaitHang(const std::string& fifo) {
    kept_open_.push_back(open(fifo.c_str(), O_WRONLY | O_CLOEXEC));
  }
  // Lets a plugin go on that hangs on the fifo.
  static void Release(const std::string& fifo) {
    const int fd = open(fifo.c_str(), O_RDWR | O_CLOEXEC);
    EXPECT_EQ(write(fd, "12345678", 8), 8);
    kept_open_.push_back(fd);
  }

  std::filesystem::path folder_;
  SystemClock clock_;
  KeepingLog log_;
  Metrics metrics_;
  HealthTree health_;
  StubApplication application_;
  InstanceLimits limits_;
  absl::Notification fatal_;
  std::unique_ptr<PluginRegistry> registry_;
  std::unique_ptr<Instances> instances_;
  // Closing one would hang up on a plugin that has not come to reading yet.
  static inline std::vector<int> kept_open_;
};

}  // namespace viaduct
