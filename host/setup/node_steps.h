// What every node has, edge or server.
#pragma once

#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "host/setup/step.h"

namespace viaduct::setup {

inline constexpr char kNodeService[] = "viaduct.service";
inline constexpr char kSecretsFolder[] = "/etc/viaduct/secrets";
inline constexpr char kDropInFolder[] = "/etc/systemd/system/viaduct.service.d";

// INVALID_ARGUMENT unless it is 1 to 64 letters, digits, '.', '_' and '-'.
absl::Status CheckId(const std::string& id);

// A secret that the node gets as a credential of its unit.
struct Secret {
  std::string name;
  std::string text;
};

// The folder below /etc, node.yaml as `text` has it, the secrets and the drop-in that names them.
std::vector<Step> NodeSteps(std::string text, const std::vector<Secret>& secrets);

Step Folder(std::string path, mode_t mode, std::string owner = "root", std::string group = "root");
Step File(std::string path, std::string text, std::string service);

}  // namespace viaduct::setup
