// A real mosquitto on a free port in a temporary folder, and a peer on it, for tests.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <deque>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "plugins/mqtt/session.h"

namespace viaduct::mqtt {

inline constexpr absl::Duration kDeadline = absl::Seconds(20);

// True when `check` came true in time.
template <typename Check>
bool Eventually(const Check& check) {
  const absl::Time deadline = absl::Now() + kDeadline;
  while (!check()) {
    if (absl::Now() > deadline) return false;
    absl::SleepFor(absl::Milliseconds(5));
  }
  return true;
}

class RealBroker {
 public:
  // `more` are further lines of its configuration.
  explicit RealBroker(const std::string& more = "") {
    std::string path = ::testing::TempDir() + "/mqtt-XXXXXX";
    folder_ = mkdtemp(path.data());
    port_ = FreePort();
    std::ofstream config(folder_ + "/broker.conf");
    config << "user root\nlistener " << port_ << " 127.0.0.1\nallow_anonymous true\n"
           << "persistence true\npersistence_location " << folder_ << "/\nlog_dest none\n"
           << "max_queued_messages 0\n"
           << more;
    config.close();
    Start();
  }
  ~RealBroker() {
    Stop(SIGKILL);
    std::filesystem::remove_all(folder_);
  }
  int port() const { return port_; }

  void Start() {
    pid_ = fork();
    if (pid_ == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);  // Also when a test is cut off.
      setenv("PATH", (std::string(getenv("PATH")) + ":/usr/sbin").c_str(), 1);
      const std::string config = folder_ + "/broker.conf";
      execlp("mosquitto", "mosquitto", "-c", config.c_str(), nullptr);
      _exit(127);
    }
    ASSERT_TRUE(Eventually([this] { return Listens(); })) << "mosquitto does not listen";
  }
  void Signal(int signal) { EXPECT_EQ(kill(pid_, signal), 0); }
  void Stop(int signal) {
    if (pid_ <= 0) return;
    kill(pid_, signal);
    waitpid(std::exchange(pid_, -1), nullptr, 0);
  }

 private:
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

  std::string folder_;
  int port_ = 0;
  pid_t pid_ = -1;
};

// An address where connections are neither taken nor refused: its queue is full.
class FullBacklog {
 public:
  FullBacklog(const char* host, int port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(port));
    EXPECT_EQ(inet_pton(AF_INET, host, &address.sin_addr), 1);
    const auto* at = reinterpret_cast<const sockaddr*>(&address);
    listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    EXPECT_EQ(bind(listener_, at, sizeof(address)), 0);
    EXPECT_EQ(listen(listener_, 0), 0);
    for (int& fd : waiting_) {
      fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
      static_cast<void>(connect(fd, at, sizeof(address)));
    }
  }
  ~FullBacklog() {
    for (const int fd : waiting_) close(fd);
    close(listener_);
  }

 private:
  int listener_ = -1;
  int waiting_[4] = {};
};

// Takes one connection after another and writes what it is told instead of what MQTT wants; then it
// hangs up, or with `stay` keeps the connection and says nothing more.
class NonsenseBroker {
 public:
  explicit NonsenseBroker(std::string text, bool stay = false)
      : text_(std::move(text)), stay_(stay) {
    fd_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    EXPECT_EQ(bind(fd_, reinterpret_cast<sockaddr*>(&address), size), 0);
    EXPECT_EQ(getsockname(fd_, reinterpret_cast<sockaddr*>(&address), &size), 0);
    EXPECT_EQ(listen(fd_, 4), 0);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { Run(); });
  }
  ~NonsenseBroker() {
    shutdown(fd_, SHUT_RDWR);
    thread_.join();
    close(fd_);
  }
  int port() const { return port_; }

 private:
  void Run() {
    while (true) {
      const int peer = accept(fd_, nullptr, nullptr);
      if (peer < 0) return;
      char connect[512];
      if (recv(peer, connect, sizeof(connect), 0) > 0) {
        send(peer, text_.data(), text_.size(), MSG_NOSIGNAL);
      }
      while (stay_ && recv(peer, connect, sizeof(connect), 0) > 0) {
      }
      close(peer);
    }
  }

  const std::string text_;
  const bool stay_;
  int fd_ = -1;
  int port_ = 0;
  std::thread thread_;
};

inline SessionOptions SessionOn(const RealBroker& broker, const std::string& client_id) {
  SessionOptions options;
  options.broker.host = "127.0.0.1";
  options.broker.port = broker.port();
  options.client_id = client_id;
  options.version_5 = true;
  return options;
}

// Hears everything that its filters match and publishes what it is told.
class RealPeer final : public SessionHandler {
 public:
  RealPeer(SessionOptions options, std::vector<std::string> filters)
      : filters_(std::move(filters)), session_(std::move(options), this) {
    EXPECT_TRUE(session_.Start().ok());
    EXPECT_TRUE(Eventually([this] { return ready(); })) << "the peer did not subscribe";
  }
  ~RealPeer() override { session_.Stop(); }

  // Returns when the broker has acknowledged it.
  void Publish(Publication publication) {
    const size_t before = published();
    {
      absl::MutexLock lock(&mutex_);
      queue_.push_back(std::move(publication));
    }
    session_.Wake();
    EXPECT_TRUE(Eventually([&] { return published() > before; }));
  }
  struct Heard {
    std::string topic, payload, correlation;
    bool retain = false;
    int qos = 0;
  };
  std::vector<Heard> heard() const {
    absl::MutexLock lock(&mutex_);
    return heard_;
  }
  std::vector<Heard> On(const std::string& topic) const {
    std::vector<Heard> out;
    for (const Heard& one : heard()) {
      if (one.topic == topic) out.push_back(one);
    }
    return out;
  }

  void OnConnected() override { EXPECT_TRUE(session_.Subscribe(filters_, 2).ok()); }
  void OnSubscribed() override {
    absl::MutexLock lock(&mutex_);
    ready_ = true;
  }
  void OnArrival(const Arrival& arrival) override {
    absl::MutexLock lock(&mutex_);
    heard_.push_back({std::string(arrival.topic), std::string(arrival.payload),
                      std::string(arrival.correlation), arrival.retain, arrival.qos});
  }
  void OnPublished(int, int) override {
    absl::MutexLock lock(&mutex_);
    ++published_;
  }
  absl::Duration OnTurn() override {
    std::deque<Publication> queue;
    {
      absl::MutexLock lock(&mutex_);
      queue.swap(queue_);
    }
    for (const Publication& publication : queue) {
      EXPECT_TRUE(session_.Publish(publication).ok());
    }
    return absl::Seconds(1);
  }
  bool may_read() const override { return true; }
  bool may_write() const override { return true; }
  void OnFarewell() override {}
  void OnEnded(const absl::Status&) override {}

 private:
  bool ready() const {
    absl::MutexLock lock(&mutex_);
    return ready_;
  }
  size_t published() const {
    absl::MutexLock lock(&mutex_);
    return published_;
  }

  const std::vector<std::string> filters_;
  mutable absl::Mutex mutex_;
  bool ready_ ABSL_GUARDED_BY(mutex_) = false;
  size_t published_ ABSL_GUARDED_BY(mutex_) = 0;
  std::deque<Publication> queue_ ABSL_GUARDED_BY(mutex_);
  std::vector<Heard> heard_ ABSL_GUARDED_BY(mutex_);
  Session session_;
};

}  // namespace viaduct::mqtt
