// A road for files that copies into a folder of this machine as a real one would over a network:
// under a temporary name, synced, resumed, verified, renamed. It fails in the ways that are asked.
#include <fcntl.h>
#include <openssl/evp.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <filesystem>
#include <fstream>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "filebox_config_schema.h"
#include "viaduct/cpp/plugin.h"

namespace {

namespace fs = std::filesystem;
using viaduct::sdk::Config;
using viaduct::sdk::Describe;
using viaduct::sdk::Plugin;
using viaduct::sdk::Status;

constexpr size_t kBlockBytes = 64 << 10;

struct Job {
  uint64_t token = 0;
  std::string path;
  std::string name;
  std::string sha256;
  uint64_t size = 0;
  uint64_t offset = 0;
};

struct End {
  uint32_t outcome = VD_OUTCOME_RETRY;
  int32_t code = VD_UNAVAILABLE;
  uint64_t durable = 0;
  std::string sha256;
  std::string detail;
};

std::string DigestOf(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  const std::unique_ptr<EVP_MD_CTX, void (*)(EVP_MD_CTX*)> context(EVP_MD_CTX_new(),
                                                                   EVP_MD_CTX_free);
  EVP_DigestInit_ex(context.get(), EVP_sha256(), nullptr);
  std::string block(kBlockBytes, '\0');
  while (file.read(block.data(), static_cast<std::streamsize>(block.size())) || file.gcount() > 0) {
    EVP_DigestUpdate(context.get(), block.data(), static_cast<size_t>(file.gcount()));
  }
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned size = 0;
  EVP_DigestFinal_ex(context.get(), digest.data(), &size);
  std::string hex;
  for (unsigned i = 0; i < size; ++i) {
    constexpr char kDigits[] = "0123456789abcdef";
    hex += kDigits[digest[i] >> 4];
    hex += kDigits[digest[i] & 15];
  }
  return hex;
}

class Filebox final : public Plugin, public viaduct::sdk::FileMover {
 public:
  using Plugin::Plugin;

  Status Configure(const Config& config) override {
    VIADUCT_RETURN_IF_ERROR(config.Read("/folder", &folder_));
    VIADUCT_RETURN_IF_ERROR(config.Read("/credit", &credit_));
    VIADUCT_RETURN_IF_ERROR(config.Read("/block_pause_us", &block_pause_us_));
    VIADUCT_RETURN_IF_ERROR(config.Read("/cut_every", &cut_every_));
    VIADUCT_RETURN_IF_ERROR(config.Read("/refuse_every", &refuse_every_));
    return config.Read("/lie_every", &lie_every_);
  }
  Status Start(uint32_t) override {
    ending_ = false;
    thread_ = std::thread([this] { Loop(); });
    host().SetHealth(viaduct::sdk::Health::kHealthy);
    return {};
  }
  void Stop() override {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      ending_ = true;
    }
    changed_.notify_all();
    if (thread_.joinable()) thread_.join();
  }

