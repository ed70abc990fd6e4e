#include "schema.h"

#include <exception>

#include "valijson/adapters/nlohmann_json_adapter.hpp"
#include "valijson/schema.hpp"
#include "valijson/schema_parser.hpp"
#include "valijson/validation_results.hpp"
#include "valijson/validator.hpp"

namespace viaduct::check {
namespace {

using nlohmann::json;
using Adapter = valijson::adapters::NlohmannJsonAdapter;

const json& Member(const json& object, const char* name) {
  static const json nothing;
  if (!object.is_object()) return nothing;
  const auto found = object.find(name);
  return found == object.end() ? nothing : *found;
}

void CheckObjectSchema(const json& schema, const std::string& at, std::vector<std::string>* out);

void CheckProperty(const json& property, const std::string& at, std::vector<std::string>* out) {
  if (!property.is_object()) {
    out->push_back(at + ": is no object");
    return;
  }
  if (!Member(property, "description").is_string()) out->push_back(at + ": has no description");
  const json& preset = Member(property, "default");
  if (!preset.is_null()) {
    for (const std::string& mistake : ConfigMistakes(property, preset)) {
      out->push_back(at + "/default: does not fit its own schema, " + mistake);
    }
  }
  if (Member(property, "properties").is_object()) CheckObjectSchema(property, at, out);
  if (Member(Member(property, "items"), "properties").is_object()) {
    CheckObjectSchema(Member(property, "items"), at + "/items", out);
  }
}

void CheckObjectSchema(const json& schema, const std::string& at, std::vector<std::string>* out) {
  if (Member(schema, "additionalProperties") != json(false)) {
    out->push_back(at + ": \"additionalProperties\" is not false");
  }
  for (const auto& [name, property] : Member(schema, "properties").items()) {
    CheckProperty(property, at + "/properties/" + name, out);
  }
}

std::vector<json> EdgeValues(const json& property) {
  const json& words = Member(property, "enum");
  if (words.is_array()) return words.get<std::vector<json>>();
  std::vector<json> values;
  const json& type = Member(property, "type");
  if (type == "boolean") values = {true, false};
  if (type == "integer" || type == "number") {
    for (const char* edge : {"minimum", "maximum"}) {
      if (Member(property, edge).is_number()) values.push_back(Member(property, edge));
    }
  }
  if (type == "string") {
    values.push_back("");
    values.push_back(std::string(5000, 'x'));
    values.push_back("\xc3\xa4\xe2\x82\xac \t");
  }
  if (type == "array") values.push_back(json::array());
  return values;
}

// `config` with every value that `values` gives for a property, one at a time.
std::vector<json> Variants(const json& schema, const json& config,
                           std::vector<json> (*values)(const json& property)) {
  std::vector<json> variants;
  for (const auto& [name, property] : Member(schema, "properties").items()) {
    for (json& value : values(property)) {
      json variant = config;
      variant[name] = std::move(value);
      variants.push_back(std::move(variant));
    }
    if (!Member(property, "properties").is_object()) continue;
    const json& inner = config.contains(name) ? config[name] : json::object();
    for (json& changed : Variants(property, inner, values)) {
      json variant = config;
      variant[name] = std::move(changed);
      variants.push_back(std::move(variant));
    }
  }
  return variants;
}

}  // namespace

std::vector<std::string> ConfigMistakes(const json& schema, const json& config) {
  std::vector<std::string> mistakes;
  try {
    valijson::Schema parsed;
    valijson::SchemaParser parser(valijson::SchemaParser::kDraft7);
    parser.populateSchema(Adapter(schema), parsed);
    valijson::Validator validator;
    valijson::ValidationResults results;
    validator.validate(parsed, Adapter(config), &results);
    valijson::ValidationResults::Error error;
    while (results.popError(error)) {
      std::string at;
      for (const std::string& part : error.context) at += part;
      mistakes.push_back(at + ": " + error.description);
    }
  } catch (const std::exception& error) {
    mistakes.push_back(std::string("schema: can not be read, ") + error.what());
  }
  return mistakes;
}

std::vector<std::string> SchemaMistakes(const json& schema) {
  std::vector<std::string> mistakes;
  try {
    valijson::Schema parsed;
    valijson::SchemaParser parser(valijson::SchemaParser::kDraft7);
    parser.populateSchema(Adapter(schema), parsed);
  } catch (const std::exception& error) {
    return {std::string("no JSON Schema, ") + error.what()};
  }
  if (Member(schema, "type") != "object") mistakes.push_back("its \"type\" is not \"object\"");
  CheckObjectSchema(schema, "", &mistakes);
  return mistakes;
}

void ApplyDefaults(const json& schema, json* config) {
  if (config->is_object()) {
    for (const auto& [name, property] : Member(schema, "properties").items()) {
      const json& preset = Member(property, "default");
      if (!config->contains(name) && !preset.is_null()) (*config)[name] = preset;
      if (config->contains(name)) ApplyDefaults(property, &(*config)[name]);
    }
  }
  if (config->is_array() && Member(schema, "items").is_object()) {
    for (json& item : *config) ApplyDefaults(schema["items"], &item);
  }
}

std::vector<json> EdgeConfigs(const json& schema, const json& config) {
  std::vector<json> fitting;
  for (json& variant : Variants(schema, config, &EdgeValues)) {
    if (ConfigMistakes(schema, variant).empty()) fitting.push_back(std::move(variant));
  }
  return fitting;
}

std::vector<json> WrongConfigs(const json& schema, const json& config) {
  return Variants(schema, config, [](const json& property) -> std::vector<json> {
    std::vector<json> values = {nullptr, json::object(), json::array({1, nullptr})};
    if (Member(property, "type") == "string") {
      values.push_back(-1);
    } else {
      values.push_back("\x01 no such value");
      values.push_back(1e300);
    }
    return values;
  });
}

}  // namespace viaduct::check
