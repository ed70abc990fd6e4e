// Level load: the file, its symbols and its description. Nothing of the plugin is made.
#include <algorithm>
#include <cctype>
#include <cstring>
#include <set>

#include "elf_image.h"
#include "fixture.h"
#include "library.h"
#include "process_state.h"
#include "schema.h"
#include "viaduct/cpp/text.h"

namespace viaduct::check {
namespace {

constexpr std::chrono::seconds kLimit(10);
constexpr size_t kMaxNameBytes = 32;

ElfImage MustReadElf(Fixture& fixture) {
  ElfImage image;
  std::string why;
  if (!ReadElf(fixture.plugin_path(), &image, &why)) fixture.Fail(why);
  return image;
}

void ExportsOneSymbol(Fixture& fixture) {
  const ElfImage image = MustReadElf(fixture);
  if (std::find(image.exported.begin(), image.exported.end(), VD_MODULE_ENTRY) ==
      image.exported.end()) {
    fixture.Fail("does not export " VD_MODULE_ENTRY);
  }
  if (image.exported.size() == 1) return;
  const auto other = std::find_if(image.exported.begin(), image.exported.end(),
                                  [](const std::string& name) { return name != VD_MODULE_ENTRY; });
  fixture.Fail("exports " + std::to_string(image.exported.size()) + " symbols, one of them is " +
               *other);
}

void ImportsNothingOfTheHost(Fixture& fixture) {
  for (const std::string& name : MustReadElf(fixture).undefined) {
    if (name.compare(0, 3, "vd_") == 0 || std::strstr(name.c_str(), "viaduct") != nullptr) {
      fixture.Fail("wants the symbol " + name + " from the host");
    }
  }
}

void NeedsNoGrpc(Fixture& fixture) {
  for (const std::string& library : MustReadElf(fixture).needed) {
    if (std::strstr(library.c_str(), "grpc") != nullptr ||
        std::strstr(library.c_str(), "protobuf") != nullptr) {
      fixture.Fail("needs " + library);
    }
  }
}

void CanBeUnloadedByItsFlags(Fixture& fixture) {
  const ElfImage image = MustReadElf(fixture);
  if (image.no_delete) fixture.Fail("is linked with -z nodelete");
  if (!image.unique.empty()) fixture.Fail("has the unique symbol " + image.unique.front());
}

void IsHardened(Fixture& fixture) {
  const ElfImage image = MustReadElf(fixture);
  if (image.executable_stack) fixture.Fail("wants an executable stack");
  if (image.text_relocations) fixture.Fail("has text relocations, it is not built with -fPIC");
}

void DescribesItself(Fixture& fixture) {
  const Library library(fixture);
  const vd_module& module = library.module();
  const std::string name(sdk::Text(module.name));
  const auto is_name_character = [](unsigned char c) {
    return std::islower(c) || std::isdigit(c) || c == '_';
  };
  if (name.empty() || name.size() > kMaxNameBytes ||
      !std::islower(static_cast<unsigned char>(name[0])) ||
      !std::all_of(name.begin(), name.end(), is_name_character)) {
    fixture.Fail("name: " + Quote(module.name) + " is not [a-z][a-z0-9_]{0,31}");
  }
  if (name != NameOfFile(fixture.plugin_path())) {
    fixture.Fail("name: " + Quote(module.name) + " does not match the file's, \"" +
                 NameOfFile(fixture.plugin_path()) + "\"");
  }
  if (module.version.size == 0) fixture.Fail("version: empty");
  if (module.summary.size == 0) fixture.Fail("summary: empty");
  if (module.licence.size == 0) fixture.Fail("licence: empty");
  if (module.max_lanes < 1 || module.max_lanes > VD_MAX_LANES) {
    fixture.Fail("max_lanes: " + std::to_string(module.max_lanes) + " is not 1 to 64");
  }
  if (module.min_host_minor > module.abi_minor) {
    fixture.Fail("min_host_minor: newer than the headers it was built with");
  }
  std::set<std::string_view> seen;
  for (uint64_t i = 0; i < module.interface_count; ++i) {
    const std::string_view id = sdk::Text(module.interfaces[i]);
    if (id.find('/') == std::string_view::npos || id.find('.') == std::string_view::npos) {
      fixture.Fail("interfaces: " + Quote(module.interfaces[i]) + " is no id");
    }
    if (!seen.insert(id).second)
      fixture.Fail("interfaces: " + Quote(module.interfaces[i]) + " twice");
  }
}

void HasItsLifecycle(Fixture& fixture) {
  const Library library(fixture);
  const vd_lifecycle_1& table = library.lifecycle();
  if (table.create == nullptr || table.configure == nullptr || table.start == nullptr ||
      table.drain == nullptr || table.stop == nullptr || table.destroy == nullptr ||
      table.query == nullptr) {
    fixture.Fail("lifecycle: a function is NULL");
  }
}

void HasASoundSchema(Fixture& fixture) {
  const Library library(fixture);
  const std::vector<std::string> mistakes = SchemaMistakes(library.Schema());
  if (!mistakes.empty()) {
    fixture.Fail("config_schema: " + mistakes.front() +
                 (mistakes.size() > 1 ? " (and " + std::to_string(mistakes.size() - 1) + " more)"
                                      : std::string()));
  }
}

void LoadsWithoutTraces(Fixture& fixture) {
  { Library warm_up(fixture); }  // The dynamic linker keeps what it needs itself.
  const ProcessState before = ReadProcessState();
  {
    Library library(fixture);
    ExpectNothingLeft(fixture, before, "after vd_module_entry");
    library.Close();
  }
  ExpectNothingLeft(fixture, before, "after dlclose");
}

void DescriptionIsStatic(Fixture& fixture) {
  const Library first(fixture);
  const Library second(fixture);
  if (&first.module() != &second.module())
    fixture.Fail("vd_module_entry gives another one each time");
}

void Unloads(Fixture& fixture) {
  Library library(fixture);
  if (!IsMapped(fixture.plugin_path())) fixture.Fail("is not mapped after dlopen");
  library.Close();
  if (IsMapped(fixture.plugin_path())) fixture.Fail("is still mapped after dlclose");
}

}  // namespace

std::vector<Test> LoadTests() {
  const Level level = Level::kLoad;
  return {
      {"exports_one_symbol", level, kLimit, &ExportsOneSymbol,
       "a plugin exports vd_module_entry and nothing else"},
      {"imports_nothing_of_the_host", level, kLimit, &ImportsNothingOfTheHost,
       "everything of the host comes through function tables"},
      {"needs_no_grpc", level, kLimit, &NeedsNoGrpc,
       "generated code twice in one process aborts it: no gRPC, no protobuf in a plugin"},
      {"has_no_flag_against_unloading", level, kLimit, &CanBeUnloadedByItsFlags,
       "dlclose must be able to unload a plugin"},
      {"is_hardened", level, kLimit, &IsHardened, "no executable stack, no text relocations"},
      {"describes_itself", level, kLimit, &DescribesItself, "vd_module is complete (module.h)"},
      {"has_its_lifecycle", level, kLimit, &HasItsLifecycle,
       "every function of vd_lifecycle_1 is there"},
      {"has_a_sound_schema", level, kLimit, &HasASoundSchema,
       "config_schema is JSON Schema draft 7 with additionalProperties false, descriptions and "
       "fitting defaults"},
      {"description_is_static", level, kLimit, &DescriptionIsStatic,
       "vd_module_entry allocates nothing and always gives the same"},
      {"loads_without_traces", level, kLimit, &LoadsWithoutTraces,
       "loading starts no thread and opens no descriptor"},
      {"unloads", level, kLimit, &Unloads, "dlclose really unloads"},
  };
}

}  // namespace viaduct::check
