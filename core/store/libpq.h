// libpq, loaded when a store on PostgreSQL is opened and not before: an edge does without its
// package.
#pragma once

#include "absl/status/status.h"

namespace viaduct {

// Thread-safe. FAILED_PRECONDITION when the library is missing or too old. Only after OK may a
// function of <libpq-fe.h> be called; libpq.cc has those that the store needs.
absl::Status LoadLibpq();

}  // namespace viaduct
