// A publisher on a real broker, and what it has told.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "plugins/mqtt/publisher.h"
#include "plugins/mqtt/tests/real_broker.h"

namespace viaduct::mqtt {

class Road {
 public:
  Road(const RealBroker& broker, bool version_5, PublisherOptions options = {}) {
    const SessionOptions given = options.session;
    options.session = SessionOn(broker, "CAM1");
    options.session.version_5 = version_5;
    options.session.resolve = given.resolve;
    options.session.connect_timeout = given.connect_timeout;
    if (!given.broker.host.empty()) options.session.broker.host = given.broker.host;
    options.device_id = "CAM1";
    options.topic = "lpr/data/edge/CAM1";
    Publisher::Events events;
    events.on_done = [this](absl::Span<const DeliveryResult> results) {
      absl::MutexLock lock(&mutex_);
      results_.insert(results_.end(), results.begin(), results.end());
    };
    events.on_ready = [] {};
    events.on_ended = [this](const absl::Status& why) {
      absl::MutexLock lock(&mutex_);
      ended_ = why;
    };
    events.on_command = [this](const Command& command) {
      absl::MutexLock lock(&mutex_);
      commands_.emplace_back(command.ticket, std::string(command.arrival->payload));
      qos_of_last_command_ = command.arrival->qos;
      return absl::OkStatus();
    };
    events.wall_ns = [] { return int64_t{1705314600000000000}; };
    publisher = std::make_unique<Publisher>(options, std::move(events));
    EXPECT_TRUE(publisher->Start().ok());
    EXPECT_TRUE(Eventually([this] { return publisher->credit() > 0; }));
  }

  ~Road() { publisher.reset(); }  // Before what it tells.

  bool Take(uint64_t token, const std::string& id) {
    const bool taken = publisher->Take({token, id, R"({"message_id":")" + id + "\"}"});
    publisher->Flush();
    return taken;
  }
  std::vector<DeliveryResult> results() const {
    absl::MutexLock lock(&mutex_);
    return results_;
  }
  bool Ends(size_t count) {
    return Eventually([&] { return results().size() >= count; });
  }
  absl::Status ended() const {
    absl::MutexLock lock(&mutex_);
    return ended_;
  }
  std::vector<std::pair<uint64_t, std::string>> commands() const {
    absl::MutexLock lock(&mutex_);
    return commands_;
  }

  int qos_of_last_command() const {
    absl::MutexLock lock(&mutex_);
    return qos_of_last_command_;
  }

  std::unique_ptr<Publisher> publisher;

 private:
  mutable absl::Mutex mutex_;
  std::vector<DeliveryResult> results_ ABSL_GUARDED_BY(mutex_);
  absl::Status ended_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::pair<uint64_t, std::string>> commands_ ABSL_GUARDED_BY(mutex_);
  int qos_of_last_command_ ABSL_GUARDED_BY(mutex_) = -1;
};

}  // namespace viaduct::mqtt
