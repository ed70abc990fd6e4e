// Links between pairs of network namespaces: a TUN device at each end, and between them a shaper
// for each direction. Steered by the commands of link_commands.h.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "core/base/descriptor.h"
#include "tests/support/control_socket.h"
#include "tests/support/link_commands.h"
#include "tests/support/link_shaper.h"

namespace viaduct::support {

// Lives on the thread that calls Run.
class LinkEmulator {
 public:
  // `seed` decides every loss and jitter; that of the configuration is not looked at.
  LinkEmulator(EmulatorConfig config, uint64_t seed);

  // Opens devices and the control socket and reads the timeline. INVALID_ARGUMENT: the timeline is
  // wrong; others: the machine does not let us.
  absl::Status Open();
  // Moves packets until SIGTERM or SIGINT, which must be blocked already.
  void Run();
  // What the command `stats` answers.
  std::string Stats() const;

 private:
  struct Link {
    std::string name;
    LinkSettings settings;
    std::unique_ptr<Descriptor> ends[2];
    std::unique_ptr<LinkShaper> shapers[2];  // By direction: from that end to the other one.
    PacketCount refused[2];                  // The device of the far end did not take it.
  };

  std::string Answer(std::string_view line);
  absl::Status Obey(const LinkCommand& command);
  absl::Status Play(const std::string& path);
  void PlayDue(int64_t now);
  void ReadEnd(Link& link, Direction from);
  void WriteDue(Link& link, Direction from, int64_t now);
  absl::Status Watch(int fd, uint64_t tag);
  void SetTimer(int64_t now);
  void Turn();

  const EmulatorConfig config_;
  const uint64_t seed_;
  std::vector<Link> links_;
  std::vector<TimelineEntry> timeline_;
  size_t played_ = 0;
  int64_t timeline_start_ns_ = 0;
  ControlSocket control_;
  const Descriptor epoll_;
  const Descriptor timer_;
  const Descriptor signals_;
  bool quit_ = false;
};

}  // namespace viaduct::support
