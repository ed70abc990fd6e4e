#include "core/base/crash_point.h"

#ifdef VIADUCT_TEST_HOOKS
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <string>
#include <string_view>

namespace viaduct {
namespace {

struct CrashPlan {
  std::string name;
  int pass = 1;
};

CrashPlan ReadPlan() {
  CrashPlan plan;
  const char* text = std::getenv("VIADUCT_CRASH_AT");
  if (text == nullptr) return plan;
  plan.name = text;
  const size_t colon = plan.name.rfind(':');
  if (colon != std::string::npos) {
    plan.pass = std::max(1, std::atoi(plan.name.c_str() + colon + 1));
    plan.name.resize(colon);
  }
  return plan;
}

}  // namespace

void CrashPoint(const char* name) {
  static const CrashPlan plan = ReadPlan();
  if (plan.name.empty() || plan.name != name) return;
  static std::atomic<int> passes{0};
  if (++passes == plan.pass) kill(getpid(), SIGKILL);
}

}  // namespace viaduct
#endif
