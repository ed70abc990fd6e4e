// A real rsync daemon, as deploy/rsyncd has it, with mounts and users of its own; needs root.
#pragma once

#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "plugins/rsync/tests/real_server.h"

namespace viaduct::rsync {

class RealDaemon {
 public:
  static constexpr gid_t kNodeGroup = 59002;

  RealDaemon() {
    const std::string viaduct = folder_ / "srv/viaduct";
    std::filesystem::permissions(folder_.path(), std::filesystem::perms(0755));
    std::filesystem::create_directories(incoming());
    EXPECT_EQ(chown(incoming().c_str(), kEdge, kEdge), 0);
    std::filesystem::copy("deploy/rsyncd/rsyncd.d", viaduct + "/rsyncd.d");
    WriteFile(viaduct + "/rsyncd.secrets", "cam001:right\ncam002:other\n");
    std::filesystem::permissions(viaduct + "/rsyncd.secrets", std::filesystem::perms(0600));
    port_ = FreePort();
    Start();
  }
  ~RealDaemon() { Stop(); }
  RealDaemon(const RealDaemon&) = delete;
  RealDaemon& operator=(const RealDaemon&) = delete;

  int port() const { return port_; }
  std::string incoming() const { return folder_ / "srv/viaduct/edge/cam001/incoming"; }
  std::string log() const { return ReadFile(folder_ / "log"); }
  ClientOptions Options() const {
    ClientOptions options;
    options.server.daemon = true;
    options.server.host = "127.0.0.1";
    options.server.port = port_;
    options.server.user = "cam001";
    options.server.password = "right";
    options.server.remote_path = "cam001";
    return options;
  }

  // One that runs goes on.
  void Start() {
    if (pid_ > 0) return;
    const std::string conf = std::filesystem::absolute("deploy/rsyncd/rsyncd.conf");
    pid_ = fork();
    if (pid_ == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);  // Also when a test is cut off.
      EnterOwnMounts();
      umask(0007);  // As rsync-service.conf has it.
      execl(kRsyncProgram, kRsyncProgram, "--daemon", "--no-detach", "--address=127.0.0.1",
            absl::StrCat("--port=", port_).c_str(), absl::StrCat("--config=", conf).c_str(),
            absl::StrCat("--log-file=", folder_ / "log").c_str(), nullptr);
      _exit(127);
    }
    ASSERT_TRUE(Eventually([this] { return Listens(port_); })) << log();
  }
  // kill -9 of the daemon and of what serves its connections.
  void Stop() {
    if (pid_ <= 0) return;
    const std::vector<pid_t> below = support::DescendantsOf(pid_);
    kill(pid_, SIGKILL);
    waitpid(std::exchange(pid_, -1), nullptr, 0);
    for (const pid_t pid : below) kill(pid, SIGKILL);
  }

 private:
  static constexpr int kEdge = 59001;

  void EnterOwnMounts() const {
    if (unshare(CLONE_NEWNS) != 0) return;
    mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr);
    mount("tmpfs", "/run", "tmpfs", 0, "mode=755");
    mount((folder_ / "srv").c_str(), "/srv", nullptr, MS_BIND, nullptr);
    for (const auto& [name, line] :
         {std::pair<std::string, std::string>{"passwd", ":x:59001:59001::/:/bin/sh\n"},
          {"group", absl::StrCat(":x:59001:\nviaduct:x:", kNodeGroup, ":\n")}}) {
      WriteFile("/run/" + name, "viaduct-edge" + line + ReadFile("/etc/" + name));
      mount(("/run/" + name).c_str(), ("/etc/" + name).c_str(), nullptr, MS_BIND, nullptr);
    }
  }

  TestFolder folder_;
  int port_ = 0;
  pid_t pid_ = -1;
};

}  // namespace viaduct::rsync
