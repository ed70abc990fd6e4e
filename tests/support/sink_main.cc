// sink: an HTTP server that answers at once and keeps nothing. The ceiling of the generator, and a
// peer that never fails for what an edge node sends. Prints its port, and counts when it is ended.
//   sink --port 0 [--status 503] [--cpu 0]
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <unordered_map>
#include <unordered_set>

#include "absl/strings/str_cat.h"

namespace {

constexpr size_t kMaxRequestBytes = 64u << 20;

struct Counts {
  uint64_t requests = 0;
  uint64_t messages = 0;
  uint64_t bytes = 0;
  std::unordered_set<std::string> ids;  // Of arrays and envelopes.
};

// One answer for one request body; an array of envelopes gets a result for each.
std::string Answer(const std::string& body, bool count_ids, Counts& counts) {
  if (body.empty() || body[0] != '[') {
    ++counts.messages;
    if (count_ids) {
      const nlohmann::json json = nlohmann::json::parse(body, nullptr, false);
      if (json.is_object()) counts.ids.insert(json.value("message_id", ""));
    }
    return R"({"success":true,"message":"Detection data received"})";
  }
  const nlohmann::json items = nlohmann::json::parse(body, nullptr, false);
  nlohmann::json results = nlohmann::json::array();
  for (size_t i = 0; items.is_array() && i < items.size(); ++i) {
    const std::string id = items[i].value("message_id", "");
    results.push_back({{"message_id", id}, {"status", "stored"}});
    counts.ids.insert(id);
    ++counts.messages;
  }
  return results.dump();
}

// Takes whole requests out of `in` and appends the answers to `out`; false: not HTTP.
bool Serve(std::string& in, std::string& out, int status, bool count_ids, Counts& counts) {
  for (;;) {
    const size_t head = in.find("\r\n\r\n");
    if (head == std::string::npos) return in.size() < (64u << 10);
    size_t length = 0;
    const char* field = strcasestr(in.c_str(), "\r\ncontent-length:");
    if (field != nullptr && field < in.c_str() + head) {
      length = std::strtoul(field + 17, nullptr, 10);
    }
    if (length > kMaxRequestBytes) return false;
    if (in.size() < head + 4 + length) return true;
    ++counts.requests;
    const std::string body = Answer(in.substr(head + 4, length), count_ids, counts);
    absl::StrAppend(&out, "HTTP/1.1 ", status, " Answer\r\nContent-Type: application/json\r\n",
                    "Content-Length: ", body.size(), "\r\n\r\n", body);
    in.erase(0, head + 4 + length);
  }
}

int Listen(uint16_t port) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  const int on = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  if (bind(fd, reinterpret_cast<sockaddr*>(&address), size) != 0 || listen(fd, 1024) != 0) {
    std::perror("sink: listen");
    std::exit(1);
  }
  getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
  std::printf("port %u\n", ntohs(address.sin_port));
  std::fflush(stdout);
  return fd;
}

struct Peer {
  std::string in, out;
};

// Blocking writes are right here: the answers are small and the generator always reads.
bool Turn(int fd, Peer& peer, int status, bool count_ids, Counts& counts) {
  static std::array<char, 256 << 10> buffer;
  const ssize_t n = recv(fd, buffer.data(), buffer.size(), 0);
  if (n <= 0) return false;
  counts.bytes += static_cast<uint64_t>(n);
  peer.in.append(buffer.data(), static_cast<size_t>(n));
  if (!Serve(peer.in, peer.out, status, count_ids, counts)) return false;
  for (size_t sent = 0; sent < peer.out.size();) {
    const ssize_t w = send(fd, peer.out.data() + sent, peer.out.size() - sent, MSG_NOSIGNAL);
    if (w <= 0) return false;
    sent += static_cast<size_t>(w);
  }
  peer.out.clear();
  return true;
}

void Watch(int epoll, int fd) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.fd = fd;
  epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("sink: answers every HTTP request at once");
  uint16_t port = 0;
  int status = 200, cpu = -1;
  bool count_ids = false;
  app.add_option("--port", port, "0: any free one");
  app.add_option("--status", status, "Answer everything with this status");
  app.add_option("--cpu", cpu, "Pin to this CPU");
  app.add_flag("--count-ids", count_ids, "Parse single messages and count distinct message_ids");
  CLI11_PARSE(app, argc, argv);
  if (cpu >= 0) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(static_cast<unsigned>(cpu), &set);
    sched_setaffinity(0, sizeof set, &set);
  }
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  sigprocmask(SIG_BLOCK, &signals, nullptr);
  const int stop = signalfd(-1, &signals, SFD_CLOEXEC);
  const int listener = Listen(port);
  const int epoll = epoll_create1(EPOLL_CLOEXEC);
  Watch(epoll, stop);
  Watch(epoll, listener);
  Counts counts;
  std::unordered_map<int, Peer> peers;
  for (bool running = true; running;) {
    std::array<epoll_event, 256> events;
    const int n = epoll_wait(epoll, events.data(), static_cast<int>(events.size()), -1);
    for (int i = 0; i < n; ++i) {
      const int fd = events[static_cast<size_t>(i)].data.fd;
      if (fd == stop) {
        running = false;
      } else if (fd == listener) {
        const int peer = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
        if (peer < 0) continue;
        const int on = 1;
        setsockopt(peer, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        peers[peer];
        Watch(epoll, peer);
      } else if (!Turn(fd, peers[fd], status, count_ids, counts)) {
        peers.erase(fd);
        close(fd);
      }
    }
  }
  std::printf("%s\n", nlohmann::json{{"requests", counts.requests},
                                     {"messages", counts.messages},
                                     {"distinct_ids", counts.ids.size()},
                                     {"bytes", counts.bytes}}
                          .dump()
                          .c_str());
  return 0;
}
