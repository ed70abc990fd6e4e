// Groups, users, roles and databases: whether they are there, made and removed by the system's own
// programs.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "host/setup/root.h"
#include "host/setup/step.h"

namespace viaduct::setup {

// For kGroup, kUser, kRole and kDatabase.
absl::StatusOr<bool> AccountExists(const Root& root, StepKind kind, const std::string& name);
absl::Status MakeAccount(const Root& root, StepKind kind, const std::string& name);
// FAILED_PRECONDITION: a database that has tables, without `force`, or what others still need.
absl::Status RemoveAccount(const Root& root, StepKind kind, const std::string& name, bool force);

}  // namespace viaduct::setup
