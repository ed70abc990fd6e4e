// Backups: made by a node, listed, verified and restored also without one.
#pragma once

#include "host/ctl/session.h"

namespace viaduct::ctl {

void AddBackupCommands(CLI::App* app, Session* session);

}  // namespace viaduct::ctl
