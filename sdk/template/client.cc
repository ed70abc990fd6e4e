#include "client.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <system_error>
#include <utility>

namespace line_json {
namespace {

constexpr int64_t kNanosPerMilli = 1000000;
constexpr int64_t kMaxRetryMs = 3600 * 1000;

bool TakeWord(std::string_view word, std::string_view* line) {
  if (line->substr(0, word.size()) != word) return false;
  if (line->size() > word.size() && (*line)[word.size()] != ' ') return false;
  line->remove_prefix(std::min(line->size(), word.size() + 1));
  return true;
}

Result Parse(uint64_t token, std::string_view line) {
  Result result;
  result.token = token;
  if (TakeWord("stored", &line)) {
    result.verdict = Verdict::kStored;
  } else if (TakeWord("duplicate", &line)) {
    result.verdict = Verdict::kDuplicate;
  } else if (TakeWord("reject", &line)) {
    result.verdict = Verdict::kReject;
    result.detail = std::string(line);
  } else if (TakeWord("retry", &line)) {
    const std::string rest(line);
    char* end = nullptr;
    const long long wait_ms = std::strtoll(rest.c_str(), &end, 10);
    result.retry_after_ns = std::clamp<int64_t>(wait_ms, 0, kMaxRetryMs) * kNanosPerMilli;
    result.detail = *end == ' ' ? end + 1 : end;
  } else {
    result.detail = "answer: not understood, \"" + std::string(line.substr(0, 64)) + "\"";
  }
  return result;
}

void Signal(const Descriptor& event) {
  const uint64_t one = 1;
  // A full event is signalled already.
  if (event && write(event.get(), &one, sizeof(one)) < 0) return;
}

void Clear(const Descriptor& event) {
  uint64_t count = 0;
  if (read(event.get(), &count, sizeof(count)) < 0) return;  // It was not signalled.
}

}  // namespace

Client::Client(Options options, Events events)
    : options_(std::move(options)), events_(std::move(events)) {}

Client::~Client() { Stop(); }

bool Client::Start(std::string* why) {
  wake_ = Descriptor(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
  stop_ = Descriptor(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
  if (!wake_ || !stop_) {
    *why = std::string("eventfd: ") + std::strerror(errno);
    return false;
  }
  try {
    thread_ = std::thread([this] { Run(); });
  } catch (const std::system_error& error) {
    *why = std::string("thread: ") + error.what();
    return false;
  }
  return true;
}

void Client::Stop() {
  stopping_ = true;
  Signal(stop_);
  Signal(wake_);
  if (thread_.joinable()) thread_.join();
  wake_ = Descriptor();
  stop_ = Descriptor();
  EndAll(Verdict::kCancelled, "stopped");
}

uint32_t Client::Credit() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return static_cast<uint32_t>(options_.window -
                               std::min<size_t>(options_.window, pending_.size()));
}

bool Client::Send(uint64_t token, std::string_view json) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (pending_.size() >= options_.window) return false;
  pending_.push_back({token, true});
  ++open_;
  // A newline inside JSON can only be white space.
  const size_t start = unsent_.size();
  unsent_.append(json);
  std::replace(unsent_.begin() + static_cast<std::ptrdiff_t>(start), unsent_.end(), '\n', ' ');
  unsent_.push_back('\n');
  return true;
}

void Client::Flush() { Signal(wake_); }

void Client::Cancel(uint64_t token) {
  std::vector<Result> results;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    for (Pending& pending : pending_) {
      if (pending.token != token || !pending.open) continue;
      pending.open = false;
      --open_;
      ++telling_;
      results.push_back({token, Verdict::kCancelled, 0, "cancelled"});
      break;
    }
  }
  Tell(results);
}

bool Client::AwaitIdle(std::chrono::nanoseconds limit) {
  std::unique_lock<std::mutex> lock(mutex_);
  return idle_.wait_for(lock, limit, [this] { return open_ == 0 && telling_ == 0; });
}

void Client::Run() {
  while (!stopping_) {
    if (!EnsureConnected()) continue;
    if (!Exchange()) Disconnect("connection lost");
  }
  socket_ = Descriptor();
}

