#include "host/services/infer_call.h"

#include <google/protobuf/util/json_util.h>

#include <algorithm>
#include <chrono>
#include <memory>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "core/base/string_view.h"
#include "core/message/json_scanner.h"
#include "core/vision/detection.h"
#include "core/vision/picture.h"
#include "host/rpc/convert.h"

namespace viaduct {
namespace {

namespace pb = gateway::v1;

constexpr char kMethod[] = "Infer";
constexpr char kSource[] = "gateway";  // Of frames and detections that no source instance gave.

// "width: too large, ..." is about picture.width.
void AddRefusal(std::string_view parent, const absl::Status& refusal, rpc::Violations* violations) {
  const std::string_view text = StdView(refusal.message());
  const size_t colon = text.find(": ");
  const std::string_view field = colon == std::string_view::npos ? "" : text.substr(0, colon);
  violations->Add(
      field.empty() ? std::string(parent) : absl::StrCat(AbslView(parent), ".", AbslView(field)),
      std::string(field.empty() ? text : text.substr(colon + 2)));
}

void AddStage(const std::string& name, absl::Duration time, pb::InferResponse* response) {
  pb::InferStage* stage = response->add_stages();
  stage->set_name(name);
  *stage->mutable_time() = rpc::ToProto(time);
}

}  // namespace

InferCall* InferCall::Start(Deps deps, grpc::CallbackServerContext* context,
                            const pb::InferRequest* request, pb::InferResponse* response) {
  // Not make_shared: only this class makes them.
  std::shared_ptr<InferCall> call(new InferCall(std::move(deps), request, response));
  call->self_ = call;
  const auto deadline = context->deadline();
  const bool none = deadline == std::chrono::system_clock::time_point::max();
  call->Begin(none ? kPatience : std::min(kMaxPatience, absl::FromChrono(deadline) - absl::Now()));
  return call.get();
}

void InferCall::Begin(absl::Duration patience) {
  rpc::Violations violations;
  InferJob job;
  ReadOptions(&job.options_json, &violations);
  ReadPicture(&job.frame, &violations);
  if (request_->submit()) ReadEnvelope(&violations);
  if (!violations.empty()) return Finish(violations.ToStatus(kMethod));
  job.done = [self = shared_from_this()](InferEnd end) { self->OnEnd(std::move(end)); };
  const absl::StatusOr<uint64_t> asked =
      deps_.vision->Infer(request_->instance(), patience, std::move(job));
  if (!asked.ok()) {
    const absl::Status& status = asked.status();
    if (!absl::IsInvalidArgument(status) && !absl::IsUnimplemented(status)) {
      return Finish(rpc::ToGrpc(status));
    }
    violations.Add("instance", std::string(status.message()));
    return Finish(violations.ToStatus(kMethod));
  }
  {
    absl::MutexLock lock(&mutex_);
    job_ = *asked;
    if (!gone_) return;
  }
  deps_.vision->Cancel(*asked);  // The caller went before the picture had its number.
}

void InferCall::ReadOptions(std::string* json, rpc::Violations* violations) const {
  switch (request_->options_form_case()) {
    case pb::InferRequest::kOptions:
      *json = StructToJson(request_->options());
      break;
    case pb::InferRequest::kOptionsJson:
      *json = request_->options_json();
      break;
    default:
      return;
  }
  JsonScanLimits limits;
  limits.max_bytes = kMaxOptionsBytes;
  std::vector<JsonMember> members;
  const absl::Status scanned = JsonScanner(*json, limits).ScanObject(&members);
  if (scanned.ok()) return;
  violations->Add(request_->has_options() ? "options" : "options_json",
                  std::string(scanned.message()));
}

void InferCall::ReadPicture(Frame* frame, rpc::Violations* violations) const {
  const pb::Picture& picture = request_->picture();
  PictureFacts facts;
  if (!picture.format().empty()) facts.format = picture.format();
  facts.width = picture.width();
  facts.height = picture.height();
  for (const pb::PicturePlane& plane : picture.planes()) {
    facts.planes.push_back({plane.offset(), plane.size(), plane.stride(), 0});
  }
  absl::StatusOr<Frame> made = MakePicture(facts, picture.data());
  if (!made.ok()) return AddRefusal("picture", made.status(), violations);
  *frame = *std::move(made);
  frame->source = kSource;
}

void InferCall::ReadEnvelope(rpc::Violations* violations) {
  pb::Envelope message = request_->envelope();
  message.set_data_type(pb::DATA_TYPE_DETECTION);
  message.set_payload_json("{}");
  envelope_ = deps_.reader->Read(&message, "envelope", violations);
}

void InferCall::OnCancel() {
  uint64_t job = 0;
  {
    absl::MutexLock lock(&mutex_);
    gone_ = true;
    job = job_;
  }
  if (job != 0) deps_.vision->Cancel(job);
}

void InferCall::OnEnd(InferEnd end) {
  if (end.why != NoResult::kNone) return Finish(StatusOf(end));
  const grpc::Status filled = Fill(end);
  if (!filled.ok()) return Finish(filled);
  if (!request_->submit()) return Finish(grpc::Status::OK);
  Submit(end);
}

grpc::Status InferCall::StatusOf(const InferEnd& end) {
  absl::Status status = end.status;
  if (end.why == NoResult::kRejected && absl::IsInvalidArgument(status)) {
    rpc::Violations violations;
    violations.Add("picture", std::string(status.message()));
    return violations.ToStatus(kMethod);
  }
  if (absl::IsCancelled(status)) {
    absl::MutexLock lock(&mutex_);
    // It was not the caller who gave it up: the instance stopped, or the node does.
    if (!gone_) status = absl::UnavailableError(status.message());
  }
  return rpc::ToGrpc(status);
}

grpc::Status InferCall::Fill(const InferEnd& end) {
  if (end.result_json.size() > kMaxAnswerBytes) {
    return rpc::ToGrpc(absl::InternalError(
        absl::StrCat("Infer: the result is too large, ", end.result_json.size(), " octets")));
  }
  response_->set_instance(end.instance);
  const bool as_struct =
      request_->result_as_struct() &&
      google::protobuf::util::JsonStringToMessage(end.result_json, response_->mutable_result())
          .ok();
  if (!as_struct) response_->set_result_json(end.result_json);
  size_t room = kMaxAnswerBytes - end.result_json.size();
  for (const viaduct::InferCrop& crop : end.crops) {
    if (request_->omit_crops()) break;
    const std::string_view octets = crop.buffer.octets();
    if (octets.size() > room) {
      response_->set_omitted_crops(response_->omitted_crops() + 1);
      continue;
    }
    room -= octets.size();
    pb::InferCrop* shown = response_->add_crops();
    shown->set_name(crop.name);
    shown->set_media_type(crop.media_type);
    shown->set_data(octets.data(), octets.size());
  }
  AddStage("wait", end.waited, response_);
  AddStage("inference", end.inferred, response_);
  for (const auto& [name, milliseconds] : StagesOf(end.result_json)) {
    AddStage(name, absl::Milliseconds(milliseconds), response_);
  }
  return grpc::Status::OK;
}

void InferCall::Submit(const InferEnd& end) {
  DetectionFacts facts;
  facts.message_id = envelope_.message_id;
  facts.device = envelope_.edge_device_id;
  facts.checkpoint = request_->checkpoint_id();
  facts.captured = envelope_.timestamp;
  facts.priority = envelope_.metadata.priority;
  facts.source = kSource;
  facts.instance = end.instance;
  absl::StatusOr<MadeDetection> made =
      MakeDetection(end.result_json, end.crops, facts, deps_.vision->max_message_bytes());
  if (!made.ok()) {
    return Finish(
        rpc::ToGrpc(absl::InternalError(absl::StrCat("Infer: ", made.status().message()))));
  }
  Metadata metadata = envelope_.metadata;
  if (metadata.extra_json == "{}") metadata.extra_json = made->envelope.metadata.extra_json;
  made->envelope.metadata = std::move(metadata);
  response_->mutable_submitted()->set_message_id(envelope_.message_id);
  std::vector<Envelope> batch;
  batch.push_back(std::move(made->envelope));
  deps_.ingest(std::move(batch),
               [self = shared_from_this()](const std::vector<AcceptResult>& results) {
                 self->OnSubmitted(results);
               });
}

void InferCall::OnSubmitted(const std::vector<AcceptResult>& results) {
  if (results.size() != 1) {
    return Finish(rpc::ToGrpc(absl::InternalError("Infer: no result came")));
  }
  const absl::Status status = ForSender(results.front().status);
  if (absl::IsInvalidArgument(status)) {
    rpc::Violations refusal;
    refusal.Add(FieldOfRefusal(StdView(status.message()), "envelope"),
                std::string(status.message()));
    return Finish(refusal.ToStatus(kMethod));
  }
  response_->mutable_submitted()->set_status(results.front().duplicate ? pb::RESULT_STATUS_DUPLICATE
                                                                       : pb::RESULT_STATUS_STORED);
  Finish(rpc::ToGrpc(status));
}

}  // namespace viaduct
