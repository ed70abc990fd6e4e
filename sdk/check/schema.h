// A plugin's JSON Schema: is it sound, does a config fit, what are its defaults.
#pragma once

#include <string>
#include <vector>

#include "nlohmann/json.hpp"

namespace viaduct::check {

// What is wrong with the schema as module.h asks for it: one line each, none when it is sound.
std::vector<std::string> SchemaMistakes(const nlohmann::json& schema);

// Every mistake of `config`: "/port: ...". None when it fits.
std::vector<std::string> ConfigMistakes(const nlohmann::json& schema, const nlohmann::json& config);

// Fills in the defaults of what is missing, also inside of objects and lists, as the host does.
void ApplyDefaults(const nlohmann::json& schema, nlohmann::json* config);

// Configs that fit the schema but lie at its edges: smallest and largest numbers, every word of an
// enum, long texts. `config` with one value changed each.
std::vector<nlohmann::json> EdgeConfigs(const nlohmann::json& schema, const nlohmann::json& config);

// Configs that do not fit: a value of another type each.
std::vector<nlohmann::json> WrongConfigs(const nlohmann::json& schema,
                                         const nlohmann::json& config);

}  // namespace viaduct::check
