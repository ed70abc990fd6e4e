#include "tests/support/relay.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "tests/support/load.h"

namespace viaduct::support {
namespace {

constexpr size_t kReadBytes = 64 << 10;
constexpr int64_t kNever = INT64_MAX;

sockaddr_in Address(const std::string& text, uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  inet_pton(AF_INET, text.c_str(), &address.sin_addr);
  return address;
}

void CloseWithReset(int fd) {
  const linger hard = {1, 0};
  setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
  close(fd);
}

std::pair<std::string_view, std::string_view> SplitWord(std::string_view text) {
  const size_t blank = text.find(' ');
  if (blank == std::string_view::npos) return {text, {}};
  return {text.substr(0, blank), text.substr(blank + 1)};
}

bool ToNumber(std::string_view text, int64_t* out) {
  return absl::SimpleAtoi(absl::string_view(text.data(), text.size()), out) && *out >= 0;
}

}  // namespace

Relay::Relay(RelayOptions options) : options_(std::move(options)) {}

Relay::~Relay() {
  ResetAll();
  if (listener_ >= 0) close(listener_);
}

absl::Status Relay::Listen() {
  listener_ = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  const int on = 1;
  setsockopt(listener_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr_in address = Address("127.0.0.1", options_.listen_port);
  socklen_t size = sizeof address;
  if (bind(listener_, reinterpret_cast<sockaddr*>(&address), size) != 0 ||
      listen(listener_, SOMAXCONN) != 0) {
    return absl::UnavailableError(absl::StrCat("relay: cannot listen on port ",
                                               options_.listen_port, ", ", std::strerror(errno)));
  }
  getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size);
  port_ = ntohs(address.sin_port);
  return absl::OkStatus();
}

void Relay::Accept() {
  const int client = accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (client < 0) return;
  ++connections_;
  if (refuse_) return CloseWithReset(client);
  const int target = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const sockaddr_in address = Address(options_.target_address, options_.target_port);
  // On loopback a connect is answered at once, one way or the other.
  if (connect(target, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    CloseWithReset(client);
    close(target);
    return;
  }
  fcntl(target, F_SETFL, O_NONBLOCK);
  const int on = 1;
  setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  setsockopt(target, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  auto pair = std::make_unique<Pair>();
  pair->fds[kUp] = client;
  pair->fds[kDown] = target;
  pairs_.push_back(std::move(pair));
}

void Relay::ResetPair(Pair& pair) {
  for (int& fd : pair.fds) {
    if (fd >= 0) CloseWithReset(fd);
    fd = -1;
  }
}

void Relay::ResetAll() {
  for (const std::unique_ptr<Pair>& pair : pairs_) ResetPair(*pair);
  pairs_.clear();
}

void Relay::Spend(size_t bytes) {
  if (budget_ < 0) return;
  budget_ -= static_cast<int64_t>(bytes);
  if (budget_ > 0) return;
  budget_ = -1;
  const std::string command = std::move(budget_command_);
  Obey(command);
}

void Relay::ReadSide(Pair& pair, Direction from) {
  static thread_local std::array<char, kReadBytes> buffer;
  size_t want = buffer.size();
  if (budget_ > 0) want = std::min(want, static_cast<size_t>(budget_));
  const ssize_t n = recv(pair.fds[from], buffer.data(), want, 0);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (n < 0) return ResetPair(pair);
  if (n == 0) {
    pair.ended[from] = true;
    if (pair.queue[from].empty()) shutdown(pair.fds[1 - from], SHUT_WR);
    return;
  }
  if (mode_[from] == Mode::kDrop) return;
  passed_[from] += static_cast<uint64_t>(n);
  pair.buffered[from] += static_cast<size_t>(n);
  pair.queue[from].push_back(
      {NowNanos() + delay_ns_, std::string(buffer.data(), static_cast<size_t>(n))});
  Spend(static_cast<size_t>(n));
}

void Relay::WriteSide(Pair& pair, Direction from, int64_t now) {
  std::deque<Chunk>& queue = pair.queue[from];
  while (!queue.empty() && queue.front().due_ns <= now && pair.fds[1 - from] >= 0) {
    Chunk& chunk = queue.front();
    const ssize_t n =
        send(pair.fds[1 - from], chunk.bytes.data(), chunk.bytes.size(), MSG_NOSIGNAL);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (n < 0) return ResetPair(pair);
    pair.buffered[from] -= static_cast<size_t>(n);
    chunk.bytes.erase(0, static_cast<size_t>(n));
    if (chunk.bytes.empty()) queue.pop_front();
  }
  if (queue.empty() && pair.ended[from] && pair.fds[1 - from] >= 0) {
    shutdown(pair.fds[1 - from], SHUT_WR);
  }
}

std::string Relay::SetMode(Mode mode, std::string_view direction) {
  if (!direction.empty() && direction != "up" && direction != "down") {
    return absl::StrCat("error direction, ", absl::string_view(direction.data(), direction.size()));
  }
  if (direction != "down") mode_[kUp] = mode;
  if (direction != "up") mode_[kDown] = mode;
  return "ok";
}

std::string Relay::Stats() const {
  return absl::StrCat("ok {\"connections\":", connections_, ",\"open\":", pairs_.size(),
                      ",\"up\":", passed_[kUp], ",\"down\":", passed_[kDown], "}");
}

std::string Relay::Obey(std::string_view line) {
  const auto [word, rest] = SplitWord(line);
  int64_t number = 0;
  if (word == "pass") {
    refuse_ = false;
    delay_ns_ = 0;
    budget_ = -1;
    return SetMode(Mode::kPass, "");
  }
  if (word == "drop") return SetMode(Mode::kDrop, rest);
  if (word == "stall") return SetMode(Mode::kStall, rest);
  if (word == "stats") return Stats();
  if (word == "reset" || word == "refuse") {
    refuse_ = refuse_ || word == "refuse";
    for (const std::unique_ptr<Pair>& pair : pairs_) ResetPair(*pair);
    return "ok";
  }
  if (word == "delay" && ToNumber(rest, &number)) {
    delay_ns_ = number * 1'000'000;
    return "ok";
  }
  if (word == "budget") {
    const auto [bytes, command] = SplitWord(rest);
    if (!ToNumber(bytes, &number) || number == 0 || command.empty()) return "error budget";
    budget_ = number;
    budget_command_ = std::string(command);
    return "ok";
  }
  if (word == "quit") {
    quit_ = true;
    return "ok";
  }
  return absl::StrCat("error unknown command, ", absl::string_view(line.data(), line.size()));
}

void Relay::Commands(int command_fd, int answer_fd) {
  char buffer[4096];
  const ssize_t n = read(command_fd, buffer, sizeof buffer);
  if (n <= 0) {
    quit_ = true;
    return;
  }
  command_text_.append(buffer, static_cast<size_t>(n));
  for (size_t end; (end = command_text_.find('\n')) != std::string::npos;) {
    const std::string answer = Obey(command_text_.substr(0, end)) + "\n";
    command_text_.erase(0, end + 1);
    if (write(answer_fd, answer.data(), answer.size()) < 0) quit_ = true;
  }
}

int64_t Relay::NextWakeNanos(int64_t now) const {
  int64_t wake = kNever;
  for (const std::unique_ptr<Pair>& pair : pairs_) {
    for (const std::deque<Chunk>& queue : pair->queue) {
      if (!queue.empty() && queue.front().due_ns > now) {
        wake = std::min(wake, queue.front().due_ns);
      }
    }
  }
  return wake;
}

void Relay::Turn(int command_fd, int answer_fd) {
  std::vector<pollfd> polls = {{command_fd, POLLIN, 0}, {listener_, POLLIN, 0}};
  const int64_t now = NowNanos();
  const size_t known = pairs_.size();
  for (size_t i = 0; i < known; ++i) {
    for (int side = 0; side < 2; ++side) {
      const Pair& pair = *pairs_[i];
      const std::deque<Chunk>& out = pair.queue[1 - side];
      short events = 0;  // NOLINT(google-runtime-int): poll's type.
      if (!pair.ended[side] && mode_[side] != Mode::kStall &&
          pair.buffered[side] < options_.max_buffered_bytes) {
        events |= POLLIN;
      }
      if (!out.empty() && out.front().due_ns <= now) events |= POLLOUT;
      polls.push_back({events == 0 ? -1 : pair.fds[side], events, 0});
    }
  }
  const int64_t wake = NextWakeNanos(now);
  const timespec timeout = {(wake - now) / 1'000'000'000, (wake - now) % 1'000'000'000};
  ppoll(polls.data(), polls.size(), wake == kNever ? nullptr : &timeout, nullptr);
  if (polls[0].revents != 0) Commands(command_fd, answer_fd);
  if (polls[1].revents != 0) Accept();
  for (size_t i = 0; i < known; ++i) {
    Pair& pair = *pairs_[i];
    for (int side = 0; side < 2; ++side) {
      const pollfd& p = polls[2 + 2 * i + static_cast<size_t>(side)];
      if ((p.revents & (POLLIN | POLLHUP | POLLERR)) != 0 && pair.fds[side] >= 0) {
        ReadSide(pair, static_cast<Direction>(side));
      }
    }
    WriteSide(pair, kUp, NowNanos());
    WriteSide(pair, kDown, NowNanos());
    const bool over =
        pair.ended[0] && pair.ended[1] && pair.queue[0].empty() && pair.queue[1].empty();
    if (over) ResetPair(pair);
  }
  pairs_.erase(std::remove_if(pairs_.begin(), pairs_.end(),
                              [](const std::unique_ptr<Pair>& p) { return p->fds[0] < 0; }),
               pairs_.end());
}

void Relay::Run(int command_fd, int answer_fd) {
  while (!quit_) Turn(command_fd, answer_fd);
}

}  // namespace viaduct::support