bool Client::EnsureConnected() {
  if (socket_) return true;
  pollfd wait = {wake_.get(), POLLIN, 0};
  poll(&wait, 1, -1);
  Clear(wake_);
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (unsent_.empty()) return false;
  }
  std::string why;
  socket_ = Connect(options_, stop_.get(), &why);
  if (!socket_) {
    if (!stopping_) Disconnect(why);
    return false;
  }
  owed_ = false;
  events_.on_connection(true, "");
  return true;
}

bool Client::Refill() {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (written_ == writing_.size()) {
    writing_.clear();
    written_ = 0;
    writing_.swap(unsent_);
  }
  return !pending_.empty();
}

bool Client::Exchange() {
  const auto now = std::chrono::steady_clock::now();
  const bool owed = Refill();
  if (owed && !owed_) silent_since_ = now;
  owed_ = owed;
  if (!Write()) return false;

  int wait_ms = -1;
  if (owed_) {
    const auto left = silent_since_ + std::chrono::milliseconds(options_.answer_timeout_ms) - now;
    if (left <= left.zero()) return false;
    wait_ms = static_cast<int>(std::chrono::ceil<std::chrono::milliseconds>(left).count());
  }
  const bool unsent = written_ < writing_.size();
  pollfd waits[2] = {{socket_.get(), static_cast<int16_t>(unsent ? POLLIN | POLLOUT : POLLIN), 0},
                     {wake_.get(), POLLIN, 0}};
  if (poll(waits, 2, wait_ms) < 0) return errno == EINTR;
  if (waits[1].revents != 0) Clear(wake_);
  return (waits[0].revents & ~POLLOUT) == 0 || Read();
}

bool Client::Write() {
  while (written_ < writing_.size()) {
    const ssize_t sent =
        send(socket_.get(), writing_.data() + written_, writing_.size() - written_, MSG_NOSIGNAL);
    if (sent < 0) return errno == EAGAIN || errno == EINTR;
    written_ += static_cast<size_t>(sent);
  }
  return true;
}

bool Client::Read() {
  char block[16384];
  const ssize_t size = recv(socket_.get(), block, sizeof(block), 0);
  if (size < 0) return errno == EAGAIN || errno == EINTR;
  if (size == 0) return false;
  silent_since_ = std::chrono::steady_clock::now();
  reading_.append(block, static_cast<size_t>(size));
  return TakeAnswers();
}

bool Client::TakeAnswers() {
  std::vector<Result> results;
  size_t start = 0;
  for (size_t end = 0; (end = reading_.find('\n', start)) != std::string::npos; start = end + 1) {
    Answer(std::string_view(reading_).substr(start, end - start), &results);
  }
  reading_.erase(0, start);
  Tell(results);
  return reading_.size() <= kMaxAnswerBytes;
}

void Client::Answer(std::string_view line, std::vector<Result>* results) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (pending_.empty()) return;  // An answer to nothing.
  const Pending pending = pending_.front();
  pending_.pop_front();
  if (!pending.open) return;
  --open_;
  ++telling_;
  results->push_back(Parse(pending.token, line));
}

void Client::Disconnect(const std::string& why) {
  socket_ = Descriptor();
  writing_.clear();
  written_ = 0;
  reading_.clear();
  events_.on_connection(false, why);
  EndAll(Verdict::kRetry, why);
}

void Client::EndAll(Verdict verdict, const std::string& detail) {
  std::vector<Result> results;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    for (const Pending& pending : pending_) {
      if (pending.open) results.push_back({pending.token, verdict, 0, detail});
    }
    pending_.clear();
    unsent_.clear();
    open_ = 0;
    telling_ += results.size();
  }
  Tell(results);
}

void Client::Tell(const std::vector<Result>& results) {
  if (results.empty()) return;
  events_.on_results(results);
  const std::lock_guard<std::mutex> lock(mutex_);
  telling_ -= results.size();
  idle_.notify_all();
}

}  // namespace line_json
