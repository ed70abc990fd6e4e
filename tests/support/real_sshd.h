// A real sshd on a free port in a temporary folder, with mounts and users of its own.
#pragma once

#include <gtest/gtest.h>
#include <pwd.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/support/test_folder.h"

namespace viaduct::support {

inline constexpr char kSshd[] = "/usr/sbin/sshd";

// One that exists for this server only; needs root.
struct SshdUser {
  std::string name;
  std::string group;
  std::string password_hash;  // As crypt has it.
  int id = 0;
};

// What it has for itself; needs root.
struct SshdWorld {
  std::vector<SshdUser> users;
  int disk_mib = 0;  // Of incoming(); 0: as large as the machine's.
};

// All processes that come from `of`, directly or not.
inline std::vector<pid_t> DescendantsOf(pid_t of) {
  std::multimap<pid_t, pid_t> children;
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    const pid_t pid = std::atoi(entry.path().filename().c_str());
    if (pid <= 0) continue;
    const std::string stat = ReadFile(entry.path() / "stat");
    const size_t end = stat.rfind(')');
    if (end != std::string::npos) children.emplace(std::atoi(stat.c_str() + end + 4), pid);
  }
  std::vector<pid_t> out = {of};
  for (size_t i = 0; i < out.size(); ++i) {
    const auto [begin, end] = children.equal_range(out[i]);
    for (auto it = begin; it != end; ++it) out.push_back(it->second);
  }
  out.erase(out.begin());
  return out;
}

class RealSshd {
 public:
  using User = SshdUser;
  using World = SshdWorld;
  // `more` are further lines of its configuration, the last ones.
  explicit RealSshd(std::string more = "", std::string subsystem = "internal-sftp",
                    World world = World())
      : more_(std::move(more)), subsystem_(std::move(subsystem)), world_(std::move(world)) {
    std::filesystem::permissions(folder_.path(), std::filesystem::perms(0755));
    std::filesystem::create_directory(folder_ / "srv");
    MakeKey("host");
    MakeKey("user");
    WriteFile(folder_ / "authorized_keys", ReadFile(folder_ / "user.pub"));
    std::filesystem::create_directory(incoming());
    port_ = FreePort();
    TrustHostKey();
    Start();
  }
  ~RealSshd() { Stop(); }
  RealSshd(const RealSshd&) = delete;
  RealSshd& operator=(const RealSshd&) = delete;

  int port() const { return port_; }
  std::string incoming() const { return folder_ / "incoming"; }
  // The machine's /srv for this server.
  std::string srv() const { return folder_ / "srv"; }
  // A path as the server's own mounts have it.
  std::string Inside(const std::string& path) const {
    return absl::StrCat("/proc/", pid_, "/root", path);
  }
  const TestFolder& folder() const { return folder_; }
  pid_t pid() const { return pid_; }
  // Who may come with the key <folder>/user.
  static std::string user() { return getpwuid(geteuid())->pw_name; }

  void MakeKey(const std::string& name, const std::string& passphrase = "") {
    std::filesystem::remove(folder_ / name);
    RunCommand(
        absl::StrCat("ssh-keygen -q -t ed25519 -C '' -N '", passphrase, "' -f ", folder_ / name));
  }
  // known_hosts has the host's key as it is now.
  void TrustHostKey() { TrustHostKey("known_hosts", port_); }
  // The same for a file `name` and a port that leads here.
  void TrustHostKey(const std::string& name, int port) {
    WriteFile(folder_ / name,
              absl::StrCat("[127.0.0.1]:", port, " ", ReadFile(folder_ / "host.pub")));
  }
  std::string Fingerprint() const {
    RunCommand(absl::StrCat("ssh-keygen -lf ", folder_ / "host.pub", " > ", folder_ / "print"));
    const std::string text = ReadFile(folder_ / "print");
    const size_t begin = text.find("SHA256:");
    return text.substr(begin, text.find(' ', begin) - begin);
  }

