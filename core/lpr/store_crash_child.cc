// Opens a store with its images, sends a fixed set of messages and says which were accepted:
// what store_crash_test.cc kills at every crash point.
//   store_crash_child <folder>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/synchronization/notification.h"
#include "core/base/clock.h"
#include "core/lpr/ingest.h"
#include "core/lpr/store_sink.h"
#include "core/observe/log.h"
#include "core/store/sqlite_store.h"

namespace viaduct {
namespace {

constexpr int kMessages = 6;

std::string TinyJpeg() {
  std::string jpeg("\xff\xd8\xff\xc0\x00\x0b\x08\x00\x01\x00\x01\x01\x01\x11\x00", 15);
  jpeg += std::string("\xff\xda\x00\x08\x01\x01\x00\x00\x3f\x00\x12\x34\xff\xd9", 14);
  return jpeg;
}

Envelope Message(int n) {
  Envelope envelope;
  envelope.message_id = absl::StrCat("m-", n);
  envelope.timestamp = absl::FromUnixSeconds(1705314600 + n);
  envelope.protocol = "rest";
  envelope.edge_device_id = "CAM001";
  envelope.payload_json = absl::StrCat(R"({"checkpoint_id":"CP01","ocr_results":["P)", n, R"("])");
  if (n % 2 == 0) {
    absl::StrAppend(&envelope.payload_json, R"(,"annotated_image":")",
                    absl::Base64Escape(TinyJpeg()), R"(","cropped_plates":[")",
                    absl::Base64Escape(TinyJpeg()), R"("])");
  }
  envelope.payload_json += "}";
  return envelope;
}

bool Accept(Sink* sink, int n) {
  absl::Notification done;
  bool accepted = false;
  std::vector<Arrival> batch;
  batch.push_back(Message(n));
  sink->Accept(std::move(batch), [&](const std::vector<AcceptResult>& results) {
    accepted = results[0].status.ok();
    done.Notify();
  });
  done.WaitForNotification();
  const std::string line = absl::StrCat(accepted ? "accepted m-" : "refused m-", n, "\n");
  return write(STDOUT_FILENO, line.data(), line.size()) > 0 && accepted;
}

AppendResult Append(Store* store, StoreRecord record) {
  absl::Notification done;
  AppendResult result;
  std::vector<StoreRecord> records;
  records.push_back(std::move(record));
  store->Append(std::move(records), [&](std::vector<AppendResult> results) {
    result = std::move(results[0]);
    done.Notify();
  });
  done.WaitForNotification();
  return result;
}

// The image of a message, or of its plate, as a file of its own.
bool Join(Store* store, ImageFolder* images, const std::string& folder, int n, bool plate) {
  const Envelope message = Message(n);
  FileTransferRecord file;
  file.transfer_id = absl::StrFormat("00000000-0000-7000-8000-%011d%d", n, plate ? 1 : 0);
  file.device_id = "CAM001";
  file.message_id = message.message_id;
  file.message_key = KeyOf(message);
  file.kind = plate ? FileTransferRecord::Kind::kPlate : FileTransferRecord::Kind::kImage;
  if (!Append(store, file).status.ok()) return false;
  ArrivedImage arrived;
  arrived.transfer_id = file.transfer_id;
  arrived.device_id = file.device_id;
  arrived.file = absl::StrCat(folder, "/arrived-", file.transfer_id);
  std::ofstream(arrived.file) << TinyJpeg();
  const absl::StatusOr<std::string> path = images->Take(arrived);
  if (!path.ok()) return false;
  file.action = FileTransferRecord::Action::kSettle;
  file.state = FileState::kStored;
  file.path = *path;
  return Append(store, file).status.ok();
}

int Run(const std::string& folder) {
  SystemClock clock;
  NullLog log;
  SqliteStoreOptions options;
  options.path = folder + "/store.db";
  options.checkpoint_pages = 1;
  auto store = OpenSqliteStore(options, &clock, &log);
  auto images = ImageFolder::Open(ImageFolderOptions{folder + "/images"}, &log);
  if (!store.ok() || !images.ok()) {
    std::fprintf(stderr, "%s %s\n", store.status().ToString().c_str(),
                 images.status().ToString().c_str());
    return 2;
  }
  const absl::Status cleaned =
      (*images)->CleanUp([&](const MessageKey& key) { return (*store)->HasDetection(key); });
  if (!cleaned.ok()) return 3;
  int failed = 0;
  {
    StoreSink sink(StoreSinkOptions(), store->get(), images->get(), &clock, &log);
    for (int n = 0; n < kMessages; ++n) {
      const bool by_file = n % 2 != 0;  // The image before the message, that of the plate after it.
      if (by_file) failed += Join(store->get(), images->get(), folder, n, false) ? 0 : 1;
      failed += Accept(&sink, n) ? 0 : 1;
      if (by_file) failed += Join(store->get(), images->get(), folder, n, true) ? 0 : 1;
    }
  }
  return failed;
}

}  // namespace
}  // namespace viaduct

int main(int argc, char** argv) { return argc == 2 ? viaduct::Run(argv[1]) : 64; }
