#include "plugins/sftp/client.h"

#include <poll.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "absl/hash/hash.h"
#include "absl/strings/str_cat.h"
#include "plugins/common/remote_name.h"

namespace viaduct::sftp {
namespace {

constexpr int64_t kNanosPerMilli = 1'000'000;

}  // namespace

Client::Client(ClientOptions options, Events events)
    : options_(std::move(options)),
      events_(std::move(events)),
      transport_(std::make_unique<Transport>(options_.transport)),
      window_{options_.window_bytes} {
  upload_events_.on_progress = [this](uint64_t token, uint64_t moved, uint64_t durable) {
    events_.on_progress(token, moved, durable);
    TellWaiting(token, moved);
  };
  upload_events_.on_sent = [this](size_t bytes) {
    absl::MutexLock lock(&mutex_);
    stats_.sent_bytes += bytes;
  };
  upload_events_.on_end = [this](const FileEnd& end) { OnEnd(end); };
}

Client::~Client() { Stop(); }

absl::Status Client::Start() {
  const absl::Status opened = thread_.Open();
  if (!opened.ok()) return opened;
  thread_.Start([this] { Run(); });
  return absl::OkStatus();
}

void Client::Stop() {
  stopping_.store(true);
  Wake();
  thread_.Stop();
}

void Client::Wake() const { thread_.Wake(); }

ClientStats Client::stats() const {
  absl::MutexLock lock(&mutex_);
  return stats_;
}

void Client::Run() {
  alive_ns_ = MonotonicNs();
  ready_by_ns_ = alive_ns_ + absl::ToInt64Nanoseconds(options_.transport.connect_timeout);
  Fail(transport_->Start(alive_ns_));
  while (failed_.ok() && !stopping_.load()) Turn();
  Finish();
}

void Client::Fail(const absl::Status& why) {
  if (failed_.ok()) failed_ = why;
}

void Client::Turn() {
  const int64_t now = MonotonicNs();
  Advance(now);
  if (!failed_.ok()) return;
  TakeMail(now);
  CheckDeadlines(now);
  AskProbe(now);
  Pump(now);
  Flush();
  Sweep();
  CheckLife(now);
  if (failed_.ok()) Poll(now);
}

void Client::Advance(int64_t now_ns) {
  if (!transport_->open()) {
    Fail(transport_->Advance(now_ns));
    if (!failed_.ok() || !transport_->open()) return;
    OpenStreams();
  }
  if (!settled_) {
    for (const auto& stream : streams_) AdvanceStream(stream.get());
  }
  Hear();
  if (!settled_) SettleStreams();
  if (!ready_ && settled_ && root_found_ && failed_.ok()) OnReady();
}

void Client::OpenStreams() {
  for (size_t i = 0; i < options_.channels; ++i) {
    streams_.push_back(std::make_unique<Stream>(transport_->session(), &window_));
  }
  folders_ = std::make_unique<Folders>(options_.remote_path, first());
}

void Client::AdvanceStream(Stream* stream) {
  stream->channel.Advance();
  if (!stream->channel.open() || std::exchange(stream->greeted, true)) return;
  stream->requests.Init([this, stream] {
    stream->ready = true;
    if (stream != streams_.front().get()) return;
    folders_->NeedRoot([this](const absl::Status& status) {
      Fail(status);
      root_found_ = status.ok();
    });
  });
}

// One reading of the socket brings what is there for any of the channels.
void Client::Hear() {
  bool more = true;
  while (more && failed_.ok()) {
    streams_.front()->channel.Hear();
    more = false;
    for (const auto& stream : streams_) {
      const std::string octets = stream->channel.Take();
      if (octets.empty()) continue;
      more = true;
      Fail(stream->requests.OnOctets(octets));
    }
  }
  Fail(transport_->Check());
  for (const auto& stream : streams_) {
    const bool needed = settled_ || stream == streams_.front();
    if (!needed || !stream->channel.refused()) continue;
    Fail(absl::UnavailableError(absl::StrCat("server: ", options_.transport.host,
                                             ", refuses or has ended the subsystem sftp")));
  }
}

// A server that allows fewer channels has fewer.
void Client::SettleStreams() {
  const auto settled = [](const auto& stream) {
    return stream->ready || stream->channel.refused();
  };
  if (!failed_.ok() || !std::all_of(streams_.begin(), streams_.end(), settled)) return;
  // They stay as long as the connection, which knows them; but nothing is sent over them.
  std::stable_partition(streams_.begin(), streams_.end(),
                        [](const auto& stream) { return stream->ready; });
  const auto refused = std::find_if(streams_.begin(), streams_.end(),
                                    [](const auto& stream) { return !stream->ready; });
  std::move(refused, streams_.end(), std::back_inserter(refused_));
  streams_.erase(refused, streams_.end());
  settled_ = true;
}

void Client::OnReady() {
  ready_ = true;
  door_.Open(std::min(options_.max_transfers, first()->features().max_open_handles));
  events_.on_ready(first()->features());
}

std::string Client::PartOf(const FileJob& job) const {
  return folders_->PathOf(PartName(job.remote_name, job.sha256, options_.road));
}

// Always the same channel for one part: what belongs to it stays in order.
size_t Client::StreamOf(const std::string& part) const {
  return absl::HashOf(part) % streams_.size();
}

// Behind what was sent of it; one that somebody goes on with, or will, stays.
void Client::RemovePart(const FileLeftover& leftover) {
  const std::string part =
      folders_->PathOf(PartName(leftover.remote_name, leftover.sha256, options_.road));
  const bool wanted = std::any_of(waiting_.begin(), waiting_.end(),
                                  [&](const FileJob& job) { return PartOf(job) == part; });
  if (wanted || PartIsTaken(part)) return;
  streams_[StreamOf(part)]->requests.Remove(part, [](const Answer&) {});
}

std::shared_ptr<Upload> Client::MakeUpload(FileJob job, const std::string& part) {
  const size_t number = StreamOf(part);
  Requests* const requests = &streams_[number]->requests;
  Requests* const syncs = &streams_[(number + 1) % streams_.size()]->requests;
  return std::make_shared<Upload>(std::move(job), part, requests, syncs, folders_.get(),
                                  &upload_events_);
}

size_t Client::unanswered() const {
  size_t sum = 0;
  for (const auto& stream : streams_) sum += stream->requests.unanswered();
  return sum;
}

void Client::TakeMail(int64_t now_ns) {
  FileDoor::Mail mail = door_.Take();
  for (FileJob& job : mail.begun) waiting_.push_back(std::move(job));
  for (const uint64_t token : mail.cancelled) CancelNow(token);
  for (const FileLeftover& leftover : mail.leftovers) RemovePart(leftover);
  if (!waiting_.empty()) StartWaiting(now_ns);
}

bool Client::PartIsTaken(const std::string& part) const {
  return std::any_of(uploads_.begin(), uploads_.end(), [&](const auto& upload) {
    return !upload->ended() && upload->part() == part;
  });
}

void Client::StartWaiting(int64_t now_ns) {
  std::deque<FileJob> still;
  for (FileJob& job : std::exchange(waiting_, {})) {
    const std::string part = PartOf(job);
    if (PartIsTaken(part)) {
      still.push_back(std::move(job));
      continue;
    }
    const std::shared_ptr<Upload> upload = MakeUpload(std::move(job), part);
    uploads_.push_back(upload);
    upload->Start(now_ns);
  }
  waiting_ = std::move(still);
}

void Client::CancelNow(uint64_t token) {
  for (const std::shared_ptr<Upload>& upload : uploads_) {
    if (upload->job().token == token) {
      upload->End(FileOutcome::kCancelled, absl::CancelledError("file: cancelled"));
    }
  }
  const auto it = std::find_if(waiting_.begin(), waiting_.end(),
                               [&](const FileJob& job) { return job.token == token; });
  if (it == waiting_.end()) return;
  const FileJob job = std::move(*it);
  waiting_.erase(it);
  EndWaiting(job, FileOutcome::kCancelled, absl::CancelledError("file: cancelled"));
}

void Client::EndWaiting(const FileJob& job, FileOutcome outcome, const absl::Status& why) {
  FileEnd end;
  end.token = job.token;
  end.outcome = outcome;
  end.status = why;
  end.durable_offset = job.offset;
  OnEnd(end);
}

void Client::OnEnd(const FileEnd& end) {
  door_.Ended();
  if (end.outcome == FileOutcome::kDurable) {
    absl::MutexLock lock(&mutex_);
    ++stats_.files;
  }
  events_.on_end(end);
}

// Each in turn sends one piece, as long as there is room for one.
void Client::Pump(int64_t now_ns) {
  size_t idle = 0;
  while (idle < uploads_.size()) {
    next_ = (next_ + 1) % uploads_.size();
    Upload* upload = uploads_[next_].get();
    idle = upload->may_send() && upload->Turn(now_ns) ? 0 : idle + 1;
  }
}

// Each round begins with another channel: what does not go today is not always of the same ones.
void Client::Flush() {
  bool more = true;
  while (more && failed_.ok() && !streams_.empty()) {
    more = false;
    next_stream_ = (next_stream_ + 1) % streams_.size();
    for (size_t i = 0; i < streams_.size(); ++i) {
      const auto& stream = streams_[(next_stream_ + i) % streams_.size()];
      if (!stream->channel.open() || stream->requests.unsent().empty()) continue;
      const std::string_view octets = stream->requests.unsent().substr(0, stream->channel.room());
      if (octets.empty()) continue;
      size_t written = 0;
      Fail(stream->channel.Write(octets, &written));
      stream->requests.OnSent(written);
      stream->wrote = true;
      NoteProbeSent(*stream);
      more = true;
    }
  }
}

void Client::Sweep() {
  const auto ended = [](const std::shared_ptr<Upload>& upload) { return upload->ended(); };
  uploads_.erase(std::remove_if(uploads_.begin(), uploads_.end(), ended), uploads_.end());
}

void Client::Poll(int64_t now_ns) {
  pollfd watched[2] = {{thread_.descriptor(), POLLIN, 0},
                       {transport_->fd(), transport_->events(), 0}};
  for (const auto& stream : streams_) {
    const bool wants = stream->channel.open() && !stream->requests.unsent().empty();
    if (wants && stream->channel.room() > 0) watched[1].events |= POLLOUT;
  }
  const int64_t wait = std::max<int64_t>(WakeAt(now_ns) - MonotonicNs(), 0);
  const int ready =
      poll(watched, 2, static_cast<int>((wait + kNanosPerMilli - 1) / kNanosPerMilli));
  if (ready > 0 && watched[0].revents != 0) thread_.Clear();
}

void Client::Finish() {
  const bool in_order = failed_.ok();
  for (FileJob& job : door_.Close(failed_)) waiting_.push_back(std::move(job));
  const FileOutcome outcome = in_order ? FileOutcome::kCancelled : FileOutcome::kRetry;
  const absl::Status why = in_order
                               ? absl::CancelledError("file: the instance is stopped")
                               : absl::Status(absl::StatusCode::kUnavailable, failed_.message());
  for (const std::shared_ptr<Upload>& upload : uploads_) upload->End(outcome, why);
  for (const FileJob& job : std::exchange(waiting_, {})) EndWaiting(job, outcome, why);
  FinishProbe(in_order ? absl::CancelledError("probe: stopped") : failed_);
  for (const auto& stream : streams_) stream->requests.Drop();
  uploads_.clear();
  if (in_order) transport_->SayFarewell();
  transport_.reset();
  streams_.clear();
  refused_.clear();
  if (!in_order) events_.on_ended(failed_);
}

}  // namespace viaduct::sftp
