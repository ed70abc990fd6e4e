// Early return on error for absl::Status and absl::StatusOr. Abseil 20220623 (Debian 12) has none.
#pragma once

#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#define VD_RETURN_IF_ERROR(expr)             \
  do {                                       \
    absl::Status vd_status_ = (expr);        \
    if (!vd_status_.ok()) return vd_status_; \
  } while (false)

#define VD_STATUS_CONCAT_INNER(a, b) a##b
#define VD_STATUS_CONCAT(a, b) VD_STATUS_CONCAT_INNER(a, b)

// VD_ASSIGN_OR_RETURN(auto value, Compute());
#define VD_ASSIGN_OR_RETURN(lhs, expr) \
  VD_ASSIGN_OR_RETURN_IMPL(VD_STATUS_CONCAT(vd_status_or_, __LINE__), lhs, expr)
#define VD_ASSIGN_OR_RETURN_IMPL(statusor, lhs, expr) \
  auto statusor = (expr);                             \
  if (!statusor.ok()) return statusor.status();       \
  lhs = std::move(statusor).value()
