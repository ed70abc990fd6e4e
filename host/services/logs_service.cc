#include "host/services/logs_service.h"

#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "host/rpc/call.h"
#include "host/rpc/convert.h"
#include "host/rpc/describe.h"
#include "host/rpc/watch_stream.h"

namespace viaduct {
namespace {

namespace pb = control::v1;
using Stream = rpc::WatchStream<pb::LogsTailResponse>;

// From the hub's queue to the stream's. Thread-safe.
class Tailer : public std::enable_shared_from_this<Tailer> {
 public:
  explicit Tailer(std::shared_ptr<Stream> stream) : stream_(std::move(stream)) {}

  void Begin(std::unique_ptr<LogSubscription> subscription) {
    {
      absl::MutexLock lock(&mutex_);
      subscription_ = std::move(subscription);
    }
    Move();
    pb::LogsTailResponse synced;
    synced.mutable_synced();
    stream_->Push(std::move(synced));
  }

  // Called when there is something to take.
  void Move() {
    {
      absl::MutexLock lock(&mutex_);
      if (subscription_ == nullptr) return;
      uint64_t missed = 0;
      std::vector<LogRecord> records = subscription_->Take(&missed);
      if (missed > 0) {
        pb::LogsTailResponse response;
        response.mutable_lagged()->set_missed(missed);
        stream_->Queue(std::move(response));
      }
      for (const auto& record : records) {
        pb::LogsTailResponse response;
        *response.mutable_record() = rpc::ToProto(record);
        stream_->Queue(std::move(response));
      }
    }
    stream_->Flush();
  }

  std::unique_ptr<LogSubscription> End() {
    absl::MutexLock lock(&mutex_);
    return std::move(subscription_);
  }

