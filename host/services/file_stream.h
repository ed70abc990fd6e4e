// One SendFileStream call.
#pragma once

#include <atomic>
#include <memory>
#include <string>

#include "core/transfer/transfers.h"
#include "host/rpc/gate.h"
#include "viaduct/gateway/v1/gateway.grpc.pb.h"

namespace viaduct {

// What a sender says of a file, as the core wants it. False: `error` says what is wrong.
bool ReadFileInfo(const gateway::v1::FileInfo& info, FileRequest* request, std::string* error);
void FillReceipt(const TransferQueue::Added& added, gateway::v1::FileReceipt* receipt);
// The words of gRPC for what the core refused; the field where it names one.
grpc::Status FileError(const absl::Status& status, const char* method);

// Takes one piece after the other, each on a thread that may block on the disk, and reads the next
// when it is written: so a stream holds one piece in memory. Owned by gRPC until OnDone and by the
// piece under way. Thread-compatible.
class FileStream final : public grpc::ServerReadReactor<gateway::v1::SendFileStreamRequest>,
                         public std::enable_shared_from_this<FileStream> {
 public:
  // `transfers` outlives the stream. `count` is of the streams there are: over
  // GatewayService::kMaxStreams this one only says so.
  // `caller` null: everybody may send for every device.
  static FileStream* Start(Transfers* transfers, gateway::v1::SendFileStreamResponse* response,
                           std::shared_ptr<std::atomic<int>> count, rpc::PrincipalPtr caller);

  void OnReadDone(bool ok) override;
  void OnDone() override;

 private:
  FileStream(Transfers* transfers, gateway::v1::SendFileStreamResponse* response,
             std::shared_ptr<std::atomic<int>> count, rpc::PrincipalPtr caller)
      : transfers_(transfers),
        response_(response),
        count_(std::move(count)),
        caller_(std::move(caller)) {}

  absl::Status Take();
  absl::Status Begin();
  void End();

  Transfers* const transfers_;
  gateway::v1::SendFileStreamResponse* const response_;
  const std::shared_ptr<std::atomic<int>> count_;
  const rpc::PrincipalPtr caller_;
  gateway::v1::SendFileStreamRequest piece_;  // gRPC's while it reads.
  std::unique_ptr<Transfers::Upload> upload_;
  std::shared_ptr<FileStream> self_;
};

}  // namespace viaduct
