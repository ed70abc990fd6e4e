// One TUN device in a network namespace: what is sent to its network can be read here, and what is
// written here arrives there. It is gone when its descriptor is closed, however the process ends.
#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "core/base/descriptor.h"
#include "tests/support/link_commands.h"

namespace viaduct::support {

// Makes the device with the address of `end`, and takes it up. The descriptor does not block and
// gives one IP packet a read. The calling thread is in the end's namespace meanwhile.
// NOT_FOUND: no such namespace. PERMISSION_DENIED, UNAVAILABLE: the machine does not let us.
absl::StatusOr<std::unique_ptr<Descriptor>> OpenTun(const LinkEnd& end);

}  // namespace viaduct::support
