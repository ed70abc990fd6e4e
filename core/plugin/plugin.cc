#include "core/plugin/plugin.h"

#include <boost/dll/shared_library.hpp>
#include <exception>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "core/base/string_view.h"
#include "core/plugin/elf_file.h"

namespace viaduct {
namespace {

absl::Status OfFile(const std::string& path, const absl::Status& status) {
  return absl::Status(status.code(), absl::StrCat("plugin: ", path, ": ", status.message()));
}

// Boost.DLL throws; its text ends with what dlerror said.
absl::Status OpenLibrary(const std::string& path, boost::dll::shared_library* library) {
  try {
    library->load(path, boost::dll::load_mode::rtld_now | boost::dll::load_mode::rtld_local);
  } catch (const std::exception& error) {
    return absl::InvalidArgumentError(absl::StrCat("can not be loaded, ", error.what()));
  } catch (...) {  // A constructor of the library threw.
    return absl::InvalidArgumentError("can not be loaded, its constructors threw an exception");
  }
  return absl::OkStatus();
}

absl::StatusOr<const vd_module*> Describe(const boost::dll::shared_library& library) {
  if (!library.has(VD_MODULE_ENTRY)) {
    return absl::InvalidArgumentError("no plugin, it does not export " VD_MODULE_ENTRY);
  }
  try {
    return library.get<const vd_module*()>(VD_MODULE_ENTRY)();
  } catch (const std::exception& error) {
    return absl::InvalidArgumentError(
        absl::StrCat("vd_module_entry threw an exception, ", error.what()));
  } catch (...) {
    return absl::InvalidArgumentError("vd_module_entry threw an exception");
  }
}

class LoadedPlugin final : public Plugin {
 public:
  LoadedPlugin(boost::dll::shared_library library, ModuleInfo info, const vd_lifecycle_1* lifecycle)
      : library_(std::move(library)), info_(std::move(info)), lifecycle_(lifecycle) {}

  const ModuleInfo& info() const override { return info_; }
  const vd_lifecycle_1& lifecycle() const override { return *lifecycle_; }

 private:
  const boost::dll::shared_library library_;
  const ModuleInfo info_;
  const vd_lifecycle_1* const lifecycle_;
};

absl::StatusOr<std::shared_ptr<const Plugin>> LoadChecked(const std::string& path,
                                                          std::string_view name) {
  VD_ASSIGN_OR_RETURN(const std::string octets, ReadLibraryFile(path));
  VD_RETURN_IF_ERROR(CheckLibraryFile(octets));
  boost::dll::shared_library library;
  VD_RETURN_IF_ERROR(OpenLibrary(path, &library));
  VD_ASSIGN_OR_RETURN(const vd_module* const module, Describe(library));
  VD_ASSIGN_OR_RETURN(ModuleInfo info, CheckModule(module, name));
  return std::make_shared<LoadedPlugin>(std::move(library), std::move(info), module->lifecycle);
}

}  // namespace

absl::StatusOr<std::shared_ptr<const Plugin>> Plugin::Load(const std::string& path,
                                                           std::string_view name) {
  auto plugin = LoadChecked(path, name);
  if (!plugin.ok()) return OfFile(path, plugin.status());
  return plugin;
}

}  // namespace viaduct
