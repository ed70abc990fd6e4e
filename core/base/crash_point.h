// Named places where a test build can be killed. VD_CRASH_POINT("spool.commit.before") costs
// nothing in a release build; with VIADUCT_TEST_HOOKS it raises SIGKILL when the environment
// variable VIADUCT_CRASH_AT is "<name>" or "<name>:<n>" (the n-th pass, counted from 1).
#pragma once

#ifdef VIADUCT_TEST_HOOKS
namespace viaduct {
void CrashPoint(const char* name);
}  // namespace viaduct
#define VD_CRASH_POINT(name) ::viaduct::CrashPoint(name)
#else
#define VD_CRASH_POINT(name) static_cast<void>(0)
#endif
