// The files of deploy/ that a setup writes, inside the program.
#pragma once

#include <string_view>

namespace viaduct::setup {

// The text of deploy/`name`. Empty for a name that host/setup/CMakeLists.txt does not list.
std::string_view DeployFile(std::string_view name);

}  // namespace viaduct::setup
