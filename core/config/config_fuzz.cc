// Any text may be handed to Validate by a file or the control plane, any text may be a plugin's
// schema, and what is redacted must never hold what was secret.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "core/config/plan.h"
#include "core/config/test_environment.h"
#include "core/config/validate.h"

namespace {

constexpr char kSchema[] = R"j({
  "type": "object", "additionalProperties": false,
  "properties": {
    "role": {"enum": ["client", "server"]},
    "timeout": {"type": "number", "minimum": 1, "default": 30},
    "api_key": {"type": "string", "x-viaduct-secret": true},
    "url": {"type": "string", "pattern": "^(a|b)*://.+$"},
    "wait": {"format": "viaduct-duration"}, "size": {"format": "viaduct-bytes"},
    "list": {"type": "array", "uniqueItems": true, "items": {"type": ["integer", "string"]}},
    "tls": {"oneOf": [{"required": ["key"]}, {"required": ["file"]}]},
    "deep": {"$ref": "#/definitions/tree"}},
  "definitions": {"tree": {"type": "object", "additionalProperties": {"$ref": "#/definitions/tree"}}}
})j";

void Expect(bool condition) {
  if (!condition) std::abort();
}

// Compiles the schemas that do not change once, not for every input.
struct World {
  World() {
    environment.variables = {{"A", "value"}, {"E", ""}};
    environment.files["/s"] = {"file-secret\n", true};
    schemas.Add("rest", kSchema);
  }
  viaduct::FakeEnvironment environment;
  viaduct::FakeSchemas schemas;
  viaduct::ConfigValidator validator{&schemas, &environment};
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static World world;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  world.schemas.Add("odd", std::string(text.substr(0, text.find("\n\n"))));
  const viaduct::ConfigReport report = world.validator.Validate(text, "fuzz.yaml");
  Expect(report.ok() == (report.error_count() == 0));
  Expect(report.redacted_yaml.find("file-secret") == std::string::npos ||
         text.find("file-secret") != std::string_view::npos);
  for (const viaduct::Finding& finding : report.findings) {
    Expect(!finding.code.empty() && !viaduct::FormatFinding(finding).empty());
  }
  if (report.ok()) {
    for (const viaduct::Effect& effect : PlanChange(*report.config, *report.config)) {
      Expect(effect.kind == viaduct::EffectKind::kNone);
    }
    // What is shown reads back as a document.
    const viaduct::ConfigReport again = world.validator.Validate(report.redacted_yaml, "again");
    for (const viaduct::Finding& finding : again.findings) Expect(finding.code != "bad_yaml");
  }
  if (size % 16 == 0) PreviewConfig(text, world.environment);
  return 0;
}
