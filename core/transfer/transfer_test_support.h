// Shared by the tests of core/transfer.
#pragma once

#include <ftw.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <future>
#include <memory>
#include <sstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "core/base/sha256.h"
#include "core/transfer/transfer_queue.h"

namespace viaduct {

// A fresh folder that goes away with the object.
class TransferTestFolder {
 public:
  TransferTestFolder() {
    const char* base = std::getenv("TMPDIR");
    std::string name = absl::StrCat(base == nullptr ? "/tmp" : base, "/viaduct-transfer-XXXXXX");
    path_ = mkdtemp(name.data());
  }
  ~TransferTestFolder() {
    const auto remove_one = [](const char* path, const struct stat*, int, FTW*) {
      return ::remove(path);
    };
    nftw(path_.c_str(), +remove_one, 16, FTW_DEPTH | FTW_PHYS);
  }
  TransferTestFolder(const TransferTestFolder&) = delete;
  TransferTestFolder& operator=(const TransferTestFolder&) = delete;
  std::string File(const std::string& name) const { return path_ + "/" + name; }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

inline void WriteText(const std::string& path, const std::string& text) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << text;
}

inline std::string ReadText(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

inline std::string TestId(int number) {
  return absl::StrFormat("01900000-0000-7000-8000-%012d", number);
}

inline Transfer TestTransfer(int number, Priority priority = Priority::kNormal,
                             uint64_t size = 1000) {
  Transfer transfer;
  transfer.id = TestId(number);
  transfer.device = "CAM001";
  transfer.local_path = absl::StrCat("/data/", number, ".jpg");
  transfer.remote_name = absl::StrCat("CAM001/2024/01/15/", number, ".jpg");
  transfer.size = size;
  transfer.sha256 = HexSha256(absl::StrCat(number));
  transfer.priority = priority;
  transfer.kind = "image";
  transfer.message_id = absl::StrCat("m-", number);
  transfer.captured = transfer.created = transfer.changed = absl::FromUnixSeconds(1705314600);
  return transfer;
}

// Adds and waits.
inline absl::StatusOr<TransferQueue::Added> AddOne(TransferQueue* queue, Transfer transfer) {
  std::promise<absl::StatusOr<TransferQueue::Added>> promise;
  queue->Add(std::move(transfer), [&](absl::StatusOr<TransferQueue::Added> added) {
    promise.set_value(std::move(added));
  });
  return promise.get_future().get();
}

// Changes and waits.
inline absl::StatusOr<Transfer> ChangeOne(TransferQueue* queue, const std::string& id,
                                          TransferQueue::Edit edit) {
  std::promise<absl::StatusOr<Transfer>> promise;
  queue->Change(id, std::move(edit),
                [&](absl::StatusOr<Transfer> changed) { promise.set_value(std::move(changed)); });
  return promise.get_future().get();
}

inline TransferQueue::Edit SetState(TransferState state) {
  return [state](Transfer* transfer) {
    transfer->state = state;
    return absl::OkStatus();
  };
}

// Looks again until `done` holds; the deadline only bounds a failing test.
template <typename Fn>
bool Eventually(Fn done) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(5);
  while (!done()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::yield();
  }
  return true;
}

}  // namespace viaduct
