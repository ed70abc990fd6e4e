// What tests give a validator in place of the process and its plugins.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "core/config/validate.h"

namespace viaduct {

// Thread-compatible.
class FakeEnvironment final : public ConfigEnvironment {
 public:
  std::optional<std::string> Variable(const std::string& name) const override {
    const auto found = variables.find(name);
    if (found == variables.end()) return std::nullopt;
    return found->second;
  }
  absl::StatusOr<FileText> ReadFile(const std::string& path, size_t max_bytes) const override {
    const auto found = files.find(path);
    if (found == files.end()) return absl::NotFoundError(path + ": no such file");
    if (found->second.text.size() > max_bytes) return absl::ResourceExhaustedError("too large");
    return found->second;
  }
  std::string Hostname() const override { return "test-host.example"; }
  std::string ExecutableDir() const override { return "/opt/viaduct/bin"; }

  std::map<std::string, std::string> variables;
  std::map<std::string, FileText> files;
};

// Thread-compatible.
class FakeSchemas final : public SchemaProvider {
 public:
  void Add(const std::string& plugin, const std::string& schema) { texts[plugin] = schema; }
  absl::StatusOr<std::string> ConfigSchema(std::string_view plugin) override {
    const std::string name(plugin);
    if (errors.count(name) != 0) return errors[name];
    if (texts.count(name) == 0) return absl::NotFoundError("not installed");
    return texts[name];
  }
  std::vector<std::string> InstalledPlugins() override {
    std::vector<std::string> names;
    for (const auto& [name, text] : texts) names.push_back(name);
    return names;
  }

  std::map<std::string, std::string> texts;
  std::map<std::string, absl::Status> errors;
};

}  // namespace viaduct
