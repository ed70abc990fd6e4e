#include <algorithm>
#include <set>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "core/base/status_macros.h"
#include "host/setup/deploy_files.h"
#include "host/setup/node_steps.h"
#include "host/setup/step.h"
#include "host/setup/template.h"

namespace viaduct::setup {
namespace {

constexpr size_t kMaxUrlBytes = 2048;

// What stands in the file is read by a YAML parser, so nothing that means something to one.
absl::Status CheckUrl(const std::string& url) {
  const auto good = [](char c) {
    return absl::ascii_isalnum(static_cast<unsigned char>(c)) ||
           std::string_view("-._~:/[]%").find(c) != std::string_view::npos;
  };
  if (url.size() <= kMaxUrlBytes && std::all_of(url.begin(), url.end(), good) &&
      absl::StartsWith(url, "https://") && url.size() > std::string_view("https://").size() &&
      url.back() != ':') {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      "--server: not a URL like https://server.site.example:8443, without user and query");
}

}  // namespace

absl::StatusOr<std::vector<Step>> EdgeSteps(const Root& /*root*/, const EdgeOptions& options) {
  VD_RETURN_IF_ERROR(CheckId(options.id));
  std::string text(DeployFile("node/edge.yaml"));
  VD_RETURN_IF_ERROR(PutIn("EDGE001", options.id, &text));
  std::set<std::string> parts;
  std::vector<Secret> secrets;
  if (!options.server.empty()) {
    VD_RETURN_IF_ERROR(CheckUrl(options.server));
    VD_RETURN_IF_ERROR(PutIn("https://server.site.example:8443", options.server, &text));
    parts.insert("server");
    if (!options.api_key.empty()) secrets.push_back({"api_key", options.api_key});
    if (!options.authority.empty()) secrets.push_back({"ca", options.authority});
    for (const Secret& secret : secrets) parts.insert(secret.name);
  }
  VD_ASSIGN_OR_RETURN(text, TakeParts(text, parts));
  std::vector<Step> steps = NodeSteps(std::move(text), secrets);
  if (options.devices) {
    if (secrets.empty()) steps.push_back(Folder(kDropInFolder, 0755));
    steps.push_back(File(std::string(kDropInFolder) + "/edge-devices.conf",
                         std::string(DeployFile("systemd/edge-devices.conf")), kNodeService));
  }
  return steps;
}

}  // namespace viaduct::setup