  uint32_t FileCredit() override {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto all = static_cast<size_t>(credit_);
    return all > held_ ? static_cast<uint32_t>(all - held_) : 0;
  }
  Status BeginFile(uint32_t, const vd_file_job& job) override {
    const auto text = [](const vd_str& s) { return std::string(s.data, s.size); };
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      ++held_;
      jobs_.push_back({job.token, text(job.local_path), text(job.remote_name), text(job.sha256),
                       job.size, job.offset});
    }
    changed_.notify_all();
    return {};
  }
  void CancelFile(uint32_t, uint64_t token) override {
    const std::lock_guard<std::mutex> lock(mutex_);
    cancelled_.insert(token);
  }

 private:
  void Loop() {
    while (true) {
      Job job;
      {
        std::unique_lock<std::mutex> lock(mutex_);
        changed_.wait(lock, [this] { return ending_ || !jobs_.empty(); });
        if (jobs_.empty()) return;
        job = std::move(jobs_.front());
        jobs_.pop_front();
      }
      const End end = Move(job);
      {
        const std::lock_guard<std::mutex> lock(mutex_);
        --held_;
      }
      vd_file_result result{};
      result.struct_size = sizeof(result);
      result.outcome = end.outcome;
      result.code = end.code;
      result.token = job.token;
      result.durable_offset = end.durable;
      result.sha256 = {end.sha256.data(), end.sha256.size()};
      result.detail = {end.detail.data(), end.detail.size()};
      host().FileDone(result);
    }
  }

  bool IsOver(uint64_t token) {
    const std::lock_guard<std::mutex> lock(mutex_);
    return ending_ || cancelled_.count(token) != 0;
  }
  static bool Each(int64_t every, uint64_t number) {
    return every > 0 && number % static_cast<uint64_t>(every) == 0;
  }

  End Move(const Job& job) {
    const uint64_t attempt = ++attempts_;
    if (Each(refuse_every_, attempt)) {
      return {VD_OUTCOME_RETRY, VD_RESOURCE_EXHAUSTED, job.offset, "", "the disk there is full"};
    }
    const fs::path final_name = fs::path(folder_) / job.name;
    std::error_code error;
    fs::create_directories(final_name.parent_path(), error);
    const std::string part =
        (final_name.parent_path() / (".viaduct-" + job.sha256.substr(0, 32) + ".part")).string();
    const int to = ::open(part.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    const int from = ::open(job.path.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    End end;
    if (from < 0) {
      end = {VD_OUTCOME_REJECT, VD_NOT_FOUND, 0, "", "the file is gone"};
    } else if (to >= 0) {
      end = Copy(job, from, to, Each(cut_every_, attempt) ? job.size / 2 : UINT64_MAX);
    }
    if (to >= 0) ::close(to);
    if (from >= 0) ::close(from);
    return end.outcome == VD_OUTCOME_DURABLE ? Finish(job, part, final_name) : end;
  }

  End Copy(const Job& job, int from, int to, uint64_t cut_at) {
    struct stat info {};
    ::fstat(to, &info);
    uint64_t at = std::min<uint64_t>(job.offset, static_cast<uint64_t>(info.st_size));
    std::vector<char> block(kBlockBytes);
    while (true) {
      if (IsOver(job.token)) {
        return {VD_OUTCOME_CANCELLED, VD_CANCELLED, at, "", "taken back"};
      }
      if (at >= cut_at) return {VD_OUTCOME_RETRY, VD_UNAVAILABLE, at, "", "the road was cut"};
      const ssize_t got = ::pread(from, block.data(), block.size(), static_cast<off_t>(at));
      if (got <= 0) break;
      if (::pwrite(to, block.data(), static_cast<size_t>(got), static_cast<off_t>(at)) != got ||
          ::fdatasync(to) != 0) {
        return {VD_OUTCOME_RETRY, VD_RESOURCE_EXHAUSTED, at, "", "cannot write"};
      }
      at += static_cast<uint64_t>(got);
      host().FileProgress(job.token, at, at);
      std::this_thread::sleep_for(std::chrono::microseconds(block_pause_us_));
    }
    if (::ftruncate(to, static_cast<off_t>(at)) != 0 || ::fsync(to) != 0) return {};
    return {VD_OUTCOME_DURABLE, VD_OK, at, "", ""};
  }

  End Finish(const Job& job, const std::string& part, const fs::path& final_name) {
    std::string digest = DigestOf(part);
    if (digest != job.sha256) {
      ::unlink(part.c_str());
      return {VD_OUTCOME_REJECT, VD_ABORTED, 0, "", "the file was changed while it was sent"};
    }
    if (::rename(part.c_str(), final_name.c_str()) != 0) return {};
    if (Each(lie_every_, ++arrivals_)) digest.replace(0, 8, "deadbeef");
    return {VD_OUTCOME_DURABLE, VD_OK, job.size, digest, ""};
  }

  std::string folder_;
  int64_t credit_ = 0;
  int64_t block_pause_us_ = 0;
  int64_t cut_every_ = 0;
  int64_t refuse_every_ = 0;
  int64_t lie_every_ = 0;
  uint64_t attempts_ = 0;  // Of the thread, as the next.
  uint64_t arrivals_ = 0;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Job> jobs_;
  std::set<uint64_t> cancelled_;
  size_t held_ = 0;
  bool ending_ = false;
  std::thread thread_;
};

}  // namespace

VIADUCT_PLUGIN(Filebox, Describe("filebox", "1.0.0")
                            .Summary("Copies files into a folder, for tests")
                            .Licence("Apache-2.0")
                            .Schema(filebox_config_schema)
                            .MaxLanes(1))
