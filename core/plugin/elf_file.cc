#include "core/plugin/elf_file.h"

#include <elf.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"

namespace viaduct {
namespace {

#if defined(__x86_64__)
constexpr uint16_t kMachine = EM_X86_64;
constexpr char kMachineName[] = "x86-64";
#elif defined(__aarch64__)
constexpr uint16_t kMachine = EM_AARCH64;
constexpr char kMachineName[] = "arm64";
#endif
constexpr size_t kMaxProgramHeaders = 256;
constexpr size_t kMaxDynamicEntries = 65536;
constexpr size_t kMaxSymbols = 1u << 20;

absl::Status Broken(std::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat("not a shared library, ", std::string(what)));
}

// A file's octets; every access is checked against its size.
class Octets {
 public:
  explicit Octets(std::string_view octets) : octets_(octets) {}

  // Copies, since nothing in a hostile file is aligned.
  template <typename T>
  bool Read(uint64_t offset, T* out) const {
    if (offset > octets_.size() || octets_.size() - offset < sizeof(T)) return false;
    std::memcpy(out, octets_.data() + offset, sizeof(T));
    return true;
  }

  // Text up to NUL that begins at `offset` and ends before `end`.
  std::optional<std::string_view> Text(uint64_t offset, uint64_t end) const {
    if (end > octets_.size() || offset >= end) return std::nullopt;
    const std::string_view rest = octets_.substr(offset, end - offset);
    const size_t length = rest.find('\0');
    if (length == std::string_view::npos) return std::nullopt;
    return rest.substr(0, length);
  }

  size_t size() const { return octets_.size(); }

 private:
  const std::string_view octets_;
};

// Walks the dynamic section: it is what the loader itself would look at.
class Reader {
 public:
  explicit Reader(const Octets& file) : file_(file) {}

  absl::StatusOr<ElfFile> Read() {
    VD_RETURN_IF_ERROR(ReadHeader());
    VD_RETURN_IF_ERROR(ReadSegments());
    VD_RETURN_IF_ERROR(ReadDynamic());
    VD_RETURN_IF_ERROR(ReadNeeded());
    ReadExports();
    return std::move(result_);
  }

 private:
  absl::Status ReadHeader() {
    if (!file_.Read(0, &header_) || std::memcmp(header_.e_ident, ELFMAG, SELFMAG) != 0) {
      return Broken("it does not begin with an ELF header");
    }
    if (header_.e_ident[EI_CLASS] != ELFCLASS64 || header_.e_ident[EI_DATA] != ELFDATA2LSB ||
        header_.e_machine != kMachine) {
      return absl::InvalidArgumentError(
          absl::StrCat("built for another machine, this one is ", kMachineName));
    }
    if (header_.e_type != ET_DYN) return Broken("the ELF type is not DYN");
    if (header_.e_phnum > kMaxProgramHeaders || header_.e_phentsize != sizeof(Elf64_Phdr)) {
      return Broken("bad program headers");
    }
    return absl::OkStatus();
  }

  absl::Status ReadSegments() {
    for (uint64_t i = 0; i < header_.e_phnum; ++i) {
      Elf64_Phdr segment{};
      if (!file_.Read(header_.e_phoff + i * sizeof(segment), &segment)) {
        return Broken("the program headers are cut off");
      }
      if (segment.p_type == PT_LOAD) loads_.push_back(segment);
      if (segment.p_type == PT_DYNAMIC) dynamic_ = segment;
      uint64_t end = 0;
      if (segment.p_type == PT_LOAD &&
          (__builtin_add_overflow(segment.p_offset, segment.p_filesz, &end) ||
           end > file_.size())) {
        return Broken("the file is cut off");
      }
    }
    if (dynamic_.p_type != PT_DYNAMIC) return Broken("it has no dynamic section");
    return absl::OkStatus();
  }

  absl::Status ReadDynamic() {
    for (uint64_t i = 0; i < kMaxDynamicEntries; ++i) {
      Elf64_Dyn entry{};
      if ((i + 1) * sizeof(entry) > dynamic_.p_filesz ||
          !file_.Read(dynamic_.p_offset + i * sizeof(entry), &entry)) {
        return Broken("the dynamic section is cut off");
      }
      if (entry.d_tag == DT_NULL) return absl::OkStatus();
      Note(entry);
    }
    return Broken("the dynamic section does not end");
  }

