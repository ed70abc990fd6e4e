// A picture on its way through an instance.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "plugins/hailo_lpr/frame_picture.h"
#include "plugins/hailo_lpr/request.h"

namespace viaduct::hailo_lpr {

struct PictureJob {
  FrameForm form;
  std::string_view octets;
  std::shared_ptr<const void> holder;  // Keeps them.
  std::string name;                    // Of its file, for people.
  // When the light fell in, Unix; 0: nobody has said. What the picture itself says goes before it
  // where `ask_picture`.
  int64_t capture_ns = 0;
  bool ask_picture = false;

  // Of a request.
  uint64_t ticket = 0;
  int64_t deadline_ns = 0;  // Monotonic; 0: none.
  InferRequest request;

  // Of a source: the picture has been looked at and all that it told is durable, or why not. May be
  // called on any thread.
  std::function<void(const absl::Status&)> ended;
};

}  // namespace viaduct::hailo_lpr
