// The rule sets that a configuration may name without writing them.
#pragma once

#include "core/gateway/selection_rules.h"

namespace viaduct {

// Where what a link cannot take goes, unless the configuration says otherwise.
FallbackOrder StandardFallback();
// By size and priority, small and urgent messages first to a socket that is open. Files have rules
// of their own.
RuleSelector::Options SizePriorityRules();
// By how well each link does on the whole.
RuleSelector::Options ConnectivityScoreRules();

}  // namespace viaduct
