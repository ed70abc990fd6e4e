// A camera that shows one picture again and again, or an inference that finds a plate in each: the
// text of the plate is the number of the frame, so that a test can tell which frame arrived. It is
// slow and refuses as it is asked to.
#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <fstream>
#include <iterator>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

#include "framebox_config_schema.h"
#include "viaduct/cpp/plugin.h"

namespace {

using viaduct::sdk::Buffer;
using viaduct::sdk::Config;
using viaduct::sdk::Describe;
using viaduct::sdk::Plugin;
using viaduct::sdk::Status;

int64_t Now() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

struct Job {
  uint64_t ticket = 0;
  uint64_t sequence = 0;
  Buffer picture;
};

class Framebox final : public Plugin,
                       public viaduct::sdk::FrameSource,
                       public viaduct::sdk::Inferer {
 public:
  using Plugin::Plugin;

  Status Configure(const Config& config) override {
    std::string role;
    VIADUCT_RETURN_IF_ERROR(config.Read("/role", &role));
    VIADUCT_RETURN_IF_ERROR(config.Read("/picture", &path_));
    VIADUCT_RETURN_IF_ERROR(config.Read("/log", &log_));
    VIADUCT_RETURN_IF_ERROR(config.Read("/interval_ms", &interval_ms_));
    VIADUCT_RETURN_IF_ERROR(config.Read("/delay_ms", &delay_ms_));
    VIADUCT_RETURN_IF_ERROR(config.Read("/credit", &credit_));
    VIADUCT_RETURN_IF_ERROR(config.Read("/reject_every", &reject_every_));
    source_ = role == "source";
    return {};
  }
  bool Offers(std::string_view id) const override {
    return id == (source_ ? VD_SOURCE_1 : VD_INFER_1);
  }
  Status Start(uint32_t) override {
    if (source_) {
      std::ifstream file(path_, std::ios::binary);
      octets_.assign(std::istreambuf_iterator<char>(file), {});
      if (octets_.empty()) return viaduct::sdk::Unavailable("picture: cannot be read, " + path_);
    }
    ending_ = false;
    thread_ = std::thread([this] { source_ ? Show() : Look(); });
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
    for (const Job& job : std::exchange(jobs_, {})) End(job, VD_OUTCOME_CANCELLED, VD_CANCELLED);
  }

  // ---- the camera

  void OnFrameRoom(uint32_t frames) override {
    const std::lock_guard<std::mutex> lock(mutex_);
    room_ = frames;
  }
  void OnFrameDone(uint64_t ticket, uint32_t outcome) override {
    static constexpr std::array<const char*, 6> kNames = {"unknown", "durable", "retry",
                                                          "reject",  "expired", "cancelled"};
    const std::string line = std::string(kNames[outcome < kNames.size() ? outcome : 0]) + " " +
                             std::to_string(ticket) + "\n";
    const int file = ::open(log_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (file < 0) return;
    [[maybe_unused]] const ssize_t written = ::write(file, line.data(), line.size());
    ::close(file);
  }

  // ---- the inference

  uint32_t InferCredit() override {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto all = static_cast<size_t>(credit_);
    return all > held_ ? static_cast<uint32_t>(all - held_) : 0;
  }
  Status Infer(uint32_t, uint64_t ticket, const vd_frame& frame, std::string_view) override {
    if (frame.buffer == nullptr) return viaduct::sdk::InvalidArgument("frame: has no octets");
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      ++held_;
      jobs_.push_back({ticket, frame.sequence, Buffer::Share(frame.buffer)});
    }
    changed_.notify_all();
    return {};
  }
  void CancelInfer(uint32_t, uint64_t) override {}  // It ends as all others.

 private:
  // Until the end, or false after that time.
  bool Ended(std::chrono::milliseconds limit) {
    std::unique_lock<std::mutex> lock(mutex_);
    return changed_.wait_for(lock, limit, [this] { return ending_; });
  }

  void Show() {
    // Numbers of one life are not those of another.
    for (auto sequence = static_cast<uint64_t>(Now() / 1000);; ++sequence) {
      if (Ended(std::chrono::milliseconds(interval_ms_))) return;
      {
        const std::lock_guard<std::mutex> lock(mutex_);
        if (room_ == 0) continue;
        --room_;
      }
      Buffer buffer = Buffer::Wrap(octets_);
      vd_frame frame{};
      frame.struct_size = sizeof(frame);
      frame.fourcc = VD_FOURCC_JPEG;
      frame.plane_count = 1;
      frame.descriptor = -1;
      frame.planes[0].size = octets_.size();
      frame.buffer = buffer.raw();
      frame.ticket = sequence;
      frame.sequence = sequence;
      frame.capture_ns = Now();
      frame.source = {"front", 5};
      (void)host().PushFrame(frame);
    }
  }

  void Look() {
    while (true) {
      Job job;
      {
        std::unique_lock<std::mutex> lock(mutex_);
        changed_.wait(lock, [this] { return ending_ || !jobs_.empty(); });
        if (ending_) return;
        job = std::move(jobs_.front());
        jobs_.pop_front();
      }
      const bool over = Ended(std::chrono::milliseconds(delay_ms_));
      const bool refused = reject_every_ > 0 && ++seen_ % static_cast<uint64_t>(reject_every_) == 0;
      if (over) {
        End(job, VD_OUTCOME_CANCELLED, VD_CANCELLED);
      } else if (refused) {
        End(job, VD_OUTCOME_REJECT, VD_INVALID_ARGUMENT);
      } else {
        End(job, VD_OUTCOME_DURABLE, VD_OK);
      }
    }
  }

  void End(const Job& job, uint32_t outcome, int32_t code) {
    const std::string json = R"({"plates_count":1,"ocr_results":[{"text":"F)" +
                             std::to_string(job.sequence) +
                             R"(","confidence":0.9}],"stages":{"look":1.5}})";
    std::array<vd_crop, 2> crops{};
    const std::array<std::string_view, 2> names = {"plate_0", "image"};
    for (size_t i = 0; i < crops.size(); ++i) {
      crops[i].struct_size = sizeof(vd_crop);
      crops[i].name = {names[i].data(), names[i].size()};
      crops[i].media_type = {"image/jpeg", 10};
      crops[i].buffer = job.picture.raw();
    }
    vd_infer_result result{};
    result.struct_size = sizeof(result);
    result.outcome = outcome;
    result.code = code;
    result.ticket = job.ticket;
    if (outcome == VD_OUTCOME_DURABLE) {
      result.result = {json.data(), json.size()};
      result.crops = crops.data();
      result.crop_stride = sizeof(vd_crop);
      result.crop_count = crops.size();
    }
    result.detail = {"refused by the test", 19};
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      --held_;
    }
    host().InferDone(result);
  }

  bool source_ = false;
  std::string path_;
  std::string log_;
  std::string octets_;
  int64_t interval_ms_ = 0;
  int64_t delay_ms_ = 0;
  int64_t credit_ = 0;
  int64_t reject_every_ = 0;
  uint64_t seen_ = 0;  // Of the thread.
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Job> jobs_;
  size_t held_ = 0;
  uint32_t room_ = 0;
  bool ending_ = false;
  std::thread thread_;
};

}  // namespace

VIADUCT_PLUGIN(Framebox, Describe("framebox", "1.0.0")
                             .Summary("Shows pictures and finds plates, for tests")
                             .Licence("Apache-2.0")
                             .Schema(framebox_config_schema)
                             .MaxLanes(1))
