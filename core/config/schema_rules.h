// The rules of a schema about one value, each with the words of its finding. Internal to the room.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "core/config/document.h"
#include "core/config/schema.h"

namespace viaduct {

// What a pointer is about, for people: "spool", "instances[2]".
std::string Subject(const std::string& pointer);
// The types of a schema, for people: "a whole number or a text".
std::string TypeWords(const SchemaNode& schema);

// An error about `node`; the text begins with its subject.
void FailAt(const ConfigNode& node, const std::string& pointer, std::string_view code,
            const std::string& text, Findings* findings);

struct SizeRule {
  uint64_t size = 0;
  std::optional<uint64_t> min;
  std::optional<uint64_t> max;
  std::string_view of;  // "keys", "elements", "characters"
};
void CheckSize(const ConfigNode& node, const std::string& pointer, const SizeRule& rule,
               Findings* findings);

void CheckNumber(const SchemaNode& schema, const ConfigNode& node, const std::string& pointer,
                 double value, Findings* findings);
void CheckText(const SchemaNode& schema, const ConfigNode& node, const std::string& pointer,
               const std::string& text, Findings* findings);
// Sizes and durations: format "viaduct-bytes" and "viaduct-duration".
void CheckUnit(const SchemaNode& schema, const ConfigNode& node, const std::string& pointer,
               Findings* findings);
// const and enum.
void CheckChoice(const SchemaNode& schema, const ConfigNode& node, const std::string& pointer,
                 const nlohmann::json& value, Findings* findings);

}  // namespace viaduct
