// viaductctl fleet: the devices of a server.
#pragma once

#include <CLI/CLI.hpp>

#include "host/ctl/session.h"

namespace viaduct::ctl {

void AddFleetCommands(CLI::App* app, Session* session);

}  // namespace viaduct::ctl
