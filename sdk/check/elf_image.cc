#include "elf_image.h"

#include <elf.h>

#include <cstring>
#include <fstream>
#include <iterator>

namespace viaduct::check {
namespace {

// The file's octets with every access checked against its end.
class Octets {
 public:
  explicit Octets(std::string data) : data_(std::move(data)) {}
  template <typename T>
  bool Get(uint64_t offset, T* out) const {
    if (offset > data_.size() || data_.size() - offset < sizeof(T)) return false;
    std::memcpy(out, data_.data() + offset, sizeof(T));
    return true;
  }
  std::string Text(uint64_t offset) const {
    if (offset >= data_.size()) return {};
    const size_t end = data_.find('\0', offset);
    return end == std::string::npos ? std::string() : data_.substr(offset, end - offset);
  }

 private:
  const std::string data_;
};

class Reader {
 public:
  Reader(const Octets& file, ElfImage* image) : file_(file), image_(image) {}

  bool Read(std::string* why) {
    if (!file_.Get(0, &header_) || std::memcmp(header_.e_ident, ELFMAG, SELFMAG) != 0) {
      *why = "not an ELF file";
      return false;
    }
    if (header_.e_ident[EI_CLASS] != ELFCLASS64 || header_.e_type != ET_DYN) {
      *why = "not a 64-bit shared library";
      return false;
    }
    ReadSegments();
    bool symbols = false;
    for (uint16_t i = 0; i < header_.e_shnum; ++i) {
      Elf64_Shdr section;
      if (!Section(i, &section)) break;
      if (section.sh_type == SHT_DYNSYM) {
        ReadSymbols(section);
        symbols = true;
      }
      if (section.sh_type == SHT_DYNAMIC) ReadDynamic(section);
    }
    if (!symbols) *why = "no dynamic symbol table";
    return symbols;
  }

 private:
  bool Section(uint64_t index, Elf64_Shdr* section) const {
    return file_.Get(header_.e_shoff + index * header_.e_shentsize, section);
  }

  void ReadSegments() {
    for (uint16_t i = 0; i < header_.e_phnum; ++i) {
      Elf64_Phdr segment;
      const uint64_t at = header_.e_phoff + static_cast<uint64_t>(i) * header_.e_phentsize;
      if (!file_.Get(at, &segment)) return;
      if (segment.p_type == PT_GNU_STACK && (segment.p_flags & PF_X) != 0) {
        image_->executable_stack = true;
      }
    }
  }

  void ReadSymbols(const Elf64_Shdr& section) {
    Elf64_Shdr strings;
    if (!Section(section.sh_link, &strings)) return;
    for (uint64_t at = sizeof(Elf64_Sym); at + sizeof(Elf64_Sym) <= section.sh_size;
         at += sizeof(Elf64_Sym)) {
      Elf64_Sym symbol;
      if (!file_.Get(section.sh_offset + at, &symbol)) return;
      const std::string name = file_.Text(strings.sh_offset + symbol.st_name);
      const unsigned binding = ELF64_ST_BIND(symbol.st_info);
      if (symbol.st_shndx == SHN_UNDEF) {
        if (!name.empty()) image_->undefined.push_back(name);
      } else if (binding == STB_GNU_UNIQUE) {
        image_->unique.push_back(name);
        image_->exported.push_back(name);
      } else if (binding != STB_LOCAL && ELF64_ST_TYPE(symbol.st_info) != STT_SECTION) {
        image_->exported.push_back(name);
      }
    }
  }

  void ReadDynamic(const Elf64_Shdr& section) {
    Elf64_Shdr strings;
    if (!Section(section.sh_link, &strings)) return;
    for (uint64_t at = 0; at + sizeof(Elf64_Dyn) <= section.sh_size; at += sizeof(Elf64_Dyn)) {
      Elf64_Dyn entry;
      if (!file_.Get(section.sh_offset + at, &entry) || entry.d_tag == DT_NULL) return;
      const std::string text = file_.Text(strings.sh_offset + entry.d_un.d_val);
      if (entry.d_tag == DT_NEEDED) image_->needed.push_back(text);
      if (entry.d_tag == DT_RPATH || entry.d_tag == DT_RUNPATH) image_->run_path = text;
      if (entry.d_tag == DT_TEXTREL) image_->text_relocations = true;
      if (entry.d_tag == DT_FLAGS_1 && (entry.d_un.d_val & DF_1_NODELETE) != 0) {
        image_->no_delete = true;
      }
    }
  }

  const Octets& file_;
  ElfImage* const image_;
  Elf64_Ehdr header_;
};

}  // namespace

bool ReadElf(const std::string& path, ElfImage* image, std::string* why) {
  std::ifstream in(path, std::ios::binary);
  if (!in) {
    *why = "can not be read";
    return false;
  }
  const Octets file(std::string(std::istreambuf_iterator<char>(in), {}));
  return Reader(file, image).Read(why);
}

}  // namespace viaduct::check
