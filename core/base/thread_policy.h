// How the kernel treats a thread.
#pragma once

namespace viaduct {

// For a thread that commits in groups what others bring: woken, it does not interrupt the one that
// woke it (SCHED_BATCH, sched(7)). On a busy processor groups grow instead of switches.
void LetWakersRunOn();

}  // namespace viaduct
