// Facts about this program and the machine it runs on.
#pragma once

#include <string>

#include "absl/time/time.h"
#include "viaduct/control/v1/node.pb.h"

namespace viaduct {

control::v1::Build BuildFacts();
control::v1::HostFacts HostFactsNow();
std::string NodeVersion();

// How long ago the kernel started this process.
absl::Duration ProcessAge();

}  // namespace viaduct
