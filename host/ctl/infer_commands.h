// Pictures that are looked at by a node.
#pragma once

#include "host/ctl/session.h"

namespace viaduct::ctl {

void AddInferCommand(CLI::App* gateway, Session* session);

}  // namespace viaduct::ctl
