// Calling something that may never return.
#pragma once

#include <functional>
#include <memory>
#include <string_view>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace viaduct {

struct ControlOutcome {
  bool returned = false;  // False: the call still runs on a thread that nobody will join.
  absl::Status status;    // What it returned, or INTERNAL when there was no thread to be had.
};

// Runs `call` on a thread of its own called `thread_name` and waits for it, at most `limit`. When
// the limit passes the thread is let go; everything `call` holds stays alive until it returns.
ControlOutcome RunControlCall(std::string_view thread_name, absl::Duration limit,
                              std::function<absl::Status()> call);

// Keeps something alive for the rest of the process: what a thread that never came back, or a
// thread of the plugin that nobody knows, may still touch.
void KeepForever(std::shared_ptr<const void> thing);

}  // namespace viaduct
