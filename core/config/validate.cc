#include "core/config/validate.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/status_macros.h"
#include "core/base/string_view.h"
#include "core/config/document.h"
#include "core/config/document_check.h"
#include "core/config/node_config_reader.h"
#include "core/config/redact.h"
#include "core/config/references.h"
#include "core/config/schema.h"

namespace viaduct {

std::string FormatFinding(const Finding& finding) {
  std::string out = finding.file;
  if (finding.line != 0) absl::StrAppend(&out, ":", finding.line, ":", finding.column);
  if (!out.empty()) out.append(": ");
  absl::StrAppend(&out, finding.severity == FindingSeverity::kError ? "error: " : "warning: ",
                  finding.text, " (");
  if (!finding.instance.empty()) absl::StrAppend(&out, "instance ", finding.instance, ", ");
  if (!finding.pointer.empty()) absl::StrAppend(&out, finding.pointer, ", ");
  return absl::StrCat(out, finding.code, ")");
}

size_t ConfigReport::error_count() const {
  return static_cast<size_t>(std::count_if(
      findings.begin(), findings.end(),
      [](const Finding& finding) { return finding.severity == FindingSeverity::kError; }));
}

absl::Status ConfigReport::status() const {
  std::vector<std::string> lines;
  for (const Finding& finding : findings) {
    if (finding.severity == FindingSeverity::kError) lines.push_back(FormatFinding(finding));
  }
  if (lines.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrJoin(lines, "\n"));
}

ConfigValidator::ConfigValidator(SchemaProvider* schemas, const ConfigEnvironment* environment)
    : schemas_(schemas), environment_(environment) {}

ConfigValidator::~ConfigValidator() = default;

absl::StatusOr<std::shared_ptr<const Schema>> ConfigValidator::NodeSchema() {
  absl::MutexLock lock(&mutex_);
  if (node_schema_ == nullptr) {
    VD_ASSIGN_OR_RETURN(node_schema_, Schema::Compile(NodeSchemaText()));
  }
  return node_schema_;
}

absl::StatusOr<std::shared_ptr<const Schema>> ConfigValidator::PluginSchema(
    std::string_view plugin) {
  if (schemas_ == nullptr) return absl::NotFoundError("no plugin is installed");
  VD_ASSIGN_OR_RETURN(std::string text, schemas_->ConfigSchema(plugin));
  {
    absl::MutexLock lock(&mutex_);
    const auto found = cache_.find(plugin);
    if (found != cache_.end() && found->second.first == text) return found->second.second;
  }
  VD_ASSIGN_OR_RETURN(std::shared_ptr<const Schema> schema, Schema::Compile(text));
  absl::MutexLock lock(&mutex_);
  if (cache_.size() >= kMaxCachedSchemas) cache_.clear();
  cache_[std::string(plugin)] = {std::move(text), schema};
  return schema;
}

ConfigReport ConfigValidator::Validate(std::string_view text, std::string_view filename,
                                       const AskFn& ask) {
  const absl::StatusOr<std::shared_ptr<const Schema>> schema = NodeSchema();
  if (!schema.ok()) {
    ConfigReport report;
    Findings findings;
    findings.Error(0, 0, "", "internal", std::string(schema.status().message()));
    report.findings = std::move(findings).Finish(filename);
    return report;
  }
  DocumentCheck check(
      **schema, [this](std::string_view plugin) { return PluginSchema(plugin); }, schemas_,
      *environment_);
  return check.Run(text, filename, ask);
}

ConfigReport ConfigValidator::ValidateAgainst(std::string_view text, std::string_view filename,
                                              std::string_view schema_text) {
  ConfigReport report;
  Findings findings;
  const absl::StatusOr<std::shared_ptr<const Schema>> schema = Schema::Compile(schema_text);
  ConfigNode root;
  if (!schema.ok()) {
    findings.Error(0, 0, "", "bad_schema", std::string(schema.status().message()));
  } else if (ParseDocument(text, &root, &findings)) {
    const ConfigNode as_written = root;
    MarkSecretsByName(&root);
    const nlohmann::json checked = CheckAgainstSchema((*schema)->root(), &root, "", &findings);
    FindPlainSecrets(root, "", &findings);
    report.redacted_yaml = RedactYaml(text, as_written, root);
    if (findings.errors() == 0) {
      const auto view = ConfigView::FromJson(checked.dump());
      if (view.ok()) report.instance_config = *view;
    }
  }
  report.findings = std::move(findings).Finish(filename);
  return report;
}

ConfigPreview PreviewConfig(std::string_view text, const ConfigEnvironment& environment) {
  const absl::StatusOr<std::shared_ptr<const Schema>> schema = Schema::Compile(NodeSchemaText());
  nlohmann::json document;
  ConfigNode root;
  Findings ignored;
  if (schema.ok() && ParseDocument(text, &root, &ignored) && root.is_map()) {
    ResolveReferences(&root, environment, &ignored);
    document = CheckAgainstSchema((*schema)->root(), &root, "", &ignored);
  }
  return ReadPreview(document, environment);
}

ConfigReport ValidateConfig(std::string_view text, std::string_view filename,
                            SchemaProvider* schemas) {
  const SystemEnvironment environment;
  return ConfigValidator(schemas, &environment).Validate(text, filename);
}

}  // namespace viaduct
