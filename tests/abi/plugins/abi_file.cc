// viaduct.file/1: copies files to and from a folder of its own, in pieces, with resume.
#include <stdlib.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <set>
#include <string>

#include "viaduct/cpp/plugin.h"
#include "work_thread.h"

namespace viaduct::abi_test {
namespace {

namespace fs = std::filesystem;
using sdk::Status;

constexpr size_t kWindow = 4;
constexpr size_t kPieceBytes = 16384;

struct Job {
  uint64_t token;
  bool send;
  fs::path local;
  fs::path remote;
  uint64_t offset;
};

class FilePlugin final : public sdk::Plugin, public sdk::FileMover {
 public:
  using Plugin::Plugin;

  Status Configure(const sdk::Config&) override { return {}; }
  Status Start(uint32_t) override {
    char name[] = "/tmp/viaduct-abi-file-XXXXXX";
    if (mkdtemp(name) == nullptr) return sdk::Unavailable("abi_file: no folder");
    folder_ = name;
    thread_.Start();
    return {};
  }
  void Stop() override {
    stopping_ = true;
    for (const Job& job : thread_.Stop()) End(job, VD_OUTCOME_CANCELLED, 0, "stopped");
    std::error_code ignored;  // It may never have been made.
    if (!folder_.empty()) fs::remove_all(folder_, ignored);
  }

  uint32_t FileCredit() override { return static_cast<uint32_t>(thread_.Room()); }
  Status BeginFile(uint32_t, const vd_file_job& job) override {
    const fs::path name(sdk::Text(job.remote_name));
    if (name.empty() || name.is_absolute() ||
        std::find(name.begin(), name.end(), "..") != name.end()) {
      return sdk::InvalidArgument("abi_file: \"" + name.string() + "\" can not be used as a name");
    }
    const Job mine = {job.token, job.direction == VD_FILE_SEND, fs::path(sdk::Text(job.local_path)),
                      folder_ / name, job.offset};
    if (!thread_.Push(mine)) return sdk::ResourceExhausted("abi_file: no credit");
    return {};
  }
  void CancelFile(uint32_t, uint64_t token) override {
    const std::lock_guard<std::mutex> lock(mutex_);
    cancelled_.insert(token);
  }

 private:
  void Move(const Job& job) {
    const fs::path& from = job.send ? job.local : job.remote;
    const fs::path& to = job.send ? job.remote : job.local;
    std::error_code ignored;  // The open below tells.
    fs::create_directories(to.parent_path(), ignored);
    std::ifstream in(from, std::ios::binary);
    if (!in) return End(job, VD_OUTCOME_REJECT, 0, "abi_file: can not be read");
    // What was durable before this plugin's folder was made is gone with the old one.
    const uint64_t offset = fs::exists(to, ignored) ? job.offset : 0;
    std::ofstream out(to, offset > 0 ? std::ios::binary | std::ios::app : std::ios::binary);
    in.seekg(static_cast<std::streamoff>(offset));
    char piece[kPieceBytes];
    uint64_t moved = offset;
    while (in.read(piece, sizeof(piece)), in.gcount() > 0) {
      if (stopping_ || IsCancelled(job.token)) {
        return End(job, VD_OUTCOME_CANCELLED, moved, "cancelled");
      }
      if (!out.write(piece, in.gcount()).flush()) {
        return End(job, VD_OUTCOME_RETRY, moved, "abi_file: can not be written");
      }
      moved += static_cast<uint64_t>(in.gcount());
      host().FileProgress(job.token, moved, moved);
    }
    End(job, VD_OUTCOME_DURABLE, moved, "");
  }
  bool IsCancelled(uint64_t token) {
    const std::lock_guard<std::mutex> lock(mutex_);
    return cancelled_.count(token) > 0;
  }
  void End(const Job& job, uint32_t outcome, uint64_t durable, std::string_view detail) {
    vd_file_result result = sdk::Record<vd_file_result>();
    result.token = job.token;
    result.outcome = outcome;
    result.code = outcome == VD_OUTCOME_DURABLE     ? VD_OK
                  : outcome == VD_OUTCOME_CANCELLED ? VD_CANCELLED
                                                    : VD_UNAVAILABLE;
    result.durable_offset = durable;
    result.detail = sdk::Str(detail);
    host().FileDone(result);
  }

  fs::path folder_;
  std::atomic<bool> stopping_{false};
  std::mutex mutex_;
  std::set<uint64_t> cancelled_;
  WorkThread<Job> thread_{kWindow, [this](Job& job) { Move(job); }};
};

}  // namespace
}  // namespace viaduct::abi_test

VIADUCT_PLUGIN(viaduct::abi_test::FilePlugin,
               viaduct::sdk::Describe("abi_file", "1.0.0")
                   .Summary("Copies files to and from a folder of its own")
                   .Licence("Apache-2.0"))
