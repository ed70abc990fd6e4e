#include <algorithm>
#include <filesystem>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/status_macros.h"
#include "core/base/string_view.h"
#include "core/plugin/elf_file.h"
#include "core/plugin/plugin.h"
#include "nlohmann/json.hpp"

namespace viaduct {
namespace {

constexpr size_t kMaxNameBytes = 32;

absl::Status Bad(std::string_view field, std::string_view what) {
  return absl::InvalidArgumentError(
      absl::StrCat("vd_module.", AbslView(field), ": ", AbslView(what)));
}

bool IsPluginName(std::string_view name) {
  if (name.empty() || name.size() > kMaxNameBytes || !absl::ascii_islower(name[0])) return false;
  return std::all_of(name.begin(), name.end(), [](unsigned char c) {
    return absl::ascii_islower(c) || absl::ascii_isdigit(c) || c == '_';
  });
}

bool IsPrintable(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](unsigned char c) { return c >= 0x20 && c != 0x7f; });
}

absl::Status CopyText(vd_str text, std::string_view field, bool required, std::string* out) {
  if (text.size > kMaxModuleTextBytes) return Bad(field, "longer than 1024 octets");
  if (text.data == nullptr && text.size > 0) return Bad(field, "null with a size");
  if (required && text.size == 0) return Bad(field, "empty");
  if (text.size > 0) out->assign(text.data, text.size);
  return IsPrintable(*out) ? absl::OkStatus() : Bad(field, "control characters in it");
}

absl::Status CheckVersion(const vd_module& module) {
  if (module.abi_major != VD_ABI_MAJOR) {
    return absl::FailedPreconditionError(absl::StrCat("built for plugin ABI ", module.abi_major,
                                                      ".", module.abi_minor, ", this host has ",
                                                      VD_ABI_MAJOR, ".", VD_ABI_MINOR));
  }
  if (module.min_host_minor > VD_ABI_MINOR) {
    return absl::FailedPreconditionError(
        absl::StrCat("wants a host with plugin ABI ", module.abi_major, ".", module.min_host_minor,
                     " or newer, this host has ", VD_ABI_MAJOR, ".", VD_ABI_MINOR));
  }
  return absl::OkStatus();
}

absl::Status CheckLifecycle(const vd_lifecycle_1* table) {
  if (table == nullptr) return Bad("lifecycle", "null");
  std::vector<std::string> missing;
  if (table->create == nullptr) missing.emplace_back("create");
  if (table->configure == nullptr) missing.emplace_back("configure");
  if (table->start == nullptr) missing.emplace_back("start");
  if (table->drain == nullptr) missing.emplace_back("drain");
  if (table->stop == nullptr) missing.emplace_back("stop");
  if (table->destroy == nullptr) missing.emplace_back("destroy");
  if (table->query == nullptr) missing.emplace_back("query");
  if (missing.empty()) return absl::OkStatus();
  return Bad("lifecycle", absl::StrCat("null function, ", absl::StrJoin(missing, ", ")));
}

absl::Status CopySchema(vd_str text, std::string* out) {
  if (text.size == 0) return Bad("config_schema", "empty");
  if (text.data == nullptr) return Bad("config_schema", "null with a size");
  if (text.size > kMaxSchemaBytes) return Bad("config_schema", "longer than 1 MiB");
  out->assign(text.data, text.size);
  const nlohmann::json schema = nlohmann::json::parse(*out, nullptr, false);
  if (schema.is_discarded()) return Bad("config_schema", "not JSON");
  if (!schema.is_object()) return Bad("config_schema", "not a JSON object");
  return absl::OkStatus();
}

absl::Status CopyInterfaces(const vd_module& module, std::vector<std::string>* out) {
  if (module.interface_count > kMaxInterfaces) {
    return Bad("interface_count", absl::StrCat("more than 64, ", module.interface_count));
  }
  if (module.interface_count > 0 && module.interfaces == nullptr) {
    return Bad("interfaces", "null with a count");
  }
  for (uint64_t i = 0; i < module.interface_count; ++i) {
    std::string id;
    VD_RETURN_IF_ERROR(CopyText(module.interfaces[i], "interfaces", true, &id));
    out->push_back(std::move(id));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::string> PluginNameOfPath(std::string_view path) {
  const std::filesystem::path file(path);
  const std::string name = file.stem().string();
  if (file.extension() != ".so" || !IsPluginName(name)) {
    return absl::InvalidArgumentError(absl::StrCat("bad file name, \"", file.filename().string(),
                                                   "\" is not [a-z][a-z0-9_]{0,31}.so"));
  }
  return name;
}

absl::StatusOr<ModuleInfo> CheckModule(const vd_module* module, std::string_view file_name) {
  if (module == nullptr) {
    return absl::InvalidArgumentError("vd_module_entry gave no description, null");
  }
  // The version stands at a fixed place right behind struct_size and decides what the rest means.
  VD_RETURN_IF_ERROR(CheckVersion(*module));
  if (module->struct_size < sizeof(vd_module)) {
    return Bad("struct_size", absl::StrCat("too small, ", module->struct_size, " is less than ",
                                           sizeof(vd_module)));
  }
  ModuleInfo info;
  info.abi_major = module->abi_major;
  info.abi_minor = module->abi_minor;
  info.min_host_minor = module->min_host_minor;
  info.max_lanes = module->max_lanes;
  if (info.max_lanes < 1 || info.max_lanes > VD_MAX_LANES) {
    return Bad("max_lanes", absl::StrCat("not 1 to ", VD_MAX_LANES, ", ", info.max_lanes));
  }
  VD_RETURN_IF_ERROR(CopyText(module->name, "name", true, &info.name));
  if (!IsPluginName(info.name)) {
    return Bad("name", absl::StrCat("not [a-z][a-z0-9_]{0,31}, \"", info.name, "\""));
  }
  if (info.name != file_name) {
    return Bad("name", absl::StrCat("does not match the file, \"", info.name, "\" in ",
                                    AbslView(file_name), ".so"));
  }
  VD_RETURN_IF_ERROR(CopyText(module->version, "version", true, &info.version));
  VD_RETURN_IF_ERROR(CopyText(module->summary, "summary", false, &info.summary));
  VD_RETURN_IF_ERROR(CopyText(module->licence, "licence", false, &info.licence));
  VD_RETURN_IF_ERROR(CopySchema(module->config_schema, &info.config_schema));
  VD_RETURN_IF_ERROR(CopyInterfaces(*module, &info.interfaces));
  VD_RETURN_IF_ERROR(CheckLifecycle(module->lifecycle));
  return info;
}

absl::Status CheckLibraryFile(std::string_view octets) {
  VD_ASSIGN_OR_RETURN(const ElfFile elf, ParseElf(octets));
  for (const std::string& library : elf.needed) {
    for (const std::string_view forbidden : {"libgrpc", "libprotobuf"}) {
      if (library.compare(0, forbidden.size(), forbidden) == 0) {
        return absl::InvalidArgumentError(
            absl::StrCat("a plugin must use neither gRPC nor protobuf, it needs ", library));
      }
    }
  }
  // A library with neither symbol table nor sections (stripped oddly) is left to the loader.
  if (!elf.exports.empty() &&
      std::find(elf.exports.begin(), elf.exports.end(), VD_MODULE_ENTRY) == elf.exports.end()) {
    return absl::InvalidArgumentError("no plugin, it does not export " VD_MODULE_ENTRY);
  }
  return absl::OkStatus();
}

}  // namespace viaduct