  // One that runs goes on.
  void Start() {
    if (pid_ > 0) return;
    WriteConfig();
    pid_ = fork();
    if (pid_ == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);  // Also when a test is cut off.
      if (geteuid() == 0) EnterOwnMounts();
      const std::string config = folder_ / "sshd.conf";
      const std::string log = folder_ / "log";
      execl(kSshd, kSshd, "-D", "-f", config.c_str(), "-E", log.c_str(), nullptr);
      _exit(127);
    }
    ASSERT_TRUE(Eventually([this] { return Listens(port_); })) << ReadFile(folder_ / "log");
  }
  // The listener, with `sessions` also those that it has.
  void Stop(bool sessions = true) {
    if (pid_ <= 0) return;
    const std::vector<pid_t> below = sessions ? DescendantsOf(pid_) : std::vector<pid_t>();
    kill(pid_, SIGKILL);
    waitpid(std::exchange(pid_, -1), nullptr, 0);
    for (const pid_t pid : below) kill(pid, SIGKILL);
  }
  // kill -9 of what serves the connections, of the programs called `name` only where one is given;
  // the listener stays. How many there were.
  size_t KillSessions(const std::string& name = "") {
    size_t killed = 0;
    for (const pid_t pid : DescendantsOf(pid_)) {
      const std::string comm = ReadFile(absl::StrCat("/proc/", pid, "/comm"));
      if (!name.empty() && comm != name + "\n") continue;
      killed += kill(pid, SIGKILL) == 0 ? 1 : 0;
    }
    return killed;
  }
  // They stay, and do nothing; or go on.
  void StopSessions(bool stop) {
    for (const pid_t pid : DescendantsOf(pid_)) kill(pid, stop ? SIGSTOP : SIGCONT);
  }

 private:
  void WriteConfig() const {
    std::ofstream(folder_ / "sshd.conf")
        << "ListenAddress 127.0.0.1:" << port_ << "\nHostKey " << (folder_ / "host")
        << "\nPidFile none\nAuthorizedKeysFile " << (folder_ / "authorized_keys")
        << "\nStrictModes no\nUsePAM no\nPermitRootLogin yes\nLogLevel VERBOSE\nSubsystem sftp "
        << subsystem_ << "\n"
        << more_;
  }
  // What sshd wants below /run, and users, without touching those of the machine. root's shell
  // reads nothing when it starts: what one of the machine reads may speak, wait, or be killed
  // half-way.
  void EnterOwnMounts() const {
    if (unshare(CLONE_NEWNS) != 0) return;
    mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr);
    if (mount("tmpfs", "/run", "tmpfs", 0, "mode=755") == 0) mkdir("/run/sshd", 0755);
    mount((folder_ / "srv").c_str(), "/srv", nullptr, MS_BIND, nullptr);
    if (world_.disk_mib > 0) {
      const std::string size = absl::StrCat("size=", world_.disk_mib, "m,mode=755");
      mount("tmpfs", incoming().c_str(), "tmpfs", 0, size.c_str());
    }
    std::string passwd = absl::StrCat("root:x:0:0:root:/:/bin/sh\n", ReadFile("/etc/passwd"));
    std::string shadow = ReadFile("/etc/shadow");
    std::string group = ReadFile("/etc/group");
    for (const User& user : world_.users) {
      absl::StrAppend(&passwd, user.name, ":x:", user.id, ":", user.id, "::/:/bin/sh\n");
      absl::StrAppend(&shadow, user.name, ":", user.password_hash, ":19000:0:99999:7:::\n");
      absl::StrAppend(&group, user.group, ":x:", user.id, ":\n");
    }
    Replace("passwd", passwd);
    Replace("shadow", shadow);
    Replace("group", group);
  }
  static void Replace(const std::string& name, const std::string& content) {
    WriteFile("/run/" + name, content);
    mount(("/run/" + name).c_str(), ("/etc/" + name).c_str(), nullptr, MS_BIND, nullptr);
  }

  TestFolder folder_;
  const std::string more_;
  const std::string subsystem_;
  const World world_;
  int port_ = 0;
  pid_t pid_ = -1;
};

}  // namespace viaduct::support
