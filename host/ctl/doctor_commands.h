// What is wrong on a machine, with the node running or not.
#pragma once

#include "host/ctl/session.h"

namespace viaduct::ctl {

void AddDoctorCommands(CLI::App* app, Session* session);

}  // namespace viaduct::ctl
