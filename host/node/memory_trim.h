// Gives back what only the start needed.
#pragma once

namespace viaduct {

// Returns free heap to the kernel and lets go of program text that was touched once, by loading,
// relocating and registering: the pages stay in the page cache and come back by themselves when
// they are run again. Takes about a millisecond; call it once, after the start.
void TrimAfterStart();

}  // namespace viaduct
