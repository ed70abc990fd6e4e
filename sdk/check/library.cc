#include "library.h"

#include <dlfcn.h>

#include <algorithm>

#include "viaduct/cpp/text.h"

namespace viaduct::check {

Library::Library(Fixture& fixture) : fixture_(fixture) {
  fixture.Phase("dlopen");
  handle_ = dlopen(fixture.plugin_path().c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle_ == nullptr) fixture.Fail(std::string("dlopen: ") + dlerror());
  const auto entry = reinterpret_cast<vd_module_entry_fn>(dlsym(handle_, VD_MODULE_ENTRY));
  if (entry == nullptr) fixture.Fail("does not export " VD_MODULE_ENTRY);
  fixture.Phase(VD_MODULE_ENTRY);
  module_ = entry();
  if (module_ == nullptr) fixture.Fail("vd_module_entry gives NULL");
  if (module_->abi_major != VD_ABI_MAJOR) {
    fixture.Fail("built for ABI major " + std::to_string(module_->abi_major) +
                 ", this tool is for " + std::to_string(VD_ABI_MAJOR));
  }
  if (module_->struct_size < sizeof(vd_module)) {
    fixture.Fail("vd_module.struct_size is " + std::to_string(module_->struct_size) +
                 ", less than " + std::to_string(sizeof(vd_module)));
  }
  if (module_->lifecycle == nullptr) fixture.Fail("vd_module.lifecycle is NULL");
}

Library::~Library() { Close(); }

void Library::Close() {
  if (handle_ == nullptr) return;
  fixture_.Phase("dlclose");
  dlclose(handle_);
  handle_ = nullptr;
  module_ = nullptr;
}

nlohmann::json Library::Schema() const {
  nlohmann::json schema = nlohmann::json::parse(sdk::Text(module_->config_schema), nullptr, false);
  if (schema.is_discarded()) fixture_.Fail("config_schema is not JSON");
  if (!schema.is_object()) fixture_.Fail("config_schema is not a JSON object");
  return schema;
}

bool Library::Lists(const std::string& id) const {
  for (uint64_t i = 0; i < module_->interface_count; ++i) {
    if (sdk::Text(module_->interfaces[i]) == id) return true;
  }
  return false;
}

std::string NameOfFile(const std::string& path) {
  const size_t slash = path.rfind('/');
  const std::string file = slash == std::string::npos ? path : path.substr(slash + 1);
  const size_t dot = file.rfind('.');
  return file.substr(0, dot);
}

std::string Quote(vd_str text) {
  if (text.size > 0 && text.data == nullptr) return "NULL";
  return "\"" + std::string(sdk::Text(text).substr(0, 64)) + "\"";
}

}  // namespace viaduct::check
