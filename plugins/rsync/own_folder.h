// Where on the server the content of files lies that are not complete.
#pragma once

#include <string>
#include <string_view>

#include "plugins/rsync/server.h"

namespace viaduct::rsync {

// Below remote_path: what is just being received from an instance with this configuration on this
// machine. Other nodes may bring files to the same remote_path, and clear only what is theirs.
std::string OwnFolder(const ServerOptions& server);

// What a broken transfer of `name` has left, and a later one goes on with.
std::string PartOf(std::string_view name);

}  // namespace viaduct::rsync
