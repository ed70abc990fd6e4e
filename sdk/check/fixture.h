// What a conformance test is, and how it says its verdict. Every test runs in a process of its own:
// its first failure ends that process.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "nlohmann/json.hpp"

namespace viaduct::check {

enum class Level { kLoad, kLifecycle, kData };
const char* LevelName(Level level);

// The child's side of one test. Thread-safe: Fail and Skip may come from any thread and do not
// return.
class Fixture {
 public:
  Fixture(std::string plugin_path, nlohmann::json config, std::string peer_command, int result_fd)
      : plugin_path_(std::move(plugin_path)),
        config_(std::move(config)),
        peer_command_(std::move(peer_command)),
        result_fd_(result_fd) {}

  const std::string& plugin_path() const { return plugin_path_; }
  // The instance's config as given with --config, {} without.
  const nlohmann::json& config() const { return config_; }
  // A shell command that talks to the plugin as its peer, "" without --peer.
  const std::string& peer_command() const { return peer_command_; }

  // Where the test is, told with a time-out or a crash.
  void Phase(const std::string& what);
  [[noreturn]] void Fail(const std::string& why);
  // The test does not apply to this plugin or needs something that is not here.
  [[noreturn]] void Skip(const std::string& why);
  [[noreturn]] void Pass();

 private:
  void Tell(char kind, const std::string& text) const;

  const std::string plugin_path_;
  const nlohmann::json config_;
  const std::string peer_command_;
  const int result_fd_;
};

struct Test {
  const char* name;
  Level level;
  std::chrono::seconds limit;
  void (*run)(Fixture& fixture);  // Passes when it returns.
  const char* rule;               // What the ABI asks for, one line.
};

std::vector<Test> LoadTests();
std::vector<Test> LifecycleTests();
std::vector<Test> DeliverTests();
std::vector<Test> TrafficTests();  // submit, call
std::vector<Test> JobTests();      // file, probe, source, infer

}  // namespace viaduct::check
