#include "host/services/backup_service.h"

#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/backup/backups.h"
#include "host/node/backup_runner.h"
#include "host/rpc/backup_convert.h"
#include "host/rpc/call.h"
#include "host/rpc/watch_stream.h"

namespace viaduct {
namespace {

namespace pb = control::v1;
using Stream = rpc::WatchStream<pb::BackupCreateResponse>;

pb::BackupCreateResponse ToProto(const backup::BackupProgress& progress) {
  pb::BackupCreateResponse response;
  response.mutable_progress()->set_part(progress.part);
  response.mutable_progress()->set_files(progress.files);
  response.mutable_progress()->set_bytes(progress.bytes);
  return response;
}

absl::Status NoBackups() {
  return absl::FailedPreconditionError(
      "backup: this node makes none, it has no section \"backup\"");
}

absl::Status Busy() {
  return absl::ResourceExhaustedError("backup: too many calls are waiting, try again later");
}

void Make(const ServiceDeps& deps, const std::shared_ptr<Stream>& stream,
          const std::shared_ptr<BackupRunner::Run>& run, const std::string& author) {
  const absl::StatusOr<backup::BackupManifest> made =
      deps.backups->Create(run, [&stream](const backup::BackupProgress& progress) {
        stream->Push(ToProto(progress), "progress");
      });
  Audit(deps, author, "Backup.Create", made.ok() ? made->name : "", made.status());
  if (made.ok()) {
    pb::BackupCreateResponse last;
    *last.mutable_made() = rpc::ToProto(*made);
    stream->Push(std::move(last));
  }
  stream->Close(rpc::ToGrpc(made.status()));
}

}  // namespace

grpc::ServerWriteReactor<pb::BackupCreateResponse>* BackupService::Create(
    grpc::CallbackServerContext* context, const pb::BackupCreateRequest* /*request*/) {
  constexpr std::string_view kMethod = "viaduct.control.v1.Backup/Create";
  if (auto refused = deps_->gate->Refuse(*context, kMethod)) {
    return rpc::RejectWatch<pb::BackupCreateResponse>(*std::move(refused));
  }
  if (deps_->backups == nullptr) {
    return rpc::RejectWatch<pb::BackupCreateResponse>(rpc::ToGrpc(NoBackups()));
  }
  const std::shared_ptr<Stream> stream = Stream::Create(kMaxWaiting);
  stream->SetStanding(deps_->gate->Standing(*context, kMethod));
  const auto run = std::make_shared<BackupRunner::Run>();
  const std::string author = deps_->gate->Describe(*context);
  stream->SetOnDone([run] { run->End(); });
  const bool queued = deps_->backup_pool->Submit(
      [deps = deps_, stream, run, author] { Make(*deps, stream, run, author); });
  if (!queued) stream->Close(rpc::ToGrpc(Busy()));
  return stream.get();
}

grpc::ServerUnaryReactor* BackupService::List(grpc::CallbackServerContext* context,
                                              const pb::BackupListRequest* /*request*/,
                                              pb::BackupListResponse* response) {
  if (auto refused = deps_->gate->Refuse(*context, "viaduct.control.v1.Backup/List")) {
    return rpc::Answer(context, *std::move(refused));
  }
  if (deps_->backups == nullptr) return rpc::Answer(context, rpc::ToGrpc(NoBackups()));
  return rpc::RunOn(deps_->executor, context, [deps = deps_, response]() -> grpc::Status {
    const std::string& path = deps->backups->options().path;
    const auto entries = backup::ListBackups(path);
    // Before the first one there is no folder.
    if (!entries.ok() && !absl::IsNotFound(entries.status())) {
      return rpc::ToGrpc(entries.status());
    }
    response->set_path(path);
    if (!entries.ok()) return grpc::Status::OK;
    for (const backup::BackupEntry& entry : *entries)
      *response->add_backups() = rpc::ToProto(entry);
    return grpc::Status::OK;
  });
}

grpc::ServerUnaryReactor* BackupService::Prune(grpc::CallbackServerContext* context,
                                               const pb::BackupPruneRequest* request,
                                               pb::BackupPruneResponse* response) {
  if (auto refused = deps_->gate->Refuse(*context, "viaduct.control.v1.Backup/Prune")) {
    return rpc::Answer(context, *std::move(refused));
  }
  if (deps_->backups == nullptr) return rpc::Answer(context, rpc::ToGrpc(NoBackups()));
  if (request->keep() == 0) {
    return rpc::Answer(context,
                       rpc::ToGrpc(absl::InvalidArgumentError("keep: expected at least 1, got 0")));
  }
  const std::string author = deps_->gate->Describe(*context);
  return rpc::RunOn(
      deps_->backup_pool, context,
      [deps = deps_, author, keep = request->keep(), dry_run = request->dry_run(),
       response]() -> grpc::Status {
        const auto removed = backup::PruneBackups(deps->backups->options().path, keep, dry_run);
        if (!dry_run || !removed.ok()) {
          Audit(*deps, author, "Backup.Prune", absl::StrCat("keeps ", keep), removed.status());
        }
        if (!removed.ok()) return rpc::ToGrpc(removed.status());
        for (const std::string& name : *removed) response->add_removed(name);
        return grpc::Status::OK;
      });
}

}  // namespace viaduct