 private:
  const std::shared_ptr<Stream> stream_;
  absl::Mutex mutex_;
  std::unique_ptr<LogSubscription> subscription_ ABSL_GUARDED_BY(mutex_);
};

template <typename Levels>
void AddLevels(const LogHub& hub, Levels* out) {
  for (const auto& level : hub.GetLevels()) {
    auto* added = out->Add();
    added->set_component(level.component);
    added->set_level(rpc::ToProto(level.level));
    if (level.expires_in.has_value()) {
      *added->mutable_expires_in() = rpc::ToProto(*level.expires_in);
    }
  }
}

// The filter of a tail; violations name what is wrong with it.
LogFilter ReadFilter(const pb::LogsTailRequest& request, rpc::Violations* violations) {
  LogFilter filter;
  filter.component = request.component();
  if (request.min_level() != pb::LOG_LEVEL_UNSPECIFIED &&
      !rpc::FromProto(request.min_level(), &filter.min_level)) {
    violations->Add("min_level", absl::StrCat("expected TRACE to OFF, got ",
                                              static_cast<int>(request.min_level())));
  }
  if (request.last() > LogHub::kMaxRingRecords) {
    violations->Add("last",
                    absl::StrCat("at most ", LogHub::kMaxRingRecords, ", got ", request.last()));
  }
  return filter;
}

}  // namespace

grpc::ServerWriteReactor<pb::LogsTailResponse>* LogsService::Tail(
    grpc::CallbackServerContext* context, const pb::LogsTailRequest* request) {
  constexpr std::string_view kMethod = "viaduct.control.v1.Logs/Tail";
  if (auto refused = deps_->gate->Refuse(*context, kMethod)) {
    return rpc::RejectWatch<pb::LogsTailResponse>(*std::move(refused));
  }
  rpc::Violations violations;
  LogFilter filter = ReadFilter(*request, &violations);
  if (!violations.empty()) {
    return rpc::RejectWatch<pb::LogsTailResponse>(violations.ToStatus("Logs.Tail"));
  }
  auto stream = Stream::Create(LogHub::kMaxRingRecords + LogHub::kMaxPendingPerSubscriber,
                               [](uint64_t missed) {
                                 pb::LogsTailResponse response;
                                 response.mutable_lagged()->set_missed(missed);
                                 return response;
                               });
  stream->SetStanding(deps_->gate->Standing(*context, kMethod));
  if (!request->follow()) {
    for (const auto& record : deps_->log_hub->Recent(request->last(), filter)) {
      pb::LogsTailResponse response;
      *response.mutable_record() = rpc::ToProto(record);
      stream->Queue(std::move(response));
    }
    pb::LogsTailResponse synced;
    synced.mutable_synced();
    stream->Queue(std::move(synced));
    stream->Close(grpc::Status::OK);
    return stream.get();
  }
  auto tailer = std::make_shared<Tailer>(stream);
  std::weak_ptr<Tailer> weak = tailer;
  auto subscription = deps_->log_hub->Subscribe(std::move(filter), request->last(), [weak] {
    if (auto strong = weak.lock()) strong->Move();
  });
  if (!subscription.ok()) {
    stream->Close(rpc::ToGrpc(subscription.status()));
    return stream.get();
  }
  // Unsubscribing waits for a callback that is running, so it is not done on gRPC's own stack.
  stream->SetOnDone([tailer, executor = deps_->executor] {
    auto ended = std::make_shared<std::unique_ptr<LogSubscription>>(tailer->End());
    executor->Submit([ended] { ended->reset(); });
  });
  tailer->Begin(*std::move(subscription));
  return stream.get();
}

grpc::ServerUnaryReactor* LogsService::GetLevels(grpc::CallbackServerContext* context,
                                                 const pb::LogsGetLevelsRequest* /*request*/,
                                                 pb::LogsGetLevelsResponse* response) {
  if (auto refused = deps_->gate->Refuse(*context, "viaduct.control.v1.Logs/GetLevels")) {
    return rpc::Answer(context, *std::move(refused));
  }
  AddLevels(*deps_->log_hub, response->mutable_levels());
  return rpc::Answer(context, grpc::Status::OK);
}

grpc::ServerUnaryReactor* LogsService::SetLevel(grpc::CallbackServerContext* context,
                                                const pb::LogsSetLevelRequest* request,
                                                pb::LogsSetLevelResponse* response) {
  if (auto refused = deps_->gate->Refuse(*context, "viaduct.control.v1.Logs/SetLevel")) {
    return rpc::Answer(context, *std::move(refused));
  }
  rpc::Violations violations;
  LogLevel level = LogLevel::kInfo;
  if (!rpc::FromProto(request->level(), &level)) {
    violations.Add("level",
                   absl::StrCat("expected TRACE to OFF, got ", static_cast<int>(request->level())));
  }
  const absl::Duration time_to_live =
      rpc::ReadDuration(request->has_time_to_live(), request->time_to_live(),
                        {absl::ZeroDuration(), absl::Milliseconds(1), LogHub::kMaxTimeToLive},
                        "time_to_live", &violations);
  if (!violations.empty()) return rpc::Answer(context, violations.ToStatus("Logs.SetLevel"));
  const std::string author = deps_->gate->Describe(*context);
  return rpc::RunOn(
      deps_->executor, context, [this, author, request, response, level, time_to_live] {
        const absl::Status status =
            deps_->log_hub->SetLevel(request->component(), level, time_to_live);
        Audit(*deps_, author, "Logs.SetLevel",
              absl::StrCat(request->component(), " ", std::string(LogLevelName(level))), status);
        if (status.ok()) AddLevels(*deps_->log_hub, response->mutable_levels());
        return rpc::ToGrpc(status);
      });
}

grpc::ServerUnaryReactor* LogsService::ResetLevel(grpc::CallbackServerContext* context,
                                                  const pb::LogsResetLevelRequest* request,
                                                  pb::LogsResetLevelResponse* response) {
  if (auto refused = deps_->gate->Refuse(*context, "viaduct.control.v1.Logs/ResetLevel")) {
    return rpc::Answer(context, *std::move(refused));
  }
  const std::string author = deps_->gate->Describe(*context);
  return rpc::RunOn(deps_->executor, context, [this, author, request, response] {
    deps_->log_hub->ResetLevel(request->component());
    Audit(*deps_, author, "Logs.ResetLevel", request->component(), absl::OkStatus());
    AddLevels(*deps_->log_hub, response->mutable_levels());
    return grpc::Status::OK;
  });
}

}  // namespace viaduct
