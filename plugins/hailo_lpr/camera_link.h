// What the program that opens cameras and the plugin say to each other, over a socket that keeps
// messages apart (SOCK_SEQPACKET), beside memory that both have.
//
// A camera's driver, a network and a decoder can hang for ever or die; a program can be killed. The
// plugin makes the memory, so that nobody can take it away while it is read.
#pragma once

#include <cstddef>
#include <cstdint>

namespace viaduct::hailo_lpr {

// The descriptors with which the program begins.
inline constexpr int kCameraSocket = 3;
inline constexpr int kCameraMemory = 4;

inline constexpr uint32_t kCameraSlots = 3;          // One is looked at, one waits, one is filled.
inline constexpr uint32_t kBytesPerPixel = 3;        // BGR, rows without gaps.
inline constexpr size_t kMaxCameraOrder = 16 << 10;  // The first message to the program: JSON.
inline constexpr size_t kMaxCameraText = 256;

enum class CameraWord : uint32_t {
  kPicture = 1,  // In `slot`, which is the plugin's until it gives it back.
  kEnd,          // There are no more.
  kFailed,       // `text` says why.
};

// From the program.
struct CameraMessage {
  CameraWord word = CameraWord::kEnd;
  uint32_t slot = 0;
  int32_t width = 0;
  int32_t height = 0;
  uint64_t lost = 0;       // Pictures since the last one for which there was no slot.
  int64_t capture_ns = 0;  // Unix.
  char text[kMaxCameraText] = {};
};

// To the program, after its order: a slot is free again.
struct CameraRelease {
  uint32_t slot = 0;
};

}  // namespace viaduct::hailo_lpr
