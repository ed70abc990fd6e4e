#include "core/config/open_listeners.h"

#include <arpa/inet.h>

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "core/base/string_view.h"
#include "core/config/members.h"
#include "core/config/schema_value.h"

namespace viaduct {

bool IsLoopbackAddress(std::string_view listen) {
  const size_t colon = listen.rfind(':');
  std::string host(listen.substr(0, colon));
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
  }
  if (absl::AsciiStrToLower(host) == "localhost") return true;
  in_addr v4{};
  if (inet_pton(AF_INET, host.c_str(), &v4) == 1) return ntohl(v4.s_addr) >> 24 == 127;
  in6_addr v6{};
  return inet_pton(AF_INET6, host.c_str(), &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

void CheckListeners(const ConfigNode& root, Findings* findings) {
  const ConfigNode* const list = root.Find("instances");
  const ConfigNode* const auth = root.Find("auth");
  if (list == nullptr || (auth != nullptr && auth->is_map())) return;
  for (size_t i = 0; i < list->items.size(); ++i) {
    const ConfigNode& item = list->items[i];
    const ConfigNode* const config = item.Find("config");
    const ConfigNode* const listen = config == nullptr ? nullptr : config->Find("listen");
    if (listen == nullptr || !listen->is_scalar() || listen->broken ||
        IsLoopbackAddress(listen->text))
      continue;
    const std::string parent = ChildPointer("/instances", absl::StrCat(i), item);
    const std::string pointer =
        ChildPointer(ChildPointer(parent, "config", *config), "listen", *listen);
    Findings found;
    found.Error(
        *listen, pointer, "open_to_all",
        absl::StrCat("listen: ", ShowText(listen->text),
                     " can be reached from other machines, and nobody is asked who they are; "
                     "add a section \"auth\", or say so: auth: none"));
    const ConfigNode* const name = item.Find("name");
    if (name != nullptr && name->is_scalar()) found.SetInstance(name->text);
    findings->Append(std::move(found));
  }
}

std::vector<OpenListener> OpenListeners(const NodeConfig& config) {
  std::vector<OpenListener> open;
  for (const InstanceOptions& instance : config.instances) {
    const nlohmann::json options =
        nlohmann::json::parse(instance.redacted_json, nullptr, /*allow_exceptions=*/false);
    std::string listen = members::Text(options, "listen");
    if (listen.empty() || IsLoopbackAddress(listen)) continue;
    open.push_back({instance.name, std::move(listen)});
  }
  return open;
}

}  // namespace viaduct
