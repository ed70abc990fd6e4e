// What a shared library says in its dynamic section, read without loading it.
#pragma once

#include <string>
#include <vector>

namespace viaduct::check {

struct ElfImage {
  std::vector<std::string> exported;   // Defined symbols that others can bind to.
  std::vector<std::string> undefined;  // Symbols it wants from others, without versions.
  std::vector<std::string> unique;     // STB_GNU_UNIQUE: these keep it from being unloaded.
  std::vector<std::string> needed;     // Libraries.
  std::string run_path;
  bool no_delete = false;         // DF_1_NODELETE
  bool text_relocations = false;  // DT_TEXTREL
  bool executable_stack = false;
};

// False where the file is no 64-bit ELF library with section headers; *why says more.
bool ReadElf(const std::string& path, ElfImage* image, std::string* why);

}  // namespace viaduct::check
