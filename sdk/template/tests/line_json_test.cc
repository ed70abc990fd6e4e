// The client against a real peer on loopback, and the plugin under viaduct-check with one.
//   line_json_test <line_json.so> <viaduct-check>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "client.h"

extern char** environ;

namespace {

using line_json::Client;
using line_json::Options;
using line_json::Result;
using line_json::Verdict;

constexpr std::chrono::seconds kPatience(20);

void Check(bool holds, const char* what, int line) {
  if (holds) return;
  std::fprintf(stderr, "line %d: not so: %s\n", line, what);
  std::exit(1);
}
#define CHECK(what) Check(static_cast<bool>(what), #what, __LINE__)

// Listens on a free port and answers every line with what `answer` makes of it; "" hangs up.
class Peer {
 public:
  using Answer = std::function<std::string(const std::string& line)>;

  explicit Peer(Answer answer) : answer_(std::move(answer)), listener_(Listen(&port_)) {
    CHECK(listener_.get() >= 0);
    CHECK(pipe(stop_) == 0);
    thread_ = std::thread([this] { Run(); });
  }
  ~Peer() {
    close(stop_[1]);
    thread_.join();
    close(stop_[0]);
  }
  uint16_t port() const { return port_; }

 private:
  static line_json::Descriptor Listen(uint16_t* port) {
    line_json::Descriptor fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    CHECK(bind(fd.get(), reinterpret_cast<sockaddr*>(&address), size) == 0);
    CHECK(listen(fd.get(), 16) == 0);
    CHECK(getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &size) == 0);
    *port = ntohs(address.sin_port);
    return fd;
  }

  // False when the test is over.
  bool AwaitReadable(int fd) const {
    pollfd waits[2] = {{fd, POLLIN, 0}, {stop_[0], POLLIN, 0}};
    return poll(waits, 2, -1) > 0 && waits[1].revents == 0;
  }

  void Run() {
    while (AwaitReadable(listener_.get())) {
      line_json::Descriptor connection(accept(listener_.get(), nullptr, nullptr));
      std::string input;
      while (AwaitReadable(connection.get()) && Serve(connection.get(), &input)) {
      }
    }
  }

  bool Serve(int fd, std::string* input) {
    char block[4096];
    const ssize_t size = recv(fd, block, sizeof(block), 0);
    if (size <= 0) return false;
    input->append(block, static_cast<size_t>(size));
    for (size_t end = 0; (end = input->find('\n')) != std::string::npos; input->erase(0, end + 1)) {
      const std::string reply = answer_(input->substr(0, end));
      if (reply.empty()) return false;
      if (reply == "silence") continue;
      if (send(fd, reply.data(), reply.size(), MSG_NOSIGNAL) < 0) return false;
    }
    return true;
  }

  const Answer answer_;
  uint16_t port_ = 0;
  const line_json::Descriptor listener_;
  int stop_[2] = {-1, -1};
  std::thread thread_;
};

