#include "host/ctl/node_picture_reader.h"

#include <grpcpp/client_context.h>

#include "viaduct/gateway/v1/gateway.grpc.pb.h"

namespace viaduct::ctl {

namespace pb = viaduct::gateway::v1;

absl::StatusOr<std::string> NodePictureReader::Read(std::string_view picture) {
  const auto format = eval::PictureFormat(picture);
  if (!format.ok()) return format.status();
  pb::InferRequest request;
  request.set_instance(instance_);
  request.mutable_picture()->set_format(*format);
  request.mutable_picture()->set_data(picture.data(), picture.size());
  request.set_options_json(request_);
  request.set_omit_crops(true);
  pb::InferResponse response;
  const auto channel = session_->Channel();
  if (channel == nullptr) return absl::UnavailableError("the node's certificates are wrong");
  const auto stub = pb::Gateway::NewStub(channel);
  grpc::ClientContext context;
  session_->SetDeadline(&context);
  const grpc::Status status = stub->Infer(&context, request, &response);
  if (status.ok()) return response.result_json();
  // Only a picture is to blame for this; all else ends the evaluation.
  const bool bad_picture = status.error_code() == grpc::StatusCode::INVALID_ARGUMENT;
  return absl::Status(
      bad_picture ? absl::StatusCode::kInvalidArgument : absl::StatusCode::kUnavailable,
      status.error_message());
}

}  // namespace viaduct::ctl
