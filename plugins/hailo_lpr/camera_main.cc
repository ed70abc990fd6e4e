// hailo-lpr-camera: opens one camera or video and fills the memory of the plugin that has started
// it (camera_link.h). It is not for people to start.
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "opencv2/core.hpp"
#include "opencv2/imgproc.hpp"
#include "opencv2/videoio.hpp"
#include "plugins/hailo_lpr/camera_link.h"

namespace viaduct::hailo_lpr {
namespace {

using Json = nlohmann::json;
using std::chrono::steady_clock;

constexpr double kMsInSecond = 1000;
constexpr double kNsInMs = 1e6;
constexpr int kFirstToGo = 1000;     // The kernel's most.
constexpr double kUsualStepMs = 40;  // Of videos that do not say.

int64_t WallNs() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

// The plugin's end: its memory, and which slots are free.
class Plugin {
 public:
  bool Open() {
    struct stat facts {};
    if (fstat(kCameraMemory, &facts) != 0 || facts.st_size <= 0) return false;
    size_ = static_cast<size_t>(facts.st_size);
    void* memory = mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_SHARED, kCameraMemory, 0);
    if (memory == MAP_FAILED) return false;
    memory_ = static_cast<unsigned char*>(memory);
    free_.assign(kCameraSlots, true);
    return true;
  }

  std::string ReadOrder() const {
    std::string order(kMaxCameraOrder, '\0');
    const ssize_t got = recv(kCameraSocket, order.data(), order.size(), 0);
    order.resize(got > 0 ? static_cast<size_t>(got) : 0);
    return order;
  }

  // Waits for a free slot where `wait`; false: none. Ends the program when the plugin is gone.
  bool FindSlot(bool wait, uint32_t* slot) {
    HearReleases(/*wait=*/false);
    while (true) {
      const auto found = std::find(free_.begin(), free_.end(), true);
      if (found != free_.end()) {
        *slot = static_cast<uint32_t>(found - free_.begin());
        return true;
      }
      if (!wait) return false;
      HearReleases(/*wait=*/true);
    }
  }

  bool Fits(const cv::Size& size) const {
    return static_cast<size_t>(size.width) * static_cast<size_t>(size.height) * kBytesPerPixel <=
           size_ / kCameraSlots;
  }

  void Give(const cv::Mat& picture, uint32_t slot, CameraMessage message) {
    unsigned char* at = memory_ + size_ / kCameraSlots * slot;
    cv::Mat place(picture.size(), CV_8UC3, at);
    picture.copyTo(place);
    free_[slot] = false;
    message.word = CameraWord::kPicture;
    message.slot = slot;
    message.width = picture.cols;
    message.height = picture.rows;
    Say(message);
  }

  static void Say(const CameraMessage& message) {
    if (send(kCameraSocket, &message, sizeof(message), MSG_NOSIGNAL) < 0) std::_Exit(1);
  }

 private:
  void HearReleases(bool wait) {
    while (true) {
      CameraRelease release;
      const ssize_t got = recv(kCameraSocket, &release, sizeof(release), wait ? 0 : MSG_DONTWAIT);
      if (got < 0 && errno == EINTR) continue;
      if (got < 0 && errno == EAGAIN) return;
      if (got != sizeof(release)) std::_Exit(0);  // The plugin is gone.
      if (release.slot < kCameraSlots) free_[release.slot] = true;
      wait = false;
    }
  }

