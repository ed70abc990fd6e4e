// One instance of the plugin under the test host, with every call guarded: an exception, a broken
// vd_error or a rule that is not kept fails the test.
#pragma once

#include <chrono>
#include <exception>
#include <memory>
#include <string>
#include <string_view>

#include "fixture.h"
#include "library.h"
#include "nlohmann/json.hpp"
#include "test_host.h"

namespace viaduct::check {

// The config of the command line with the schema's defaults. Skips the test where it does not fit.
nlohmann::json FittingConfig(Fixture& fixture, const Library& library);

// Calls `body`; an exception that comes out fails the test.
template <typename Body>
auto Guarded(Fixture& fixture, const char* function, const Body& body) {
  fixture.Phase(function);
  try {
    return body();
  } catch (const std::exception& exception) {
    fixture.Fail(std::string(function) + ": lets an exception out, " + exception.what());
  } catch (...) {
    fixture.Fail(std::string(function) + ": lets an exception out");
  }
}

// Lives on the test's thread.
class Subject {
 public:
  static constexpr uint32_t kMaxLanes = 4;  // How many lanes the tests use at most.

  Subject(Fixture& fixture, const Library& library, HostOptions options = {});
  ~Subject();  // Whatever the state is: stop and destroy as needed.

  // Each returns the plugin's code; error() tells more.
  int32_t Create();
  int32_t Configure(const nlohmann::json& config, bool with_error = true);
  int32_t Start();
  int32_t Drain(std::chrono::milliseconds limit);
  void Stop();
  void Destroy();

  // Created, configured and started, or the test has failed or was skipped (a start that is
  // VD_UNAVAILABLE: something outside is missing).
  void MustConfigure(const nlohmann::json& config);
  void MustStart(const nlohmann::json& config);

  // NULL where the plugin does not offer it.
  const void* Query(std::string_view id);
  template <typename Table>
  const Table* Find(std::string_view id) {
    return static_cast<const Table*>(Query(id));
  }
  // Skips the test where the plugin does not offer it.
  template <typename Table>
  const Table* Need(std::string_view id) {
    const Table* table = Find<Table>(id);
    if (table == nullptr) fixture_.Skip("does not offer " + std::string(id));
    return table;
  }

  // Runs `body` on a lane and waits for it.
  template <typename Body>
  void OnLane(uint32_t lane, const char* function, const Body& body) {
    host_.lane(lane).RunNow([&] { Guarded(fixture_, function, body); });
  }

  const vd_error& error() const { return error_.value; }
  std::string Describe(int32_t code) const;
  vd_instance* instance() const { return instance_; }
  TestHost& host() { return host_; }
  uint32_t lanes() const { return lanes_; }

 private:
  // A caller's vd_error with octets behind it that must stay as they are.
  struct GuardedError {
    vd_error value;
    uint64_t canary;
  };
  vd_error* FreshError();
  int32_t CheckError(const char* function, int32_t code);

  Fixture& fixture_;
  const vd_lifecycle_1& lifecycle_;
  const uint32_t lanes_;
  TestHost host_;
  GuardedError error_{};
  vd_instance* instance_ = nullptr;
  bool started_ = false;
};

}  // namespace viaduct::check
