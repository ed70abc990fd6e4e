// A program of ours that has opened a camera (camera_main.cc), and the memory into which it puts
// pictures.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "plugins/hailo_lpr/camera_link.h"

namespace viaduct::hailo_lpr {

// Memory and socket; pictures that are still looked at keep it. Thread-safe.
class CameraMemory {
 public:
  // RESOURCE_EXHAUSTED: no memory, no descriptor.
  static absl::StatusOr<std::shared_ptr<CameraMemory>> Make(size_t slot_bytes);
  CameraMemory(const CameraMemory&) = delete;
  CameraMemory& operator=(const CameraMemory&) = delete;
  ~CameraMemory();

  // Ours, without waiting, and that of the program.
  int socket() const { return ends_[0]; }
  int program_socket() const { return ends_[1]; }
  int descriptor() const { return memfd_; }
  void CloseProgramEnd();
  size_t slot_bytes() const { return slot_bytes_; }
  std::string_view Slot(uint32_t slot) const;
  // The program may fill it again.
  void Release(uint32_t slot) const;

 private:
  explicit CameraMemory(size_t slot_bytes) : slot_bytes_(slot_bytes) {}
  bool Open();

  const size_t slot_bytes_;
  int ends_[2] = {-1, -1};
  int memfd_ = -1;
  void* memory_ = nullptr;
};

// Lives on one thread, whose end the program does not outlive.
class CameraProcess {
 public:
  // `order` is JSON, at most kMaxCameraOrder. NOT_FOUND: no such program; RESOURCE_EXHAUSTED.
  static absl::StatusOr<std::unique_ptr<CameraProcess>> Start(const std::string& program,
                                                              const std::string& order,
                                                              size_t slot_bytes);
  CameraProcess(const CameraProcess&) = delete;
  CameraProcess& operator=(const CameraProcess&) = delete;
  ~CameraProcess();  // Kills, reaps.

  // Wanted to read.
  int descriptor() const { return memory_->socket(); }
  pid_t pid() const { return pid_; }
  // Nothing: no message now. UNAVAILABLE: it has ended without a word; INTERNAL: it says what can
  // not be.
  absl::StatusOr<std::optional<CameraMessage>> Next();
  const std::shared_ptr<CameraMemory>& memory() const { return memory_; }

 private:
  CameraProcess(pid_t pid, std::shared_ptr<CameraMemory> memory)
      : pid_(pid), memory_(std::move(memory)) {}

  const pid_t pid_;
  const std::shared_ptr<CameraMemory> memory_;
};

}  // namespace viaduct::hailo_lpr
