// A real sshd on a free port in a temporary folder, and a road to it, for tests.
#pragma once

#include <arpa/inet.h>
#include <dirent.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <pwd.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "plugins/common/local_file.h"
#include "plugins/sftp/client.h"

namespace viaduct::sftp {

inline constexpr absl::Duration kDeadline = absl::Seconds(30);
inline constexpr char kSshd[] = "/usr/sbin/sshd";

// True when `check` came true in time.
template <typename Check>
bool Eventually(const Check& check) {
  const absl::Time deadline = absl::Now() + kDeadline;
  while (!check()) {
    if (absl::Now() > deadline) return false;
    absl::SleepFor(absl::Milliseconds(2));
  }
  return true;
}

inline void WriteFile(const std::string& path, const std::string& content) {
  std::ofstream(path, std::ios::binary) << content;
}
inline std::string ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string out;
  std::array<char, 64 << 10> piece;
  while (file.read(piece.data(), piece.size()).gcount() > 0) {
    out.append(piece.data(), static_cast<size_t>(file.gcount()));
  }
  return out;
}
// Content that no other seed has.
inline std::string Content(size_t size, uint32_t seed) {
  std::string out(size, '\0');
  uint32_t state = seed * 2654435761u + 1;
  for (char& c : out) {
    state = state * 1664525u + 1013904223u;
    c = static_cast<char>(state >> 24);
  }
  return out;
}
inline std::string DigestOf(const std::string& content) {
  Sha256 digest;
  digest.Update(content);
  return digest.Hex();
}
inline void RunCommand(const std::string& command) {
  ASSERT_EQ(std::system(command.c_str()), 0) << command;
}

class TestFolder {
 public:
  TestFolder() {
    std::string path = ::testing::TempDir() + "/sftp-XXXXXX";
    path_ = mkdtemp(path.data());
  }
  TestFolder(const TestFolder&) = delete;
  TestFolder& operator=(const TestFolder&) = delete;
  ~TestFolder() { std::filesystem::remove_all(path_); }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

class RealServer {
 public:
  // One that exists for this server only; needs root.
  struct User {
    std::string name;
    std::string group;
    std::string password_hash;  // As crypt has it.
    int id = 0;
  };
  // What it has for itself; needs root.
  struct World {
    std::vector<User> users;
    int disk_mib = 0;  // Of incoming(); 0: as large as the machine's.
  };
  // `more` are further lines of its configuration, the last ones.
  explicit RealServer(std::string more = "", std::string subsystem = "internal-sftp")
      : RealServer(std::move(more), std::move(subsystem), World()) {}
  RealServer(std::string more, std::string subsystem, World world)
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
  ~RealServer() { Stop(); }

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

  void MakeKey(const std::string& name, const std::string& passphrase = "") {
    std::filesystem::remove(folder_ / name);
    RunCommand(
        absl::StrCat("ssh-keygen -q -t ed25519 -C '' -N '", passphrase, "' -f ", folder_ / name));
  }
  // known_hosts has the host's key as it is now.
  void TrustHostKey() {
    WriteFile(folder_ / "known_hosts",
              absl::StrCat("[127.0.0.1]:", port_, " ", ReadFile(folder_ / "host.pub")));
  }
  std::string Fingerprint() const {
    RunCommand(absl::StrCat("ssh-keygen -lf ", folder_ / "host.pub", " > ", folder_ / "print"));
    const std::string text = ReadFile(folder_ / "print");
    const size_t begin = text.find("SHA256:");
    return text.substr(begin, text.find(' ', begin) - begin);
  }

  void Start() {
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
    ASSERT_TRUE(Eventually([this] { return Listens(); })) << ReadFile(folder_ / "log");
  }
  // The listener, with `sessions` also those that it has.
  void Stop(bool sessions = true) {
    if (pid_ <= 0) return;
    const std::vector<pid_t> below = sessions ? Descendants(pid_) : std::vector<pid_t>();
    kill(pid_, SIGKILL);
    waitpid(std::exchange(pid_, -1), nullptr, 0);
    for (const pid_t pid : below) kill(pid, SIGKILL);
  }
  // kill -9 of what serves the connections; the listener stays.
  void KillSessions() {
    for (const pid_t pid : Descendants(pid_)) kill(pid, SIGKILL);
  }
  // They stay, and do nothing; or go on.
  void StopSessions(bool stop) {
    for (const pid_t pid : Descendants(pid_)) kill(pid, stop ? SIGSTOP : SIGCONT);
  }

