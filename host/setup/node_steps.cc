#include "host/setup/node_steps.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

namespace viaduct::setup {
namespace {

constexpr size_t kMaxIdBytes = 64;

std::string DropIn(const std::vector<Secret>& secrets) {
  std::string text = "# Written by `viaductctl setup`.\n[Service]\n";
  for (const Secret& secret : secrets) {
    absl::StrAppend(&text, "LoadCredential=", secret.name, ":", kSecretsFolder, "/", secret.name,
                    "\n");
  }
  return text;
}

}  // namespace

absl::Status CheckId(const std::string& id) {
  const auto good = [](char c) {
    return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '.' || c == '_' || c == '-';
  };
  if (!id.empty() && id.size() <= kMaxIdBytes && std::all_of(id.begin(), id.end(), good)) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "--id: has to be 1 to ", kMaxIdBytes, " letters, digits, '.', '_' and '-', e.g. EDGE001"));
}

Step Folder(std::string path, mode_t mode, std::string owner, std::string group) {
  Step step;
  step.kind = StepKind::kFolder;
  step.subject = std::move(path);
  step.mode = mode;
  step.owner = std::move(owner);
  step.group = std::move(group);
  return step;
}

Step File(std::string path, std::string text, std::string service) {
  Step step;
  step.subject = std::move(path);
  step.text = std::move(text);
  step.service = std::move(service);
  return step;
}

std::vector<Step> NodeSteps(std::string text, const std::vector<Secret>& secrets) {
  std::vector<Step> steps;
  steps.push_back(Folder("/etc/viaduct", 0750, "root", "viaduct"));
  Step node = File("/etc/viaduct/node.yaml", std::move(text), kNodeService);
  node.mode = 0640;
  node.group = "viaduct";
  steps.push_back(std::move(node));
  if (secrets.empty()) return steps;
  steps.push_back(Folder(kSecretsFolder, 0700));
  for (const Secret& secret : secrets) {
    Step step = File(absl::StrCat(kSecretsFolder, "/", secret.name), secret.text, kNodeService);
    step.mode = 0600;
    step.secret = true;
    steps.push_back(std::move(step));
  }
  steps.push_back(Folder(kDropInFolder, 0755));
  steps.push_back(File(absl::StrCat(kDropInFolder, "/setup.conf"), DropIn(secrets), kNodeService));
  return steps;
}

}  // namespace viaduct::setup