  void Note(const Elf64_Dyn& entry) {
    switch (entry.d_tag) {
      case DT_STRTAB:
        strings_ = ToOffset(entry.d_un.d_ptr);
        break;
      case DT_STRSZ:
        strings_size_ = entry.d_un.d_val;
        break;
      case DT_SYMTAB:
        symbols_ = ToOffset(entry.d_un.d_ptr);
        break;
      case DT_NEEDED:
        if (needed_.size() < kMaxElfNeeded) needed_.push_back(entry.d_un.d_val);
        break;
      default:
        break;
    }
  }

  std::optional<uint64_t> ToOffset(uint64_t address) const {
    for (const Elf64_Phdr& load : loads_) {
      if (address >= load.p_vaddr && address - load.p_vaddr < load.p_filesz) {
        return load.p_offset + (address - load.p_vaddr);
      }
    }
    return std::nullopt;
  }

  std::optional<std::string_view> String(uint64_t index) const {
    uint64_t end = 0;
    if (!strings_ || index >= strings_size_ ||
        __builtin_add_overflow(*strings_, strings_size_, &end)) {
      return std::nullopt;
    }
    return file_.Text(*strings_ + index, end);
  }

  absl::Status ReadNeeded() {
    for (const uint64_t index : needed_) {
      const auto name = String(index);
      if (!name) return Broken("the name of a needed library is cut off");
      result_.needed.emplace_back(*name);
    }
    return absl::OkStatus();
  }

  // The symbol table has no length of its own; by convention the string table follows it.
  void ReadExports() {
    if (!symbols_ || !strings_ || *strings_ <= *symbols_) return;
    const uint64_t count =
        std::min<uint64_t>((*strings_ - *symbols_) / sizeof(Elf64_Sym), kMaxSymbols);
    for (uint64_t i = 1; i < count && result_.exports.size() < kMaxElfExports; ++i) {
      Elf64_Sym symbol{};
      if (!file_.Read(*symbols_ + i * sizeof(symbol), &symbol)) return;
      const unsigned bind = ELF64_ST_BIND(symbol.st_info);
      const unsigned visibility = ELF64_ST_VISIBILITY(symbol.st_other);
      if (symbol.st_shndx == SHN_UNDEF || symbol.st_shndx == SHN_ABS || bind == STB_LOCAL) continue;
      if (visibility == STV_HIDDEN || visibility == STV_INTERNAL) continue;
      if (const auto name = String(symbol.st_name); name && !name->empty()) {
        result_.exports.emplace_back(*name);
      }
    }
  }

  const Octets& file_;
  Elf64_Ehdr header_{};
  Elf64_Phdr dynamic_{};
  std::vector<Elf64_Phdr> loads_;
  std::vector<uint64_t> needed_;
  std::optional<uint64_t> strings_;
  std::optional<uint64_t> symbols_;
  uint64_t strings_size_ = 0;
  ElfFile result_;
};

absl::Status CheckKind(const struct stat& status) {
  if (!S_ISREG(status.st_mode)) return absl::InvalidArgumentError("not a regular file");
  if (static_cast<uint64_t>(status.st_size) > kMaxElfBytes) {
    return absl::InvalidArgumentError(absl::StrCat("too large, ", status.st_size, " octets"));
  }
  return absl::OkStatus();
}

absl::Status ReadAll(int fd, std::string* octets) {
  size_t have = 0;
  while (have < octets->size()) {
    const ssize_t got = read(fd, octets->data() + have, octets->size() - have);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return absl::ErrnoToStatus(errno, "read");
    if (got == 0) return Broken("the file shrank while it was read");
    have += static_cast<size_t>(got);
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<ElfFile> ParseElf(std::string_view octets) {
  if (octets.empty()) return Broken("the file is empty");
  const Octets file(octets);
  return Reader(file).Read();
}

absl::StatusOr<std::string> ReadLibraryFile(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return absl::ErrnoToStatus(errno, "open");
  struct stat status {};
  absl::Status result =
      fstat(fd, &status) == 0 ? CheckKind(status) : absl::ErrnoToStatus(errno, "stat");
  std::string octets;
  if (result.ok()) {
    octets.resize(static_cast<size_t>(status.st_size));
    result = ReadAll(fd, &octets);
  }
  close(fd);
  VD_RETURN_IF_ERROR(result);
  return octets;
}

}  // namespace viaduct
