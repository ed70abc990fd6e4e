// Our schema check against valijson's, on schemas and documents made at random: the verdicts must
// be the same wherever we do not turn a number into a text on purpose.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <valijson/adapters/nlohmann_json_adapter.hpp>
#include <valijson/schema.hpp>
#include <valijson/schema_parser.hpp>
#include <valijson/validator.hpp>

#include "core/config/schema.h"

namespace viaduct {
namespace {

using nlohmann::json;

// Lives for one seed.
class Maker {
 public:
  explicit Maker(uint32_t seed) : random_(seed) {}

  json Document(int depth) {
    switch (Pick(depth > 0 ? 6 : 4)) {
      case 0:
        return Text();
      case 1:
        return Number();
      case 2:
        return 0.5 + Number();
      case 3:
        return Pick(2) == 0;
      case 4: {
        json list = json::array();
        for (int i = Pick(4); i > 0; --i) list.push_back(Document(depth - 1));
        return list;
      }
      default: {
        json object = json::object();
        for (int i = Pick(4); i > 0; --i) object[Key()] = Document(depth - 1);
        return object;
      }
    }
  }

  json Schema(int depth) {
    json schema = json::object();
    for (int i = Pick(3); i >= 0; --i) AddKeyword(depth, &schema);
    return schema;
  }

 private:
  int Pick(int below) { return static_cast<int>(random_() % static_cast<uint32_t>(below)); }
  int Number() { return Pick(12) - 2; }
  std::string Key() { return std::string(1, static_cast<char>('a' + Pick(4))); }
  std::string Text() {
    static const char* const kTexts[] = {"", "a", "ab", "abc", "ä", "xäöü", "5", "true"};
    return kTexts[Pick(8)];
  }
  json Names() {
    json names = json::array();
    for (int i = Pick(2); i >= 0; --i) {
      const std::string key = Key();
      if (std::find(names.begin(), names.end(), key) == names.end()) names.push_back(key);
    }
    return names;
  }
  json Schemas(int depth) {
    json list = json::array();
    for (int i = Pick(3); i >= 0; --i) list.push_back(Schema(depth - 1));
    return list;
  }

  void AddKeyword(int depth, json* schema) {
    static const char* const kTypes[] = {"string",  "integer", "number",
                                         "boolean", "array",   "object"};
    static const char* const kPatterns[] = {"^a", "b$", "^[a-c]*$", "^(ab|x)"};
    switch (Pick(depth > 0 ? 30 : 17)) {
      case 0:
      case 1:
        (*schema)["type"] = kTypes[Pick(6)];
        return;
      case 2:
        (*schema)["type"] = json::array({kTypes[Pick(3)], kTypes[3 + Pick(3)]});
        return;
      case 3:
        (*schema)["enum"] = json::array({Document(1), Document(0), Text()});
        return;
      case 4:
        (*schema)["const"] = Document(1);
        return;
      case 5:
        (*schema)["minimum"] = Number();
        return;
      case 6:
        (*schema)["maximum"] = Number();
        return;
      case 7:
        (*schema)["exclusiveMinimum"] = Number();
        return;
      case 8:
        // valijson takes 0.5 for a multiple of 2: ask it about whole numbers only.
        (*schema)["allOf"] = {{{"type", "integer"}, {"multipleOf", 1 + Pick(4)}}};
        return;
      case 9:
        (*schema)["minLength"] = Pick(4);
        return;
      case 10:
        (*schema)["maxLength"] = Pick(4);
        return;
      case 11:
        (*schema)["pattern"] = kPatterns[Pick(4)];
        return;
      case 12:
        (*schema)["required"] = Names();
        return;
      case 13:
        (*schema)["minItems"] = Pick(3);
        return;
      case 14:
        (*schema)["maxItems"] = Pick(3);
        return;
      case 15:
        (*schema)["uniqueItems"] = true;
        return;
      case 16:
        (*schema)[Pick(2) == 0 ? "minProperties" : "maxProperties"] = Pick(4);
        return;
      default:
        AddNested(depth, schema);
    }
  }

  void AddNested(int depth, json* schema) {
    switch (Pick(13)) {
      case 0:
      case 1:
        for (int i = Pick(3); i >= 0; --i) (*schema)["properties"][Key()] = Schema(depth - 1);
        return;
      case 2:
        (*schema)["additionalProperties"] = Pick(2) == 0 ? json(false) : Schema(depth - 1);
        return;
      case 3:
        (*schema)["items"] = Pick(2) == 0 ? Schema(depth - 1) : Schemas(depth);
        return;
      case 4:
        (*schema)["contains"] = Schema(depth - 1);
        return;
      case 5:
        (*schema)["not"] = Schema(depth - 1);
        return;
      case 6:
        (*schema)["allOf"] = Schemas(depth);
        return;
      case 7:
        (*schema)["anyOf"] = Schemas(depth);
        return;
      case 8:
        (*schema)["oneOf"] = Schemas(depth);
        return;
      case 9:
        (*schema)["if"] = Schema(depth - 1);
        (*schema)["then"] = Schema(depth - 1);
        if (Pick(2) == 0) (*schema)["else"] = Schema(depth - 1);
        return;
      case 10:
        (*schema)["dependencies"][Key()] = Pick(2) == 0 ? Names() : Schema(depth - 1);
        return;
      case 11:
        (*schema)["patternProperties"]["^[ab]"] = Schema(depth - 1);
        return;
      default:
        (*schema)["propertyNames"] = json{{"pattern", "^[a-c]"}};
    }
  }

  std::mt19937 random_;
};

bool ValijsonAccepts(const json& schema_json, const json& document) {
  valijson::Schema schema;
  valijson::SchemaParser parser;
  const valijson::adapters::NlohmannJsonAdapter schema_adapter(schema_json);
  parser.populateSchema(schema_adapter, schema);
  valijson::Validator validator(valijson::Validator::kStrongTypes);
  const valijson::adapters::NlohmannJsonAdapter target(document);
  return validator.validate(schema, target, nullptr);
}

TEST(SchemaOracleTest, OurVerdictIsValijsons) {
  int accepted = 0;
  int refused = 0;
  for (uint32_t seed = 0; seed < 20'000; ++seed) {
    Maker maker(seed);
    const json schema_json = maker.Schema(3);
    const auto schema = Schema::Compile(schema_json.dump());
    ASSERT_TRUE(schema.ok()) << schema.status() << schema_json.dump();
    for (int i = 0; i < 3; ++i) {
      const json document = maker.Document(3);
      ConfigNode root;
      Findings findings;
      ASSERT_TRUE(ParseDocument(document.dump(), &root, &findings)) << document.dump();
      const json value = CheckAgainstSchema((*schema)->root(), &root, "", &findings);
      const bool ours = findings.errors() == 0;
      if (ours && value != document) continue;  // A number was taken for a text.
      ASSERT_EQ(ours, ValijsonAccepts(schema_json, document))
          << "seed " << seed << "\nschema   " << schema_json.dump() << "\ndocument "
          << document.dump() << "\nfinding  " << (ours ? "none" : findings.all().front().text);
      ++(ours ? accepted : refused);
    }
  }
  // A generator that only ever gives one verdict proves nothing.
  EXPECT_GT(accepted, 10'000);
  EXPECT_GT(refused, 10'000);
}

}  // namespace
}  // namespace viaduct
