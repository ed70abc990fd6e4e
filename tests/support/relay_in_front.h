// The relay of the fault tests, on a thread.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdint>
#include <string>
#include <thread>

#include "absl/strings/match.h"
#include "tests/support/relay.h"

namespace viaduct::support {

class RelayInFront {
 public:
  explicit RelayInFront(int target) : relay_(OptionsFor(target)) {
    EXPECT_TRUE(relay_.Listen().ok());
    EXPECT_EQ(pipe(commands_), 0);
    EXPECT_EQ(pipe(answers_), 0);
    thread_ = std::thread([this] { relay_.Run(commands_[0], answers_[1]); });
  }
  ~RelayInFront() {
    Say("quit");
    thread_.join();
    for (const int fd : {commands_[0], commands_[1], answers_[0], answers_[1]}) close(fd);
  }
  RelayInFront(const RelayInFront&) = delete;
  RelayInFront& operator=(const RelayInFront&) = delete;

  int port() const { return relay_.port(); }
  // The answer.
  std::string Say(const std::string& command) {
    const std::string line = command + "\n";
    EXPECT_EQ(write(commands_[1], line.data(), line.size()), static_cast<ssize_t>(line.size()));
    std::string answer;
    if (command == "quit") return answer;
    char c = 0;
    while (read(answers_[0], &c, 1) == 1 && c != '\n') answer += c;
    EXPECT_TRUE(absl::StartsWith(answer, "ok") || command == "stats") << command << ": " << answer;
    return answer;
  }

 private:
  static RelayOptions OptionsFor(int target) {
    RelayOptions options;
    options.target_port = static_cast<uint16_t>(target);
    return options;
  }
  Relay relay_;
  int commands_[2] = {-1, -1};
  int answers_[2] = {-1, -1};
  std::thread thread_;
};

}  // namespace viaduct::support
