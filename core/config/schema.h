// JSON Schema (draft 7), compiled once from text that a plugin brings and that may be anything.
//
// This is our own validator, not a wrapper: a finding needs the line, the key's neighbours for a
// suggestion and no secret in its text, defaults are filled in on the way, and a pattern runs on
// RE2, whose time and stack do not depend on the author's luck. schema_oracle_test.cc holds its
// verdicts against valijson's.
#pragma once

#include <re2/re2.h>

#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "core/config/document.h"

namespace viaduct {

inline constexpr size_t kMaxSchemaBytes = 512u << 10;
inline constexpr size_t kMaxSchemaNodes = 10'000;
inline constexpr int kMaxSchemaDepth = 64;
inline constexpr size_t kMaxPatternBytes = 1024;
inline constexpr int64_t kMaxPatternMemory = 1 << 20;
inline constexpr size_t kMaxCheckSteps = 200'000;  // Of one document against one schema.

enum class ValueFormat : uint8_t { kNone, kBytes, kDuration };

// One schema object. Pointers lead to other nodes of the same Schema.
struct SchemaNode {
  using Named = std::pair<std::string, const SchemaNode*>;
  enum Type : uint32_t {
    kAny = 0,
    kNull = 1,
    kBoolean = 2,
    kInteger = 4,
    kNumber = 8,
    kString = 16,
    kArray = 32,
    kObject = 64,
  };

  bool never = false;  // The schema `false`.
  uint32_t types = kAny;
  bool secret = false;
  std::optional<nlohmann::json> default_value;
  std::optional<nlohmann::json> const_value;
  std::optional<std::vector<nlohmann::json>> enum_values;

  std::vector<Named> properties;
  std::vector<std::pair<std::unique_ptr<RE2>, const SchemaNode*>> pattern_properties;
  const SchemaNode* additional_properties = nullptr;
  const SchemaNode* property_names = nullptr;
  std::vector<std::string> required;
  std::vector<std::pair<std::string, std::vector<std::string>>> dependent_keys;
  std::vector<Named> dependent_schemas;
  std::optional<uint64_t> min_properties;
  std::optional<uint64_t> max_properties;

  const SchemaNode* items = nullptr;
  std::vector<const SchemaNode*> item_tuple;
  const SchemaNode* additional_items = nullptr;
  const SchemaNode* contains = nullptr;
  std::optional<uint64_t> min_items;
  std::optional<uint64_t> max_items;
  bool unique_items = false;

  std::optional<double> minimum;
  std::optional<double> maximum;
  std::optional<double> exclusive_minimum;
  std::optional<double> exclusive_maximum;
  std::optional<double> multiple_of;

  std::optional<uint64_t> min_length;
  std::optional<uint64_t> max_length;
  std::unique_ptr<RE2> pattern;
  ValueFormat format = ValueFormat::kNone;
  std::string unit_minimum;  // "x-viaduct-minimum", as written, of a size or duration.
  std::string unit_maximum;

  std::vector<const SchemaNode*> all_of;
  std::vector<const SchemaNode*> any_of;
  std::vector<const SchemaNode*> one_of;
  const SchemaNode* negated = nullptr;
  const SchemaNode* if_node = nullptr;
  const SchemaNode* then_node = nullptr;
  const SchemaNode* else_node = nullptr;
  const SchemaNode* ref = nullptr;  // Draft 7: all siblings of $ref are ignored.

  const SchemaNode* Property(std::string_view name) const;
};

// Immutable; thread-safe.
class Schema {
 public:
  // INVALID_ARGUMENT names the place in the schema: not JSON, unknown keyword, bad value, remote
  // reference, reference in a circle, bad or too long pattern, too large or too deep, a default
  // that its own schema refuses.
  static absl::StatusOr<std::shared_ptr<const Schema>> Compile(std::string_view text);

  const SchemaNode& root() const { return *root_; }

 private:
  friend class SchemaCompiler;
  std::vector<std::unique_ptr<SchemaNode>> nodes_;
  const SchemaNode* root_ = nullptr;
};

// Checks `node` against `schema` and gives it as JSON: typed, with defaults filled in. Defaults of
// a section that is absent are not: only where the section itself has a default. A value that is
// null (nothing after the colon) counts as absent where the schema does not allow null. Marks
// secrets in the tree. `pointer` is that of `node`.
nlohmann::json CheckAgainstSchema(const SchemaNode& schema, ConfigNode* node,
                                  const std::string& pointer, Findings* findings);

// Without a schema: types as the YAML 1.2 core schema has them.
nlohmann::json PlainJson(const ConfigNode& node);

// For defaults of schemas and for tests. A tree without positions.
ConfigNode NodeFromJson(const nlohmann::json& value);

// Marks what is named like a secret ("password", "auth_token"), whatever the schema says.
void MarkSecretsByName(ConfigNode* node);

// True where the nesting stays within `max_depth`; for JSON text before it is parsed.
bool JsonDepthWithin(std::string_view text, int max_depth);

}  // namespace viaduct
