// What devices have told of files, and what of them is here.
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "host/rpc/call.h"
#include "host/rpc/convert.h"
#include "host/services/fleet_service.h"

namespace viaduct {
namespace {

namespace pb = control::v1;

pb::FileStatus ToProto(FileState state) {
  switch (state) {
    case FileState::kWaiting:
      return pb::FILE_STATUS_WAITING;
    case FileState::kStored:
      return pb::FILE_STATUS_STORED;
    case FileState::kFailed:
      break;
  }
  return pb::FILE_STATUS_FAILED;
}

pb::FleetFile ToProto(const FileTransferRow& row) {
  const FileTransferRecord& r = row.record;
  pb::FleetFile file;
  file.set_transfer_id(r.transfer_id);
  file.set_device_id(r.device_id);
  file.set_node_id(r.node_id);
  file.set_message_id(r.message_id);
  file.set_kind(std::string(FileKindName(r.kind)));
  file.set_index(static_cast<uint32_t>(r.place));
  file.set_name(r.name);
  file.set_size(r.size);
  file.set_sha256(r.sha256);
  file.set_status(ToProto(r.state));
  file.set_detail(r.detail);
  file.set_image_path(r.path);
  *file.mutable_captured_at() = rpc::ToProto(r.captured_at);
  *file.mutable_announced_at() = rpc::ToProto(row.announced_at);
  if (row.settled_at != absl::InfinitePast()) {
    *file.mutable_settled_at() = rpc::ToProto(row.settled_at);
  }
  return file;
}

bool ReadStatus(pb::FileStatus status, std::optional<FileState>* state) {
  for (const FileState one : {FileState::kWaiting, FileState::kStored, FileState::kFailed}) {
    if (ToProto(one) == status) *state = one;
  }
  return state->has_value() || status == pb::FILE_STATUS_UNSPECIFIED;
}

}  // namespace

grpc::ServerUnaryReactor* FleetService::ListFiles(grpc::CallbackServerContext* context,
                                                  const pb::FleetListFilesRequest* request,
                                                  pb::FleetListFilesResponse* response) {
  if (auto refused = deps_->gate->Refuse(*context, "viaduct.control.v1.Fleet/ListFiles")) {
    return rpc::Answer(context, *std::move(refused));
  }
  if (store_ == nullptr) {
    return rpc::Answer(context,
                       rpc::ToGrpc(absl::FailedPreconditionError("files: this node has no store")));
  }
  FileTransfersQuery query;
  query.device_id = request->device_id();
  rpc::Violations violations;
  if (request->page_size() > kMaxPage) {
    violations.Add("page_size", absl::StrCat("at most ", kMaxPage, ", got ", request->page_size()));
  }
  if (!ReadStatus(request->status(), &query.state)) {
    violations.Add("status", absl::StrCat("expected WAITING, STORED or FAILED, got ",
                                          static_cast<int>(request->status())));
  }
  const std::string& token = request->page_token();
  if (!token.empty() && (!absl::SimpleAtoi(token, &query.after) || query.after < 0)) {
    violations.Add("page_token", "is none");
  }
  if (!violations.empty()) return rpc::Answer(context, violations.ToStatus("Fleet.ListFiles"));
  const uint32_t size = request->page_size() == 0 ? kDefaultPage : request->page_size();
  query.limit = static_cast<int>(size);
  return rpc::RunOn(deps_->executor, context, [this, response, query = std::move(query)] {
    const auto rows = store_->ListFileTransfers(query);
    if (!rows.ok()) return rpc::ToGrpc(rows.status());
    for (const FileTransferRow& row : *rows) *response->add_files() = ToProto(row);
    if (rows->size() == static_cast<size_t>(query.limit)) {
      response->set_next_page_token(absl::StrCat(rows->back().number));
    }
    if (!deps_->incoming) return grpc::Status::OK;
    const ReceiverInfo info = deps_->incoming();
    response->set_unannounced(info.unannounced);
    for (const std::string& name : info.unannounced_names) response->add_unannounced_names(name);
    return grpc::Status::OK;
  });
}

}  // namespace viaduct
