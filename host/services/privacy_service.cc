#include "host/services/privacy_service.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "core/base/status_macros.h"
#include "core/base/string_view.h"
#include "core/message/json_scanner.h"
#include "host/rpc/call.h"
#include "host/rpc/convert.h"
#include "host/rpc/watch_stream.h"

namespace viaduct {
namespace {

namespace pb = control::v1;

PrivacySubject Read(const pb::PrivacySubject& message) {
  return PrivacySubject{message.plate(), message.device_id()};
}

// The audit outlives what was erased: it must not name the plate.
std::string Shown(const PrivacySubject& subject) {
  return subject.plate.empty() ? absl::StrCat("device ", ShownText(subject.device_id)) : "a plate";
}

pb::PrivacyCounts ToProto(const ForgottenCounts& counts) {
  pb::PrivacyCounts out;
  for (size_t i = 0; i < kKeptTables; ++i) {
    if (counts.rows[i] == 0) continue;
    const std::string table(KeptTableName(static_cast<KeptTable>(i)));
    (*out.mutable_rows())[table] = static_cast<uint64_t>(counts.rows[i]);
  }
  out.set_images(static_cast<uint64_t>(counts.images));
  out.set_files(static_cast<uint64_t>(counts.files));
  out.set_spooled(static_cast<uint64_t>(counts.spooled));
  out.set_in_flight(static_cast<uint64_t>(counts.in_flight));
  out.set_unreadable(static_cast<uint64_t>(counts.unreadable));
  out.set_listed(counts.listed);
  out.set_in_the_log(counts.in_the_log);
  return out;
}

std::string Told(const ForgottenCounts& counts) {
  int64_t rows = 0;
  for (const int64_t n : counts.rows) rows += n;
  return absl::StrCat(rows, " rows, ", counts.images, " images, ", counts.files, " files, ",
                      counts.spooled, " waiting messages");
}

// One message is out at a time: whoever reads slowly keeps nothing but the thread, and that not
// long. Owned by gRPC until OnDone and by the thread that fills it. Thread-safe.
class ExportCall final : public grpc::ServerWriteReactor<pb::PrivacyExportResponse>,
                         public std::enable_shared_from_this<ExportCall> {
 public:
  explicit ExportCall(grpc::CallbackServerContext* context) : context_(context) {}
  static std::shared_ptr<ExportCall> Make(grpc::CallbackServerContext* context) {
    auto call = std::make_shared<ExportCall>(context);
    call->self_ = call;
    return call;
  }

  void Run(Privacy* privacy, const PrivacySubject& subject, bool with_images) {
    const absl::Status status =
        privacy->Export(subject, [&](KeptTable table, const KeptRow& row) -> absl::Status {
          pb::PrivacyExportResponse message;
          message.mutable_record()->set_table(std::string(KeptTableName(table)));
          message.mutable_record()->set_json(row.json);
          VD_RETURN_IF_ERROR(Write(std::move(message)));
          for (size_t i = 0; with_images && i < row.images.size(); ++i) {
            VD_RETURN_IF_ERROR(WriteImage(*privacy, row.images[i]));
          }
          return absl::OkStatus();
        });
    Finish(rpc::ToGrpc(status));
  }

  void OnWriteDone(bool ok) override {
    const absl::MutexLock lock(&mutex_);
    writing_ = false;
    gone_ = gone_ || !ok;
  }
  void OnCancel() override {
    const absl::MutexLock lock(&mutex_);
    gone_ = true;
  }
  void OnDone() override { self_.reset(); }

 private:
  absl::Status Write(pb::PrivacyExportResponse message) {
    {
      const absl::MutexLock lock(&mutex_);
      if (gone_) return absl::CancelledError("privacy: the reader has gone");
      writing_ = true;
    }
    message_ = std::move(message);
    StartWrite(&message_);
    const absl::Condition written(
        +[](bool* writing) { return !*writing; }, &writing_);
    const absl::MutexLock lock(&mutex_);
    if (!mutex_.AwaitWithTimeout(written, PrivacyService::kReaderPatience)) {
      mutex_.Unlock();
      context_->TryCancel();
      mutex_.Lock();
      mutex_.Await(written);
      return absl::DeadlineExceededError("privacy: the reader takes nothing");
    }
    return gone_ ? absl::CancelledError("privacy: the reader has gone") : absl::OkStatus();
  }

  absl::Status WriteImage(const Privacy& privacy, const std::string& path) {
    const absl::StatusOr<std::string> octets = privacy.ReadImage(path);
    size_t at = 0;
    bool last = false;
    while (!last) {
      pb::PrivacyExportResponse message;
      pb::PrivacyImage* const image = message.mutable_image();
      image->set_path(path);
      if (octets.ok()) {
        const size_t size = std::min(octets->size() - at, PrivacyService::kPartBytes);
        image->set_data(octets->substr(at, size));
        at += size;
        last = at == octets->size();
      } else {
        image->set_error(std::string(octets.status().message()));
        last = true;
      }
      image->set_last(last);
      VD_RETURN_IF_ERROR(Write(std::move(message)));
    }
    return absl::OkStatus();
  }

  grpc::CallbackServerContext* const context_;  // Lives until OnDone.
  absl::Mutex mutex_;
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool gone_ ABSL_GUARDED_BY(mutex_) = false;
  pb::PrivacyExportResponse message_;  // Of the one who is writing.
  std::shared_ptr<ExportCall> self_;   // gRPC's share.
};

grpc::Status Busy() {
  return rpc::ToGrpc(
      absl::ResourceExhaustedError("privacy: too many calls are waiting, try again later"));
}

}  // namespace

grpc::ServerWriteReactor<pb::PrivacyExportResponse>* PrivacyService::Export(
    grpc::CallbackServerContext* context, const pb::PrivacyExportRequest* request) {
  if (auto refused = deps_->gate->Refuse(*context, "viaduct.control.v1.Privacy/Export")) {
    return rpc::RejectWatch<pb::PrivacyExportResponse>(*std::move(refused));
  }
  const PrivacySubject subject = Read(request->subject());
  const absl::Status good = Privacy::CheckSubject(subject);
  if (!good.ok()) return rpc::RejectWatch<pb::PrivacyExportResponse>(rpc::ToGrpc(good));
  const std::shared_ptr<ExportCall> call = ExportCall::Make(context);
  const std::string author = deps_->gate->Describe(*context);
  const bool queued = deps_->privacy_pool->Submit(
      [this, call, subject, author, with_images = !request->without_images()] {
        Audit(*deps_, author, "Privacy.Export", Shown(subject), absl::OkStatus());
        call->Run(deps_->privacy, subject, with_images);
      });
  if (!queued) call->Finish(Busy());
  return call.get();
}

grpc::ServerUnaryReactor* PrivacyService::Erase(grpc::CallbackServerContext* context,
                                                const pb::PrivacyEraseRequest* request,
                                                pb::PrivacyEraseResponse* response) {
  if (auto refused = deps_->gate->Refuse(*context, "viaduct.control.v1.Privacy/Erase")) {
    return rpc::Answer(context, *std::move(refused));
  }
  const PrivacySubject subject = Read(request->subject());
  const absl::Status good = Privacy::CheckSubject(subject);
  if (!good.ok()) return rpc::Answer(context, rpc::ToGrpc(good));
  Privacy::EraseOptions options;
  options.dry_run = request->dry_run();
  options.blacklist = request->blacklist();
  const std::string author = deps_->gate->Describe(*context);
  return rpc::RunOn(
      deps_->privacy_pool, context, [this, author, subject, options, response]() -> grpc::Status {
        const std::string shown = absl::StrCat(Shown(subject), options.dry_run ? ", dry run" : "");
        // Whoever takes the node down meanwhile leaves no trace otherwise.
        Audit(*deps_, author, "Privacy.Erase", absl::StrCat(shown, ": begins"), absl::OkStatus());
        const absl::StatusOr<ForgottenCounts> counts = deps_->privacy->Erase(subject, options);
        const std::string told = counts.ok() ? absl::StrCat(": ", Told(*counts)) : "";
        Audit(*deps_, author, "Privacy.Erase", absl::StrCat(shown, told), counts.status());
        if (!counts.ok()) return rpc::ToGrpc(counts.status());
        *response->mutable_counts() = ToProto(*counts);
        return grpc::Status::OK;
      });
}

grpc::ServerUnaryReactor* PrivacyService::Sweep(grpc::CallbackServerContext* context,
                                                const pb::PrivacySweepRequest* request,
                                                pb::PrivacySweepResponse* response) {
  if (auto refused = deps_->gate->Refuse(*context, "viaduct.control.v1.Privacy/Sweep")) {
    return rpc::Answer(context, *std::move(refused));
  }
  const std::string author = deps_->gate->Describe(*context);
  return rpc::RunOn(
      deps_->privacy_pool, context,
      [this, author, dry_run = request->dry_run(), response]() -> grpc::Status {
        bool more = false;
        const absl::StatusOr<ForgottenCounts> counts = deps_->privacy->Sweep(dry_run, &more);
        Audit(*deps_, author, "Privacy.Sweep",
              absl::StrCat(dry_run ? "dry run" : "", counts.ok() ? Told(*counts) : ""),
              counts.status());
        if (!counts.ok()) return rpc::ToGrpc(counts.status());
        *response->mutable_counts() = ToProto(*counts);
        response->set_more(more);
        return grpc::Status::OK;
      });
}

}  // namespace viaduct