  unsigned char* memory_ = nullptr;
  size_t size_ = 0;
  std::vector<bool> free_;
};

[[noreturn]] void Fail(const std::string& why) {
  CameraMessage message;
  message.word = CameraWord::kFailed;
  std::snprintf(message.text, sizeof(message.text), "%s", why.c_str());
  Plugin::Say(message);
  std::_Exit(1);
}

// What comes from outside may want more memory than there is: then this program ends, not the node.
void GoFirst() { std::ofstream("/proc/self/oom_score_adj") << kFirstToGo; }

// What a stream or a file may make the decoder open.
constexpr char kStreamOptions[] =
    "rtsp_transport;tcp|protocol_whitelist;rtsp,rtsps,rtp,tcp,udp,tls,http,https,srtp";
constexpr char kFileOptions[] = "protocol_whitelist;file";

void SetDecoder(const char* options) { setenv("OPENCV_FFMPEG_CAPTURE_OPTIONS", options, 1); }

bool OpenStream(const Json& order, cv::VideoCapture* camera) {
  SetDecoder(kStreamOptions);
  const int timeout_ms = order.at("timeout_ms");
  return camera->open(
      order.at("url").get<std::string>(), cv::CAP_FFMPEG,
      {cv::CAP_PROP_OPEN_TIMEOUT_MSEC, timeout_ms, cv::CAP_PROP_READ_TIMEOUT_MSEC, timeout_ms});
}

bool OpenDevice(const Json& order, cv::VideoCapture* camera) {
  if (!camera->open(order.at("device").get<std::string>(), cv::CAP_V4L2)) return false;
  const std::pair<const char*, int> kSettings[] = {{"width", cv::CAP_PROP_FRAME_WIDTH},
                                                   {"height", cv::CAP_PROP_FRAME_HEIGHT},
                                                   {"fps", cv::CAP_PROP_FPS}};
  for (const auto& [key, property] : kSettings) {
    const int value = order.at(key);
    if (value > 0) camera->set(property, value);
  }
  return true;
}

bool OpenCamera(const Json& order, cv::VideoCapture* camera) {
  const std::string kind = order.at("kind");
  if (kind == "rtsp") return OpenStream(order, camera);
  if (kind == "v4l2") return OpenDevice(order, camera);
  if (kind == "libcamera") {
    return camera->open(order.at("pipeline").get<std::string>(), cv::CAP_GSTREAMER);
  }
  SetDecoder(kFileOptions);
  return camera->open(order.at("file").get<std::string>(), cv::CAP_FFMPEG);
}

// Where in a video its next picture is.
class VideoClock {
 public:
  VideoClock(const Json& order, cv::VideoCapture* camera)
      : camera_(camera), real_time_(order.at("real_time")), begin_ns_(order.at("begin_ns")) {
    const double fps = camera->get(cv::CAP_PROP_FPS);
    if (fps > 0.1 && fps < kMsInSecond) step_ms_ = kMsInSecond / fps;
  }

  // Of the picture that was just read; waits until it is due where the video plays.
  int64_t CaptureNs() {
    const double said_ms = camera_->get(cv::CAP_PROP_POS_MSEC);
    // Some files say nothing, or the same each time.
    at_ms_ = count_ == 0 ? 0 : said_ms > at_ms_ ? said_ms : at_ms_ + step_ms_;
    ++count_;
    if (real_time_) {
      const auto due = begin_ + std::chrono::duration_cast<steady_clock::duration>(
                                    std::chrono::duration<double, std::milli>(at_ms_));
      std::this_thread::sleep_until(due);
    }
    return begin_ns_ + static_cast<int64_t>(at_ms_ * kNsInMs);
  }

 private:
  cv::VideoCapture* const camera_;
  const bool real_time_;
  const int64_t begin_ns_;
  double step_ms_ = kUsualStepMs;
  double at_ms_ = 0;
  int64_t count_ = 0;
  const steady_clock::time_point begin_ = steady_clock::now();
};

void CheckPicture(const Plugin& plugin, cv::Mat* picture) {
  if (picture->depth() != CV_8U) Fail("its pictures have no 8 bits");
  if (picture->channels() == 1) cv::cvtColor(*picture, *picture, cv::COLOR_GRAY2BGR);
  if (picture->channels() != 3) Fail("its pictures have no 3 channels");
  if (!plugin.Fits(picture->size())) {
    Fail("its pictures are too large, " + std::to_string(picture->cols) + "x" +
         std::to_string(picture->rows));
  }
}

void Run(Plugin* plugin, const Json& order) {
  cv::VideoCapture camera;
  if (!OpenCamera(order, &camera)) Fail("cannot be opened");
  const bool video = order.at("kind") == "video";
  const bool wait = video && !order.at("real_time").get<bool>();
  VideoClock clock(order, &camera);
  CameraMessage message;
  cv::Mat picture;
  int64_t count = 0;
  while (camera.read(picture) && !picture.empty()) {
    CheckPicture(*plugin, &picture);
    message.capture_ns = video ? clock.CaptureNs() : WallNs();
    ++count;
    uint32_t slot = 0;
    if (!plugin->FindSlot(wait, &slot)) {
      ++message.lost;
      continue;
    }
    plugin->Give(picture, slot, message);
    message.lost = 0;
  }
  if (!video) Fail(count == 0 ? "gives no pictures" : "gives no more pictures");
  if (count == 0) Fail("has no pictures");
  message.word = CameraWord::kEnd;
  Plugin::Say(message);
}

}  // namespace

int CameraMain() try {
  // Also while a driver or a decoder hangs.
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  GoFirst();
  Plugin plugin;
  if (!plugin.Open()) {
    std::fputs("hailo-lpr-camera: started by the hailo_lpr plugin only\n", stderr);
    return 2;
  }
  cv::setNumThreads(1);
  Run(&plugin, Json::parse(plugin.ReadOrder()));
  return 0;
} catch (const std::exception& error) {
  Fail(error.what());
}

}  // namespace viaduct::hailo_lpr

int main() { return viaduct::hailo_lpr::CameraMain(); }
