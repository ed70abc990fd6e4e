// One loaded plugin library: checked, described, kept as long as somebody uses it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "viaduct/abi/abi.h"

namespace viaduct {

constexpr size_t kMaxSchemaBytes = 1u << 20;
constexpr size_t kMaxInterfaces = 64;
constexpr size_t kMaxModuleTextBytes = 1024;  // Name, version, summary, licence, an id.

// What vd_module says, copied and checked.
struct ModuleInfo {
  std::string name;
  std::string version;
  std::string summary;
  std::string licence;
  std::string config_schema;
  uint16_t abi_major = 0;
  uint16_t abi_minor = 0;
  uint16_t min_host_minor = 0;
  uint32_t max_lanes = 0;
  std::vector<std::string> interfaces;
};

// Checks a description against the rules of module.h. `file_name` is the file's name without ".so".
// INVALID_ARGUMENT, or FAILED_PRECONDITION for a version that does not fit this host. Pointers are
// believed, sizes are not.
absl::StatusOr<ModuleInfo> CheckModule(const vd_module* module, std::string_view file_name);

// "rest" for "/usr/lib/viaduct/plugins/rest.so". INVALID_ARGUMENT: not such a name.
absl::StatusOr<std::string> PluginNameOfPath(std::string_view path);

// The checks that need no loading: an ELF library for this machine that exports vd_module_entry
// and wants neither gRPC nor protobuf. The error does not name the path.
absl::Status CheckLibraryFile(std::string_view octets);

// Immutable; thread-safe. Destroying it unloads the library: nothing of it may run any more.
class Plugin {
 public:
  // Loads `path` (RTLD_NOW, RTLD_LOCAL) as the plugin `name`. Every error names the path and says
  // why. Runs the library's constructors and vd_module_entry in this process.
  static absl::StatusOr<std::shared_ptr<const Plugin>> Load(const std::string& path,
                                                            std::string_view name);
  virtual ~Plugin() = default;

  virtual const ModuleInfo& info() const = 0;
  virtual const vd_lifecycle_1& lifecycle() const = 0;
};

}  // namespace viaduct
