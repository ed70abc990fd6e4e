#include "core/plugin/plugin_tables.h"

#include <type_traits>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/status_macros.h"
#include "core/plugin/abi_values.h"

namespace viaduct {
namespace {

struct Entry {
  const char* name;
  bool there;
};

std::vector<Entry> EntriesOf(const vd_deliver_1& t) {
  return {{"credit", t.credit != nullptr},
          {"deliver", t.deliver != nullptr},
          {"cancel", t.cancel != nullptr}};
}
std::vector<Entry> EntriesOf(const vd_submit_1& t) {
  return {{"on_done", t.on_done != nullptr}, {"on_room", t.on_room != nullptr}};
}
std::vector<Entry> EntriesOf(const vd_call_1& t) {
  return {{"on_reply", t.on_reply != nullptr},
          {"on_call", t.on_call != nullptr},
          {"on_cancel", t.on_cancel != nullptr}};
}
std::vector<Entry> EntriesOf(const vd_file_1& t) {
  return {{"credit", t.credit != nullptr},
          {"begin", t.begin != nullptr},
          {"cancel", t.cancel != nullptr}};
}
std::vector<Entry> EntriesOf(const vd_discard_1& t) { return {{"discard", t.discard != nullptr}}; }
std::vector<Entry> EntriesOf(const vd_probe_1& t) { return {{"probe", t.probe != nullptr}}; }
std::vector<Entry> EntriesOf(const vd_source_1& t) {
  return {{"on_room", t.on_room != nullptr}, {"on_frame_done", t.on_frame_done != nullptr}};
}
std::vector<Entry> EntriesOf(const vd_infer_1& t) {
  return {{"credit", t.credit != nullptr},
          {"infer", t.infer != nullptr},
          {"cancel", t.cancel != nullptr}};
}

absl::Status CheckEntries(const char* id, const std::vector<Entry>& entries) {
  std::vector<const char*> missing;
  for (const Entry& entry : entries) {
    if (!entry.there) missing.push_back(entry.name);
  }
  if (missing.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("query: ", id, ": null function, ", absl::StrJoin(missing, ", ")));
}

}  // namespace

absl::StatusOr<PluginTables> FindTables(const vd_lifecycle_1& lifecycle, vd_instance* instance) {
  PluginTables tables;
  const auto find = [&](const char* id, auto* table) -> absl::Status {
    const void* const found = lifecycle.query(instance, ToAbi(id));
    if (found == nullptr) return absl::OkStatus();
    *table = static_cast<std::remove_pointer_t<decltype(table)>>(found);
    tables.ids.emplace_back(id);
    return CheckEntries(id, EntriesOf(**table));
  };
  VD_RETURN_IF_ERROR(find(VD_DELIVER_1, &tables.deliver));
  if (tables.deliver == nullptr) {
    VD_RETURN_IF_ERROR(find(VD_PUBLISH_1, &tables.deliver));
    tables.publishes = tables.deliver != nullptr;
  }
  VD_RETURN_IF_ERROR(find(VD_SUBMIT_1, &tables.submit));
  VD_RETURN_IF_ERROR(find(VD_CALL_1, &tables.call));
  VD_RETURN_IF_ERROR(find(VD_FILE_1, &tables.file));
  VD_RETURN_IF_ERROR(find(VD_DISCARD_1, &tables.discard));
  VD_RETURN_IF_ERROR(find(VD_PROBE_1, &tables.probe));
  VD_RETURN_IF_ERROR(find(VD_SOURCE_1, &tables.source));
  VD_RETURN_IF_ERROR(find(VD_INFER_1, &tables.infer));
  return tables;
}

}  // namespace viaduct
