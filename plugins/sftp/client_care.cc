// What a client looks after, whether or not files move: deadlines, the probe, signs of life.
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "plugins/sftp/client.h"

namespace viaduct::sftp {
namespace {

constexpr uint64_t kRealpathAnswerBytes = 25;  // And the path, twice.
constexpr int64_t kMaxWaitNs = 500'000'000;    // Clocks are looked at so often at least.

int64_t DeadlineOf(const FileJob& job) {
  return job.deadline_ns == 0 ? std::numeric_limits<int64_t>::max() : job.deadline_ns;
}

}  // namespace

void Client::CheckDeadlines(int64_t now_ns) {
  for (const std::shared_ptr<Upload>& upload : uploads_) upload->Expire(now_ns);
  std::deque<FileJob> still;
  for (FileJob& job : std::exchange(waiting_, {})) {
    if (now_ns < DeadlineOf(job)) {
      still.push_back(std::move(job));
    } else {
      EndWaiting(job, FileOutcome::kRetry, absl::DeadlineExceededError("file: not sent in time"));
    }
  }
  waiting_ = std::move(still);
}

// Who waits for the same part to be free moves with it.
void Client::TellWaiting(uint64_t token, uint64_t moved) {
  if (waiting_.empty()) return;
  const auto it = std::find_if(uploads_.begin(), uploads_.end(), [&](const auto& upload) {
    return !upload->ended() && upload->job().token == token;
  });
  if (it == uploads_.end()) return;
  for (const FileJob& job : waiting_) {
    if (PartOf(job) == (*it)->part()) events_.on_progress(job.token, moved, job.offset);
  }
}

void Client::AskProbe(int64_t now_ns) {
  const int64_t deadline = door_.probe_deadline_ns();
  if (deadline == 0) return;
  if (now_ns >= deadline) {
    return FinishProbe(absl::DeadlineExceededError("probe: no answer in time"));
  }
  if (!ready_ || probe_sent_) return;
  probe_sent_ = true;
  const auto least =
      std::min_element(streams_.begin(), streams_.end(), [](const auto& one, const auto& other) {
        return one->requests.unsent().size() < other->requests.unsent().size();
      });
  probe_stream_ = least->get();
  probe_left_ns_ = 0;
  const uint64_t before = probe_stream_->requests.queued_bytes();
  probe_stream_->requests.Realpath(".", [this, number = ++probe_number_](const Answer& answer) {
    if (!probe_sent_ || number != probe_number_) return;
    probe_cost_.received = kRealpathAnswerBytes + 2 * answer.text.size();
    FinishProbe(answer.ok() ? absl::OkStatus() : StatusOf(answer, "realpath"),
                absl::Nanoseconds(MonotonicNs() - probe_left_ns_));
  });
  probe_end_ = probe_stream_->requests.queued_bytes();
  probe_cost_.sent = probe_end_ - before;
}

// The time that it waited here is none of the road's.
void Client::NoteProbeSent(const Stream& stream) {
  if (!probe_sent_ || &stream != probe_stream_ || probe_left_ns_ != 0) return;
  if (stream.requests.passed_bytes() >= probe_end_) probe_left_ns_ = MonotonicNs();
}

void Client::FinishProbe(const absl::Status& status, absl::Duration round_trip) {
  probe_sent_ = false;
  door_.FinishProbe(status, round_trip, std::exchange(probe_cost_, ProbeCost()));
}

// What arrives, and what the server's kernel says has arrived there, are signs of life; on a narrow
// road the answer to what lies in buffers may be long in coming.
void Client::CheckLife(int64_t now_ns) {
  if (!ready_ && now_ns >= ready_by_ns_) {
    return Fail(absl::DeadlineExceededError(absl::StrCat(
        "server: ", options_.transport.host, ", its subsystem sftp does not answer in time")));
  }
  if (!ready_ || now_ns < check_ns_) return;
  check_ns_ = now_ns + kMaxWaitNs;
  tcp_info info{};
  socklen_t size = sizeof(info);
  if (getsockopt(transport_->fd(), IPPROTO_TCP, TCP_INFO, &info, &size) != 0) return;
  const uint64_t signs = info.tcpi_bytes_received + info.tcpi_bytes_acked;
  if (std::exchange(signs_, signs) != signs) alive_ns_ = now_ns;
  const absl::Duration silent = absl::Nanoseconds(now_ns - alive_ns_);
  if (unanswered() == 0) {
    if (silent >= options_.keepalive) {
      alive_ns_ = now_ns;
      first()->Realpath(".", [](const Answer&) {});
    }
  } else if (silent >= options_.answer_timeout) {
    Fail(absl::UnavailableError(
        absl::StrCat("server: ", options_.transport.host, ", gives no sign of life")));
  }
  CheckStreams(info.tcpi_bytes_acked, now_ns);
}

// A channel whose program hangs, while others answer: it owes an answer, and all that was sent of
// it has arrived, or as much as it takes.
void Client::CheckStreams(uint64_t acknowledged, int64_t now_ns) {
  int queued = 0;
  if (ioctl(transport_->fd(), SIOCOUTQ, &queued) != 0) return;
  for (const auto& stream : streams_) {
    const Requests& requests = stream->requests;
    const bool wrote = std::exchange(stream->wrote, false);
    if (wrote) stream->arrives_at = acknowledged + static_cast<uint64_t>(queued);
    const bool heard = std::exchange(stream->answered, requests.answered()) != requests.answered();
    const bool on_its_way = acknowledged < stream->arrives_at ||
                            (!requests.unsent().empty() && !stream->channel.full());
    const bool lives =
        requests.unanswered() == 0 || heard || wrote || on_its_way || stream->alive_ns == 0;
    if (lives) stream->alive_ns = now_ns;
    if (absl::Nanoseconds(now_ns - stream->alive_ns) < options_.answer_timeout) continue;
    return Fail(absl::UnavailableError(absl::StrCat(
        "server: ", options_.transport.host, ", one of its programs for SFTP does not answer")));
  }
}

int64_t Client::WakeAt(int64_t now_ns) const {
  int64_t at = now_ns + kMaxWaitNs;
  if (!transport_->open()) at = std::min(at, transport_->next_ns());
  const int64_t probe_ns = door_.probe_deadline_ns();
  if (probe_ns != 0) at = std::min(at, probe_ns);
  for (const std::shared_ptr<Upload>& upload : uploads_) {
    // Without room it is an answer that is waited for.
    if (upload->may_send()) at = std::min(at, upload->due_ns());
    at = std::min(at, DeadlineOf(upload->job()));
  }
  for (const FileJob& job : waiting_) at = std::min(at, DeadlineOf(job));
  return at;
}

}  // namespace viaduct::sftp
