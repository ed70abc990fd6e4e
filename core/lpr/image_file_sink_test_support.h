// Shared by the tests of ImageFileSink: an edge with a real spool and a real queue of files.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "core/lpr/image_file_sink.h"
#include "core/lpr/uplink_sink.h"
#include "core/transfer/transfer_test_support.h"

namespace viaduct {

// A whole JPEG of about that many octets, another one for each seed.
inline std::string JpegOf(size_t octets, int seed) {
  std::string jpeg("\xff\xd8\xff\xc0\x00\x0b\x08\x00\x01\x00\x01\x01\x01\x11\x00", 15);
  jpeg += std::string("\xff\xda\x00\x08\x01\x01\x00\x00\x3f\x00", 10);
  for (size_t i = 0; jpeg.size() + 2 < octets; ++i) {
    jpeg += static_cast<char>('a' + (i * 7 + static_cast<size_t>(seed)) % 26);
  }
  return jpeg + "\xff\xd9";
}

inline Envelope DetectionOf(const std::string& id, const std::string& vehicle,
                            const std::vector<std::string>& plates) {
  std::string crops;
  for (const std::string& plate : plates) {
    absl::StrAppend(&crops, crops.empty() ? "" : ",", "\"", absl::Base64Escape(plate), "\"");
  }
  Envelope envelope;
  envelope.message_id = id;
  envelope.timestamp = absl::FromUnixSeconds(1705314600);
  envelope.protocol = "rest";
  envelope.edge_device_id = "CAM001";
  envelope.payload_json =
      absl::StrCat(R"({"type":"detection_result","annotated_image":")", absl::Base64Escape(vehicle),
                   R"(","cropped_plates":[)", crops, R"(],"plates_count":1})");
  return envelope;
}

// Opens what is in the folder. Not all of it can be made: opened() says so.
class ImageEdge {
 public:
  ImageEdge(const std::string& folder, ImageFileOptions options, TransferQueueOptions queue = {}) {
    SpoolOptions spool;
    spool.path = folder + "/spool.db";
    auto opened = Spool::Open(spool, &clock_, &log_);
    TransfersOptions transfers;
    transfers.node_id = "NODE";
    transfers.folder = folder + "/transfers";
    transfers.queue = std::move(queue);
    Transfers::Deps deps;
    deps.clock = &clock_;
    deps.log = &log_;
    auto files = Transfers::Open(std::move(transfers), std::move(deps));
    if (!opened.ok() || !files.ok()) return;
    spool_ = *std::move(opened);
    transfers_ = *std::move(files);
    uplink_ = std::make_unique<UplinkSink>(spool_.get());
    UseNext(options, uplink_.get());
  }
  ~ImageEdge() {
    sink_.reset();
    if (spool_ != nullptr) spool_->Close();
  }
  ImageEdge(const ImageEdge&) = delete;
  ImageEdge& operator=(const ImageEdge&) = delete;

  void UseNext(ImageFileOptions options, Sink* next) {
    ImageFileSink::Deps deps;
    deps.transfers = transfers_.get();
    deps.next = next;
    deps.log = &log_;
    deps.network = [this] { return network; };
    sink_ = std::make_unique<ImageFileSink>(options, std::move(deps));
  }
  AcceptResult Accept(Envelope message) {
    absl::Notification done;
    AcceptResult result;
    std::vector<Arrival> batch;
    batch.emplace_back(std::move(message));
    sink_->Accept(std::move(batch), [&](std::vector<AcceptResult> results) {
      result = std::move(results.at(0));
      done.Notify();
    });
    done.WaitForNotification();
    return result;
  }
  // Of the messages in the spool, in order of acceptance.
  std::vector<Envelope> Messages() {
    std::vector<Envelope> messages;
    const auto page = spool_->List(SpoolFilter(), 1000, "", /*with_envelope=*/true);
    if (!page.ok()) return messages;
    for (const SpoolEntry& entry : page->entries) {
      messages.push_back(*ParseEnvelope(entry.envelope_json, ParseOptions()));
    }
    return messages;
  }
  std::vector<Transfer> Files() {
    const auto page = transfers_->List(TransferFilter(), 1000, "");
    return page.ok() ? page->transfers : std::vector<Transfer>();
  }
  bool opened() const { return sink_ != nullptr; }
  ImageFileSink* sink() { return sink_.get(); }
  Transfers* transfers() { return transfers_.get(); }

  ImageNetwork network;

 private:
  SystemClock clock_;
  NullLog log_;
  std::unique_ptr<Spool> spool_;
  std::unique_ptr<Transfers> transfers_;
  std::unique_ptr<UplinkSink> uplink_;
  std::unique_ptr<ImageFileSink> sink_;
};

}  // namespace viaduct
