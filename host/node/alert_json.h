// An alert as programs outside get it.
#pragma once

#include <string>
#include <string_view>

#include "core/lpr/json_writer.h"
#include "core/observe/alerts.h"

namespace viaduct {

std::string_view AlertStateName(const Alert& alert);  // "raised", "cleared"

// The members {"alert_id", "kind", "subject", "state", "value", "threshold", "raised_at"} of an
// open object, once it is over with "cleared_at".
void WriteAlertMembers(const Alert& alert, JsonWriter* json);

}  // namespace viaduct
