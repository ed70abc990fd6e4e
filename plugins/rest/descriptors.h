// What the listener asks the system about its descriptors.
#pragma once

#include <string>

namespace viaduct::rest {

// So many connections may be open: they must not take the descriptors that the rest of the process
// needs to answer them.
int DescriptorsToSpare();

// "192.0.2.7:51234" of a connected socket; "unknown" for any other.
std::string PeerName(int fd);

}  // namespace viaduct::rest
