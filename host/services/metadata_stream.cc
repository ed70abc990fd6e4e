#include "host/services/metadata_stream.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "host/rpc/status.h"

namespace viaduct {
namespace {

namespace pb = gateway::v1;

void FillRejected(const absl::Status& status, pb::Result* result) {
  result->set_status(pb::RESULT_STATUS_REJECTED);
  result->set_error(std::string(status.message()));
  result->set_code(static_cast<int>(status.code()));
}

}  // namespace

MetadataStream* MetadataStream::Start(IngestFn ingest, rpc::StandingFn standing,
                                      const EnvelopeReader* reader,
                                      std::shared_ptr<std::atomic<int>> count) {
  auto stream = std::shared_ptr<MetadataStream>(
      new MetadataStream(std::move(ingest), std::move(standing), reader, std::move(count)));
  {
    absl::MutexLock lock(&stream->mutex_);
    stream->self_ = stream;
    if (stream->count_->fetch_add(1) >= GatewayService::kMaxStreams) {
      stream->no_more_reads_ = true;
      stream->status_ = rpc::ToGrpc(absl::ResourceExhaustedError(absl::StrCat(
          "SendMetadataStream: there are ", GatewayService::kMaxStreams, " streams already")));
    }
  }
  stream->Step();
  return stream.get();
}

void MetadataStream::OnReadDone(bool ok) {
  if (ok) {
    TakeFrame();
    absl::MutexLock lock(&mutex_);
    reading_ = false;
  } else {
    absl::MutexLock lock(&mutex_);
    reading_ = false;
    no_more_reads_ = true;
  }
  Step();
}

void MetadataStream::ReadNoMore(grpc::Status why) {
  absl::MutexLock lock(&mutex_);
  no_more_reads_ = true;
  status_ = std::move(why);
}

void MetadataStream::TakeFrame() {
  grpc::Status standing = standing_();
  if (!standing.ok()) return ReadNoMore(std::move(standing));
  if (frame_.envelopes_size() > GatewayService::kMaxFrame) {
    rpc::Violations violations;
    violations.Add("envelopes",
                   absl::StrCat("too many in one frame, at most ", GatewayService::kMaxFrame,
                                ", got ", frame_.envelopes_size()));
    return ReadNoMore(violations.ToStatus("SendMetadataStream"));
  }
  std::vector<Envelope> envelopes;
  envelopes.reserve(static_cast<size_t>(frame_.envelopes_size()));
  Batch batch;
  pb::SendMetadataStreamResponse refused;
  for (int i = 0; i < frame_.envelopes_size(); ++i) {
    rpc::Violations violations;
    Envelope envelope =
        reader_->Read(frame_.mutable_envelopes(i), absl::StrCat("envelopes[", i, "]"), &violations);
    const uint64_t index = next_index_++;
    if (violations.empty()) {
      batch.indexes.push_back(index);
      batch.ids.push_back(envelope.message_id);
      batch.bytes += envelope.payload_json.size() + envelope.metadata.extra_json.size() +
                     envelope.message_id.size();
      envelopes.push_back(std::move(envelope));
      continue;
    }
    auto* result = refused.add_results();
    result->set_message_id(envelope.message_id);
    result->set_index(index);
    FillRejected(rpc::FromGrpc(violations.ToStatus("SendMetadataStream")), result);
  }
  {
    absl::MutexLock lock(&mutex_);
    open_ += static_cast<size_t>(frame_.envelopes_size());
    open_bytes_ += batch.bytes;
    ready_.MergeFrom(refused);
  }
  pb::SendMetadataStreamRequest().Swap(&frame_);  // Clear() would keep the memory.
  if (envelopes.empty()) return;
  auto under_way = std::make_shared<const Batch>(std::move(batch));
  ingest_(std::move(envelopes),
          [self = shared_from_this(), under_way](std::vector<AcceptResult> results) {
            self->OnAccepted(*under_way, results);
          });
}

void MetadataStream::OnAccepted(const Batch& batch, const std::vector<AcceptResult>& results) {
  {
    absl::MutexLock lock(&mutex_);
    open_bytes_ -= batch.bytes;
    if (broken_) return;
    for (size_t i = 0; i < batch.indexes.size(); ++i) {
      auto* result = ready_.add_results();
      result->set_message_id(batch.ids[i]);
      result->set_index(batch.indexes[i]);
      if (i >= results.size()) {
        FillRejected(absl::InternalError("SendMetadataStream: no result came"), result);
      } else if (!results[i].status.ok()) {
        FillRejected(ForSender(results[i].status), result);
      } else {
        result->set_status(results[i].duplicate ? pb::RESULT_STATUS_DUPLICATE
                                                : pb::RESULT_STATUS_STORED);
      }
    }
  }
  Step();
}

void MetadataStream::OnWriteDone(bool ok) {
  {
    absl::MutexLock lock(&mutex_);
    writing_ = false;
    open_ -= static_cast<size_t>(current_.results_size());
    if (!ok) broken_ = true;
  }
  Step();
}

void MetadataStream::OnCancel() {
  {
    absl::MutexLock lock(&mutex_);
    broken_ = true;
    ready_.Clear();
  }
  Step();
}

void MetadataStream::OnDone() {
  count_->fetch_sub(1);
  std::shared_ptr<MetadataStream> self;  // Let go of after the lock, which it may own.
  absl::MutexLock lock(&mutex_);
  self = std::move(self_);
}

MetadataStream::Next MetadataStream::Decide() {
  Next next;
  if (finished_) return next;
  if (broken_) {
    next.finish = !writing_ && starting_ == 0;
  } else if (!writing_ && ready_.results_size() > 0) {
    current_.Clear();
    current_.Swap(&ready_);
    writing_ = next.write = true;
  } else {
    next.finish = no_more_reads_ && !reading_ && !writing_ && open_ == 0 && starting_ == 0;
  }
  if (!broken_ && !reading_ && !no_more_reads_ && open_ < GatewayService::kWindow &&
      open_bytes_ < GatewayService::kWindowBytes) {
    reading_ = next.read = true;
  }
  if (next.finish) {
    finished_ = true;
    next.status = broken_ ? grpc::Status::CANCELLED : status_;
  } else if (next.write || next.read) {
    ++starting_;
  }
  return next;
}

void MetadataStream::Step() {
  while (true) {
    Next next;
    {
      absl::MutexLock lock(&mutex_);
      next = Decide();
    }
    if (next.finish) Finish(std::move(next.status));
    if (!next.write && !next.read) return;
    if (next.write) StartWrite(&current_);
    if (next.read) StartRead(&frame_);
    absl::MutexLock lock(&mutex_);
    --starting_;
  }
}

}  // namespace viaduct
