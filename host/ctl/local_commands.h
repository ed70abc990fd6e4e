// Commands that ask no node.
#pragma once

#include "host/ctl/session.h"

namespace viaduct::ctl {

void AddPkiCommands(CLI::App* app, Session* session);
void AddSetupCommands(CLI::App* app, Session* session);

}  // namespace viaduct::ctl
