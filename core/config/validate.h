// From the text of a configuration file to a NodeConfig, with every mistake at once. This is the
// only way in: --check, Validate, Plan, Apply and start-up all use it.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "core/config/node_config.h"

namespace viaduct {

enum class FindingSeverity : uint8_t { kError, kWarning };

// One mistake or warning. Never holds a secret.
struct Finding {
  FindingSeverity severity = FindingSeverity::kError;
  std::string instance;  // "" for the node's own sections.
  std::string pointer;   // JSON pointer into the document as its author wrote it.
  std::string code;      // Stable, for programs: see docs/CONFIG.md.
  std::string text;
  std::string file;
  uint32_t line = 0;    // 1-based; 0: not known.
  uint32_t column = 0;  // 1-based, in bytes.
};

// "edge.yaml:12:3: error: spool: unknown key \"max_byte\", did you mean \"max_bytes\"?
// (/spool/max_byte, unknown_key)"
std::string FormatFinding(const Finding& finding);

struct ConfigReport {
  std::vector<Finding> findings;     // In the order of the document.
  std::optional<NodeConfig> config;  // Set when there is no error.
  std::string redacted_yaml;         // What may be shown; "" when the text is not YAML.
  // Of ValidateAgainst, when there is no error: with defaults filled in.
  std::shared_ptr<const ConfigView> instance_config;

  bool ok() const { return config.has_value(); }
  size_t error_count() const;
  // OK, or INVALID_ARGUMENT with every error, one a line.
  absl::Status status() const;
};

// What knows the plugins. Implemented by core/plugin.
class SchemaProvider {
 public:
  virtual ~SchemaProvider() = default;
  // The JSON Schema text of a plugin's config. NOT_FOUND: not installed; any other error: it does
  // not load, and why.
  virtual absl::StatusOr<std::string> ConfigSchema(std::string_view plugin) = 0;
  // For suggestions; may be empty.
  virtual std::vector<std::string> InstalledPlugins() { return {}; }
};

// What a configuration may refer to outside of itself. Tests bring their own.
class ConfigEnvironment {
 public:
  struct FileText {
    std::string text;
    bool others_can_read = false;
  };
  virtual ~ConfigEnvironment() = default;
  virtual std::optional<std::string> Variable(const std::string& name) const = 0;
  virtual absl::StatusOr<FileText> ReadFile(const std::string& path, size_t max_bytes) const = 0;
  virtual std::string Hostname() const = 0;
  virtual std::string ExecutableDir() const = 0;
};

// The process's own. Thread-safe (as long as nobody calls setenv).
class SystemEnvironment final : public ConfigEnvironment {
 public:
  std::optional<std::string> Variable(const std::string& name) const override;
  absl::StatusOr<FileText> ReadFile(const std::string& path, size_t max_bytes) const override;
  std::string Hostname() const override;
  std::string ExecutableDir() const override;
};

class Schema;

// What somebody who knows more than the schemas has against a document: the plugin of an instance,
// or the node that would have to run it.
struct Objection {
  std::string instance;  // "": against the node's own sections.
  std::string pointer;   // Into the instance's config; "": the whole of it.
  std::string text;
  std::string code = "refused";
};
// Asked about a document in which nothing else is wrong.
using AskFn = std::function<std::vector<Objection>(const NodeConfig&)>;

// Thread-safe. Keeps compiled schemas, so that checking again is cheap.
class ConfigValidator {
 public:
  static constexpr size_t kMaxCachedSchemas = 64;

  // Both must outlive the validator. `schemas` null: no plugin is installed.
  ConfigValidator(SchemaProvider* schemas, const ConfigEnvironment* environment);
  ~ConfigValidator();

  // `filename` only goes into findings. Accepts any text, hostile or not. `ask` may be empty.
  ConfigReport Validate(std::string_view text, std::string_view filename,
                        const AskFn& ask = nullptr);

  // Checks one instance's config, given as JSON or YAML, for tools. The report's config stays
  // empty; ok means error_count() == 0, and then there is an instance_config.
  static ConfigReport ValidateAgainst(std::string_view text, std::string_view filename,
                                      std::string_view schema_text);

 private:
  absl::StatusOr<std::shared_ptr<const Schema>> NodeSchema();
  // Compiled, from the cache where the text is the same.
  absl::StatusOr<std::shared_ptr<const Schema>> PluginSchema(std::string_view plugin);

  SchemaProvider* const schemas_;
  const ConfigEnvironment* const environment_;
  absl::Mutex mutex_;
  std::shared_ptr<const Schema> node_schema_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, std::pair<std::string, std::shared_ptr<const Schema>>, std::less<>> cache_
      ABSL_GUARDED_BY(mutex_);
};

// For who validates once.
ConfigReport ValidateConfig(std::string_view text, std::string_view filename,
                            SchemaProvider* schemas);

// What has to be known before plugins can be looked for, and so before a document can be checked.
struct ConfigPreview {
  std::string data_dir;
  std::vector<std::string> plugin_path;
  LogOptions log;
};
// Reads what it can; a document with mistakes gives what is sound in it and defaults for the rest.
// Cheap, and as careful with hostile text as Validate.
ConfigPreview PreviewConfig(std::string_view text, const ConfigEnvironment& environment);

// The JSON Schema of the node's own document: draft 7, with descriptions and defaults.
std::string_view NodeSchemaText();

}  // namespace viaduct