// Collects how messages ended.
class Results {
 public:
  Client::Events Events() {
    return {[this](const std::vector<Result>& results) {
              const std::lock_guard<std::mutex> lock(mutex_);
              for (const Result& result : results) {
                CHECK(results_.emplace(result.token, result).second);  // Exactly once.
              }
              more_.notify_all();
            },
            [](bool, const std::string&) {}};
  }
  std::map<uint64_t, Result> Await(size_t count) {
    std::unique_lock<std::mutex> lock(mutex_);
    CHECK(more_.wait_for(lock, kPatience, [&] { return results_.size() >= count; }));
    return results_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable more_;
  std::map<uint64_t, Result> results_;
};

Options OptionsFor(const Peer& peer) {
  Options options;
  options.port = peer.port();
  return options;
}

void AnswersBecomeResults() {
  Peer peer([](const std::string& line) {
    if (line == "1") return "stored\n";
    if (line == "2") return "duplicate\n";
    if (line == "3") return "retry 500 disk busy\n";
    if (line == "4 4") return "reject no such camera\n";
    return "what?\n";
  });
  Results results;
  Client client(OptionsFor(peer), results.Events());
  std::string why;
  CHECK(client.Start(&why));
  for (const char* line : {"1", "2", "3", "4\n4", "5"}) {
    CHECK(client.Send(static_cast<uint64_t>(line[0] - '0'), line));
  }
  client.Flush();
  const std::map<uint64_t, Result> ended = results.Await(5);
  CHECK(ended.at(1).verdict == Verdict::kStored);
  CHECK(ended.at(2).verdict == Verdict::kDuplicate);
  CHECK(ended.at(3).verdict == Verdict::kRetry);
  CHECK(ended.at(3).retry_after_ns == 500000000);
  CHECK(ended.at(3).detail == "disk busy");
  CHECK(ended.at(4).verdict == Verdict::kReject);
  CHECK(ended.at(4).detail == "no such camera");
  CHECK(ended.at(5).verdict == Verdict::kRetry);
  CHECK(client.AwaitIdle(kPatience));
}

void LostConnectionEndsAllAsRetryAndTheNextSendConnectsAgain() {
  std::atomic<int> lines{0};
  Peer peer([&](const std::string&) { return ++lines <= 1 ? std::string() : "stored\n"; });
  Results results;
  Client client(OptionsFor(peer), results.Events());
  std::string why;
  CHECK(client.Start(&why));
  CHECK(client.Send(1, "{}"));
  client.Flush();
  CHECK(results.Await(1).at(1).verdict == Verdict::kRetry);
  CHECK(client.Send(2, "{}"));
  client.Flush();
  CHECK(results.Await(2).at(2).verdict == Verdict::kStored);
}

void SilentPeerIsGivenUp() {
  Peer peer([](const std::string&) { return "silence"; });
  Options options = OptionsFor(peer);
  options.answer_timeout_ms = 50;
  Results results;
  Client client(options, results.Events());
  std::string why;
  CHECK(client.Start(&why));
  CHECK(client.Send(1, "{}"));
  client.Flush();
  CHECK(results.Await(1).at(1).verdict == Verdict::kRetry);
}

void WindowIsKeptAndStopCancelsWhatIsHeld() {
  Peer peer([](const std::string&) { return "silence"; });
  Options options = OptionsFor(peer);
  options.window = 2;
  Results results;
  Client client(options, results.Events());
  std::string why;
  CHECK(client.Start(&why));
  CHECK(client.Credit() == 2);
  CHECK(client.Send(1, "{}") && client.Send(2, "{}"));
  CHECK(client.Credit() == 0 && !client.Send(3, "{}"));
  client.Flush();
  client.Cancel(1);
  CHECK(results.Await(1).at(1).verdict == Verdict::kCancelled);
  client.Stop();
  CHECK(results.Await(2).at(2).verdict == Verdict::kCancelled);
}

void PassesViaductCheckWithAPeer(const char* plugin, const char* check) {
  Peer peer([](const std::string&) { return "stored\n"; });
  const std::string config = std::string(plugin) + ".test.json";
  std::ofstream(config) << R"({"port": )" << peer.port() << "}\n";
  const std::vector<const char*> arguments = {check,          "--level", "all",  "--config",
                                              config.c_str(), plugin,    nullptr};
  pid_t pid = 0;
  CHECK(posix_spawn(&pid, check, nullptr, nullptr, const_cast<char* const*>(arguments.data()),
                    environ) == 0);
  int status = 0;
  CHECK(waitpid(pid, &status, 0) == pid);
  CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: line_json_test <line_json.so> <viaduct-check>\n");
    return 2;
  }
  AnswersBecomeResults();
  LostConnectionEndsAllAsRetryAndTheNextSendConnectsAgain();
  SilentPeerIsGivenUp();
  WindowIsKeptAndStopCancelsWhatIsHeld();
  PassesViaductCheckWithAPeer(argv[1], argv[2]);
  std::puts("line_json_test: all passed");
  return 0;
}
