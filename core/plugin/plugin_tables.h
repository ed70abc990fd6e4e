// What one instance of a plugin offers to the host.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "viaduct/abi/abi.h"

namespace viaduct {

// The plugin's tables; null where not offered, otherwise without a null in them.
struct PluginTables {
  const vd_deliver_1* deliver = nullptr;
  bool publishes = false;  // `deliver` is that of viaduct.publish/1.
  const vd_submit_1* submit = nullptr;
  const vd_call_1* call = nullptr;
  const vd_file_1* file = nullptr;
  const vd_discard_1* discard = nullptr;
  const vd_probe_1* probe = nullptr;
  const vd_source_1* source = nullptr;
  const vd_infer_1* infer = nullptr;
  std::vector<std::string> ids;
};

// Asks a configured instance. INVALID_ARGUMENT names a table in which functions are missing. What
// the plugin throws comes through.
absl::StatusOr<PluginTables> FindTables(const vd_lifecycle_1& lifecycle, vd_instance* instance);

}  // namespace viaduct
