// The members of a configuration that was checked against its schema, with the defaults filled in.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "absl/time/time.h"
#include "core/config/node_config.h"

namespace viaduct::members {

// A section that is read apart from the rest; null where it is absent.
nlohmann::json SectionOf(const NodeConfig& config, std::string_view name);

// Null where an optional one is absent; as is each of the following, if it has another type.
const nlohmann::json& At(const nlohmann::json& section, std::string_view key);
std::string Text(const nlohmann::json& section, std::string_view key);
uint32_t Number(const nlohmann::json& section, std::string_view key);
double Real(const nlohmann::json& section, std::string_view key);
bool Flag(const nlohmann::json& section, std::string_view key);
// A number, or a text with its unit.
uint64_t Bytes(const nlohmann::json& section, std::string_view key);
absl::Duration Time(const nlohmann::json& section, std::string_view key,
                    absl::Duration absent = absl::ZeroDuration());

std::string Below(const std::string& folder, const std::string& path);
// "" stays "".
std::string FileBelow(const std::string& folder, const nlohmann::json& section,
                      std::string_view key);

}  // namespace viaduct::members
