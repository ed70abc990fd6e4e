#include "host/services/file_stream.h"

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "core/base/status_macros.h"
#include "core/base/string_view.h"
#include "core/security/permissions.h"
#include "host/rpc/convert.h"
#include "host/rpc/status.h"
#include "host/services/envelope_convert.h"
#include "host/services/gateway_service.h"

namespace viaduct {
namespace {

namespace pb = gateway::v1;

constexpr char kMethod[] = "SendFileStream";
constexpr size_t kMaxPieceBytes = 3u << 20;
constexpr const char* kFields[] = {"transfer_id", "edge_device_id", "name",
                                   "kind",        "message_id",     "size",
                                   "sha256",      "timestamp",      "priority"};

absl::Status Malformed(const char* what) {
  return absl::InvalidArgumentError(absl::StrCat("part: ", what));
}

}  // namespace

bool ReadFileInfo(const pb::FileInfo& info, FileRequest* request, std::string* error) {
  request->id = info.transfer_id();
  request->device = info.edge_device_id();
  request->name = info.name();
  request->kind = info.kind();
  request->index = info.index();
  request->message_id = info.message_id();
  request->size = info.size();
  request->sha256 = info.sha256();
  if (!ReadPriority(info.priority(), &request->priority)) {
    *error = "priority: not one of HIGH, NORMAL and LOW";
  }
  const bool given = info.has_timestamp();
  if (given && !rpc::FromProto(info.timestamp(), &request->captured)) {
    *error = "timestamp: outside the years 1 to 9999";
  }
  return error->empty();
}

void FillReceipt(const TransferQueue::Added& added, pb::FileReceipt* receipt) {
  receipt->set_transfer_id(added.transfer.id);
  receipt->set_status(added.duplicate ? pb::RESULT_STATUS_DUPLICATE : pb::RESULT_STATUS_STORED);
  receipt->set_size(added.transfer.size);
  receipt->set_sha256(added.transfer.sha256);
  receipt->set_remote_name(added.transfer.remote_name);
}

grpc::Status FileError(const absl::Status& status, const char* method) {
  if (!absl::IsInvalidArgument(status)) return rpc::ToGrpc(status);
  std::string field = "path";
  for (const char* name : kFields) {
    if (absl::StartsWith(status.message(), absl::StrCat(name, ":"))) {
      field = absl::StrCat("file.", name);
    }
  }
  rpc::Violations violations;
  violations.Add(field, std::string(status.message()));
  return violations.ToStatus(method);
}

FileStream* FileStream::Start(Transfers* transfers, pb::SendFileStreamResponse* response,
                              std::shared_ptr<std::atomic<int>> count, rpc::PrincipalPtr caller) {
  auto stream = std::shared_ptr<FileStream>(
      new FileStream(transfers, response, std::move(count), std::move(caller)));
  stream->self_ = stream;
  if (stream->count_->fetch_add(1) >= GatewayService::kMaxStreams) {
    stream->Finish(rpc::ToGrpc(absl::ResourceExhaustedError(
        absl::StrCat(kMethod, ": there are ", GatewayService::kMaxStreams, " streams already"))));
  } else if (transfers == nullptr) {
    stream->Finish(rpc::ToGrpc(
        absl::FailedPreconditionError("transfers: this node sends no files (see node.sinks)")));
  } else {
    stream->StartRead(&stream->piece_);
  }
  return stream.get();
}

void FileStream::OnDone() {
  count_->fetch_sub(1);
  const std::shared_ptr<FileStream> last = std::move(self_);
}

void FileStream::OnReadDone(bool ok) {
  const bool queued = transfers_->uploads()->Submit([self = shared_from_this(), ok] {
    const absl::Status taken = ok ? self->Take() : Malformed("the stream has ended without `end`");
    if (!taken.ok()) {
      self->upload_.reset();  // Before the answer: the sender may begin the same file anew at once.
      self->Finish(FileError(taken, kMethod));
    } else if (self->piece_.has_end()) {
      self->End();
    } else {
      self->StartRead(&self->piece_);
    }
  });
  if (queued) return;
  Finish(rpc::ToGrpc(absl::UnavailableError("transfers: the node takes no files now")));
}

absl::Status FileStream::Take() {
  switch (piece_.part_case()) {
    case pb::SendFileStreamRequest::kFile:
      return Begin();
    case pb::SendFileStreamRequest::kData:
      if (upload_ == nullptr) return Malformed("data before `file`");
      if (piece_.data().size() > kMaxPieceBytes) return Malformed("more than 3 MiB of data");
      return upload_->Write(piece_.data());
    case pb::SendFileStreamRequest::kEnd:
      return upload_ == nullptr ? Malformed("`end` before `file`") : absl::OkStatus();
    case pb::SendFileStreamRequest::PART_NOT_SET:
      break;
  }
  return Malformed("missing");
}

absl::Status FileStream::Begin() {
  if (upload_ != nullptr) return Malformed("a second `file`");
  FileRequest request;
  std::string error;
  if (!ReadFileInfo(piece_.file(), &request, &error)) return absl::InvalidArgumentError(error);
  const auto* const row = security::FindPermission(security::Surface::kRpc,
                                                   "viaduct.gateway.v1.Gateway/SendFileStream");
  if (caller_ != nullptr) {
    VD_RETURN_IF_ERROR(security::CheckAllowed(caller_.get(), *row, request.device, absl::Now()));
  }
  auto upload = transfers_->BeginUpload(std::move(request));
  if (!upload.ok()) return upload.status();
  upload_ = *std::move(upload);
  return absl::OkStatus();
}

void FileStream::End() {
  upload_->Finish(
      piece_.end().size(), piece_.end().sha256(),
      [self = shared_from_this()](const absl::StatusOr<TransferQueue::Added>& added) {
        if (added.ok()) FillReceipt(*added, self->response_->mutable_receipt());
        self->Finish(added.ok() ? grpc::Status::OK : FileError(added.status(), kMethod));
      });
}

}  // namespace viaduct