  ClientOptions Options() const {
    ClientOptions options;
    options.transport.host = "127.0.0.1";
    options.transport.port = port_;
    options.transport.username = getpwuid(geteuid())->pw_name;
    options.transport.key_file = folder_ / "user";
    options.transport.host_key.known_hosts = folder_ / "known_hosts";
    options.remote_path = incoming();
    return options;
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
  static std::vector<pid_t> Descendants(pid_t of) {
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
  static sockaddr_in Address(int port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
  }
  static int FreePort() {
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address = Address(0);
    socklen_t size = sizeof(address);
    EXPECT_EQ(bind(fd, reinterpret_cast<sockaddr*>(&address), size), 0);
    EXPECT_EQ(getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size), 0);
    close(fd);
    return ntohs(address.sin_port);
  }
  bool Listens() const {
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const sockaddr_in address = Address(port_);
    const int code = connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address));
    close(fd);
    return code == 0;
  }

  TestFolder folder_;
  const std::string more_;
  const std::string subsystem_;
  const World world_;
  int port_ = 0;
  pid_t pid_ = -1;
};

// A client, and what it has told.
class Road {
 public:
  explicit Road(const ClientOptions& options) {
    Client::Events events;
    events.on_ready = [this](const Features& features) {
      absl::MutexLock lock(&mutex_);
      features_ = features;
      ready_ = true;
    };
    events.on_ended = [this](const absl::Status& why) {
      absl::MutexLock lock(&mutex_);
      ended_ = why;
    };
    events.on_progress = [this](uint64_t token, uint64_t moved, uint64_t durable) {
      absl::MutexLock lock(&mutex_);
      progress_[token] = {moved, durable};
    };
    events.on_end = [this](const FileEnd& end) {
      absl::MutexLock lock(&mutex_);
      EXPECT_TRUE(ends_.emplace(end.token, end).second) << "ended twice";
    };
    client = std::make_unique<Client>(options, std::move(events));
    EXPECT_TRUE(client->Start().ok());
  }
  ~Road() { client.reset(); }  // Before what it tells.

  bool Ready() {
    return Eventually([this] { return ready() || !ended().ok(); }) && ready();
  }
  // How the session ended by itself.
  absl::Status End() {
    EXPECT_TRUE(Eventually([this] { return !ended().ok(); }));
    return ended();
  }
  FileJob JobOf(const std::string& path, const std::string& name, uint64_t offset = 0) {
    const std::string content = ReadFile(path);
    FileJob job;
    job.token = ++last_token_;
    job.local_path = path;
    job.remote_name = name;
    job.sha256 = DigestOf(content);
    job.size = content.size();
    job.offset = offset;
    return job;
  }
  FileEnd Send(const FileJob& job) {
    const absl::Status begun = client->Begin(job);
    EXPECT_TRUE(begun.ok()) << begun;
    return begun.ok() ? EndOf(job.token) : FileEnd();
  }
  FileEnd Send(const std::string& path, const std::string& name) { return Send(JobOf(path, name)); }
  bool HasEnded(uint64_t token) const {
    absl::MutexLock lock(&mutex_);
    return ends_.count(token) > 0;
  }
  FileEnd EndOf(uint64_t token) {
    EXPECT_TRUE(Eventually([&] { return HasEnded(token); })) << "file " << token;
    absl::MutexLock lock(&mutex_);
    return ends_[token];
  }
  uint64_t moved(uint64_t token) const {
    absl::MutexLock lock(&mutex_);
    const auto it = progress_.find(token);
    return it == progress_.end() ? 0 : it->second.first;
  }
  uint64_t durable(uint64_t token) const {
    absl::MutexLock lock(&mutex_);
    const auto it = progress_.find(token);
    return it == progress_.end() ? 0 : it->second.second;
  }
  Features features() const {
    absl::MutexLock lock(&mutex_);
    return features_;
  }
  bool ready() const {
    absl::MutexLock lock(&mutex_);
    return ready_;
  }
  absl::Status ended() const {
    absl::MutexLock lock(&mutex_);
    return ended_;
  }

  std::unique_ptr<Client> client;

 private:
  mutable absl::Mutex mutex_;
  bool ready_ ABSL_GUARDED_BY(mutex_) = false;
  Features features_ ABSL_GUARDED_BY(mutex_);
  absl::Status ended_ ABSL_GUARDED_BY(mutex_);
  std::map<uint64_t, FileEnd> ends_ ABSL_GUARDED_BY(mutex_);
  std::map<uint64_t, std::pair<uint64_t, uint64_t>> progress_ ABSL_GUARDED_BY(mutex_);
  uint64_t last_token_ = 0;
};

// Names of everything below `folder`, but for folders.
inline std::vector<std::string> FilesBelow(const std::string& folder) {
  std::vector<std::string> out;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    if (!entry.is_directory()) {
      out.push_back(entry.path().lexically_relative(folder).string());
    }
  }
  return out;
}

}  // namespace viaduct::sftp
