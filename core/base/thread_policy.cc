#include "core/base/thread_policy.h"

#include <sched.h>

namespace viaduct {

void LetWakersRunOn() {
  const sched_param param{};
  sched_setscheduler(0, SCHED_BATCH, &param);  // Refused: it works all the same, in smaller groups.
}

}  // namespace viaduct
