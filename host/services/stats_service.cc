#include "host/services/stats_service.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "host/rpc/call.h"
#include "host/rpc/convert.h"
#include "host/rpc/describe.h"
#include "host/rpc/watch_stream.h"
#include "host/services/envelope_convert.h"
#include "host/services/snapshot.h"

namespace viaduct {
namespace {

namespace pb = control::v1;
using Stream = rpc::WatchStream<pb::StatsWatchResponse>;

absl::StatusOr<Explanation> ExplanationFor(const ServiceDeps& deps,
                                           const SelectorMessage& message) {
  if (deps.dispatcher == nullptr) {
    return absl::FailedPreconditionError("stats: this node sends nothing on");
  }
  if (!message.is_file) return deps.dispatcher->Explain(message);
  if (deps.transfers == nullptr) {
    return absl::FailedPreconditionError("stats: this node sends no files");
  }
  return deps.transfers->engine()->Explain(message.bytes, message.priority);
}

// Sends a snapshot each interval until the stream is over. Owned by the timer or task that comes
// next. Thread-safe.
class Ticker : public std::enable_shared_from_this<Ticker> {
 public:
  Ticker(const ServiceDeps* deps, SnapshotQuery query, absl::Duration interval,
         std::shared_ptr<Stream> stream)
      : deps_(deps), query_(std::move(query)), interval_(interval), stream_(std::move(stream)) {}

  // The first picture, too, reads a database: not on a gRPC thread.
  void Begin() {
    if (deps_->executor->Submit([self = shared_from_this()] { self->Tick(); })) return;
    stream_->Close(
        rpc::ToGrpc(absl::ResourceExhaustedError("stats: too many calls are waiting, try again")));
  }

  void Tick() {
    if (over_.load()) return;
    auto snapshot = TakeSnapshot(*deps_, query_);
    if (!snapshot.ok()) {
      stream_->Close(rpc::ToGrpc(snapshot.status()));
      return;
    }
    pb::StatsWatchResponse response;
    *response.mutable_snapshot() = *std::move(snapshot);
    stream_->Push(std::move(response), "snapshot");  // An older one that waits is replaced.
    Arm();
  }

  void End() { over_.store(true); }

 private:
  void Arm() {
    const uint64_t timer = deps_->timers->ArmAfter(interval_, [self = shared_from_this()] {
      // Pictures are taken by the pool; when it has no time there is none this time.
      if (!self->deps_->executor->Submit([self] { self->Tick(); }) && !self->over_.load()) {
        self->Arm();
      }
    });
    if (timer == 0) {
      stream_->Close(rpc::ToGrpc(absl::UnavailableError("stats: the node is stopping")));
    }
  }

