// An alert as programs outside get it.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "core/lpr/json_writer.h"
#include "core/observe/alerts.h"
#include "host/node/alert_marks.h"

namespace viaduct {

std::string_view AlertStateName(const Alert& alert);  // "raised", "cleared"

// The members {"alert_id", "kind", "subject", "state", "value", "threshold", "raised_at"} of an
// open object, once it is over with "cleared_at".
void WriteAlertMembers(const Alert& alert, JsonWriter* json);

// {"acknowledged_at", "acknowledged_by", "note"}, null where nobody has seen to it.
void WriteMarkMembers(const std::optional<AlertMark>& mark, JsonWriter* json);

// The object of GET /api/alerts.
void WriteShownAlert(std::string_view node_id, const Alert& alert,
                     const std::optional<AlertMark>& mark, JsonWriter* json);

}  // namespace viaduct
