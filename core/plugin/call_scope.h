// The rule of base.h that the host never calls a plugin on a stack on which a plugin calls the
// host: the plugin may hold a lock of its own.
#pragma once

namespace viaduct {

// Marks the calling thread as being inside a call of some plugin. While one lives, the thread must
// not enter any plugin; whoever wants to hands the work to another thread.
class CallScope {
 public:
  CallScope() { ++depth_; }
  ~CallScope() { --depth_; }
  CallScope(const CallScope&) = delete;
  CallScope& operator=(const CallScope&) = delete;
  static bool active() { return depth_ > 0; }

 private:
  static inline thread_local int depth_ = 0;
};

}  // namespace viaduct
