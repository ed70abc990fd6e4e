// A plugin as a C++ class. Exceptions never leave it: every function that the host calls is
// wrapped, an exception becomes VD_INTERNAL with its text, or, where the function returns nothing,
// fails the instance.
//
//   class Echo : public viaduct::sdk::Plugin, public viaduct::sdk::Deliver {
//    public:
//     using Plugin::Plugin;
//     Status Configure(const Config& config) override;
//     Status Start(uint32_t lanes) override;
//     void Stop() override;
//     ...
//   };
//   VIADUCT_PLUGIN(Echo, viaduct::sdk::Describe("echo", "1.0.0")
//                            .Summary("Sends everything back")
//                            .Licence("Apache-2.0")
//                            .Schema(kEchoSchema)
//                            .MaxLanes(4))
#pragma once

#include <string>
#include <string_view>

#include "viaduct/cpp/config.h"
#include "viaduct/cpp/host.h"
#include "viaduct/cpp/interfaces.h"
#include "viaduct/cpp/status.h"

namespace viaduct::sdk {

// One instance, from create to destroy. The functions here are called one at a time ([control]);
// those of the interfaces as interfaces.h says. The constructor does nothing but take memory.
class Plugin {
 public:
  Plugin(const Host& host, std::string_view name) : host_(host), name_(name) {}
  Plugin(const Plugin&) = delete;
  Plugin& operator=(const Plugin&) = delete;
  virtual ~Plugin() = default;

  // Reads and checks the config; opens nothing. Called once.
  virtual Status Configure(const Config& config) = 0;
  // Opens sockets and threads; does not wait for a peer. `lanes` is how many lanes will be used. A
  // Start that fails has undone everything, as Stop would.
  virtual Status Start(uint32_t lanes) = 0;
  // Takes no new work from peers and finishes what is in flight, until `deadline_ns` at the latest.
  virtual Status Drain(int64_t deadline_ns) {
    static_cast<void>(deadline_ns);
    return {};
  }
  // Returns only when no thread, timer, descriptor or call is left, having completed what it held
  // as Cancelled. No [lane] call is under way or comes.
  virtual void Stop() = 0;
  // False: this instance does not offer an interface that its class has, as its config makes it; a
  // listener only, say, has no "viaduct.deliver/1". Does not change after Configure.
  virtual bool Offers(std::string_view interface_id) const {
    static_cast<void>(interface_id);
    return true;
  }

  const Host& host() const { return host_; }
  const std::string& name() const { return name_; }

 private:
  const Host host_;
  const std::string name_;
};

}  // namespace viaduct::sdk

#include "viaduct/cpp/module.h"  // IWYU pragma: export