  const ServiceDeps* const deps_;
  const SnapshotQuery query_;
  const absl::Duration interval_;
  const std::shared_ptr<Stream> stream_;
  std::atomic<bool> over_{false};
};

}  // namespace

grpc::ServerUnaryReactor* StatsService::Snapshot(grpc::CallbackServerContext* context,
                                                 const pb::StatsSnapshotRequest* request,
                                                 pb::StatsSnapshotResponse* response) {
  if (auto refused = deps_->gate->Refuse(*context, "viaduct.control.v1.Stats/Snapshot")) {
    return rpc::Answer(context, *std::move(refused));
  }
  return rpc::RunOn(deps_->executor, context, [this, request, response] {
    SnapshotQuery query{
        {request->instances().begin(), request->instances().end()}, request->samples(), epoch_};
    auto snapshot = TakeSnapshot(*deps_, query);
    if (!snapshot.ok()) return rpc::ToGrpc(snapshot.status());
    *response->mutable_snapshot() = *std::move(snapshot);
    return grpc::Status::OK;
  });
}

grpc::ServerUnaryReactor* StatsService::Explain(grpc::CallbackServerContext* context,
                                                const pb::StatsExplainRequest* request,
                                                pb::StatsExplainResponse* response) {
  if (auto refused = deps_->gate->Refuse(*context, "viaduct.control.v1.Stats/Explain")) {
    return rpc::Answer(context, *std::move(refused));
  }
  SelectorMessage message;
  message.bytes = request->bytes();
  message.is_file = request->file();
  rpc::Violations violations;
  if (request->bytes() > kMaxExplainedBytes) violations.Add("bytes", "more than 1 TiB");
  if (!ReadPriority(request->priority(), &message.priority)) {
    violations.Add("priority", "no such value");
  }
  message.backlog = request->backlog() || message.priority == Priority::kLow;
  if (message.is_file) message.backlog = request->backlog();
  if (message.backlog && (message.is_file || message.priority == Priority::kHigh)) {
    violations.Add("backlog", "neither files nor messages of high priority are backlog");
  }
  if (!violations.empty()) return rpc::Answer(context, violations.ToStatus("Stats.Explain"));
  Executor* const executor = message.is_file ? deps_->commands : deps_->executor;
  return rpc::RunOn(executor, context, [this, message, response] {
    const absl::StatusOr<Explanation> explained = ExplanationFor(*deps_, message);
    if (!explained.ok()) return rpc::ToGrpc(explained.status());
    response->set_link(explained->link);
    response->set_why(explained->why);
    for (const LinkVerdict& verdict : explained->links) {
      pb::LinkVerdict* shown = response->add_links();
      shown->set_link(verdict.link);
      shown->set_eligible(verdict.eligible);
      *shown->mutable_expected() = rpc::ToProto(absl::Milliseconds(verdict.expected_ms));
      *shown->mutable_price() = rpc::ToProto(absl::Milliseconds(verdict.price_ms));
      shown->set_why(verdict.why);
    }
    return grpc::Status::OK;
  });
}

grpc::ServerWriteReactor<pb::StatsWatchResponse>* StatsService::Watch(
    grpc::CallbackServerContext* context, const pb::StatsWatchRequest* request) {
  constexpr std::string_view kMethod = "viaduct.control.v1.Stats/Watch";
  if (auto refused = deps_->gate->Refuse(*context, kMethod)) {
    return rpc::RejectWatch<pb::StatsWatchResponse>(*std::move(refused));
  }
  rpc::Violations violations;
  const absl::Duration interval =
      rpc::ReadDuration(request->has_interval(), request->interval(),
                        {kDefaultInterval, kMinInterval, kMaxInterval}, "interval", &violations);
  if (!violations.empty()) {
    return rpc::RejectWatch<pb::StatsWatchResponse>(violations.ToStatus("Stats.Watch"));
  }
  if (watches_->fetch_add(1) >= kMaxWatches) {
    watches_->fetch_sub(1);
    return rpc::RejectWatch<pb::StatsWatchResponse>(
        rpc::ToGrpc(absl::ResourceExhaustedError("stats: too many watchers, close one first")));
  }
  SnapshotQuery query{
      {request->instances().begin(), request->instances().end()}, request->samples(), epoch_};
  auto stream = Stream::Create(1);
  stream->SetStanding(deps_->gate->Standing(*context, kMethod));
  auto ticker = std::make_shared<Ticker>(deps_, std::move(query), interval, stream);
  stream->SetOnDone([ticker, watches = watches_] {
    ticker->End();
    watches->fetch_sub(1);
  });
  ticker->Begin();
  return stream.get();
}

grpc::ServerUnaryReactor* StatsService::ListAlerts(grpc::CallbackServerContext* context,
                                                   const pb::StatsListAlertsRequest* /*request*/,
                                                   pb::StatsListAlertsResponse* response) {
  if (auto refused = deps_->gate->Refuse(*context, "viaduct.control.v1.Stats/ListAlerts")) {
    return rpc::Answer(context, *std::move(refused));
  }
  for (const Alert& alert : deps_->alerts->Active()) {
    *response->add_active() = rpc::ToProto(alert);
  }
  for (const Alert& alert : deps_->alerts->Past()) *response->add_past() = rpc::ToProto(alert);
  return rpc::Answer(context, grpc::Status::OK);
}

grpc::ServerWriteReactor<pb::StatsWatchAlertsResponse>* StatsService::WatchAlerts(
    grpc::CallbackServerContext* context, const pb::StatsWatchAlertsRequest* /*request*/) {
  constexpr std::string_view kMethod = "viaduct.control.v1.Stats/WatchAlerts";
  if (auto refused = deps_->gate->Refuse(*context, kMethod)) {
    return rpc::RejectWatch<pb::StatsWatchAlertsResponse>(*std::move(refused));
  }
  return rpc::WhileAllowed(deps_->hub->WatchAlerts(*deps_->alerts),
                           deps_->gate->Standing(*context, kMethod));
}

}  // namespace viaduct
