#include "core/config/references.h"

#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace viaduct {
namespace {

constexpr std::string_view kFile = "file:/";
constexpr std::string_view kFileOf = "file:${";  // A path that a variable begins.
constexpr std::string_view kUri = "file://";     // A URI is a value like any other.

bool IsVariableName(std::string_view name) {
  if (name.empty() || name.size() > 128 || (name[0] >= '0' && name[0] <= '9')) return false;
  for (const char c : name) {
    const bool ok =
        (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
    if (!ok) return false;
  }
  return true;
}

// Lives for one document.
class Resolver {
 public:
  Resolver(const ConfigEnvironment& environment, Findings* findings)
      : environment_(environment), findings_(findings) {}

  void Walk(ConfigNode* node, const std::string& pointer) {
    if (node->is_scalar()) return Scalar(node, pointer);
    for (ConfigMember& member : node->members) {
      Walk(&member.value, ChildPointer(pointer, member.key, member.value));
    }
    for (size_t i = 0; i < node->items.size(); ++i) {
      Walk(&node->items[i], ChildPointer(pointer, absl::StrCat(i), node->items[i]));
    }
  }

 private:
  void Scalar(ConfigNode* node, const std::string& pointer) {
    // What only a variable's value says is no reference.
    const bool names_file = Begins(node->text, kFileOf) || NamesFile(node->text);
    if (node->text.find("${") != std::string::npos) Expand(node, pointer);
    if (names_file && !node->broken) ReadFrom(node, pointer);
  }

  static bool Begins(std::string_view text, std::string_view with) {
    return text.substr(0, with.size()) == with;
  }
  static bool NamesFile(std::string_view text) {
    return Begins(text, kFile) && !Begins(text, kUri);
  }

  void Fail(ConfigNode* node, const std::string& pointer, std::string text) {
    findings_->Error(*node, pointer, "bad_reference", std::move(text));
    node->broken = true;
  }

  void Expand(ConfigNode* node, const std::string& pointer) {
    const std::string source = node->text;
    std::string out;
    bool referred = false;
    for (size_t i = 0; i < source.size();) {
      if (source.compare(i, 3, "$${") == 0) {
        out.append("${");
        i += 3;
      } else if (source.compare(i, 2, "${") == 0) {
        const size_t end = source.find('}', i);
        if (end == std::string::npos) return Fail(node, pointer, "\"${\" without \"}\"");
        if (!Variable(source.substr(i + 2, end - i - 2), node, pointer, &out)) return;
        referred = true;
        i = end + 1;
      } else {
        out.push_back(source[i++]);
      }
      if (out.size() > kMaxReferencedBytes) return Fail(node, pointer, "the value is too long");
    }
    node->text = std::move(out);
    if (referred) node->reference = source;
  }

  bool Variable(const std::string& inside, ConfigNode* node, const std::string& pointer,
                std::string* out) {
    const size_t colon = inside.find(":-");
    const std::string name = inside.substr(0, colon);
    if (!IsVariableName(name)) {
      Fail(node, pointer, absl::StrCat("not a reference, \"${", name, "}\""));
      return false;
    }
    std::optional<std::string> value = environment_.Variable(name);
    // As in a shell: ":-" also stands in for an empty variable.
    if (colon != std::string::npos && (!value.has_value() || value->empty())) {
      value = inside.substr(colon + 2);
    }
    if (!value.has_value()) {
      Fail(node, pointer, absl::StrCat("environment variable ", name, " is not set"));
      return false;
    }
    out->append(*value);
    return true;
  }

  void ReadFrom(ConfigNode* node, const std::string& pointer) {
    const std::string path = node->text.substr(kFile.size() - 1);
    if (path.empty() || path[0] != '/') {
      return Fail(node, pointer, absl::StrCat("file:", path, ": want a path that begins with /"));
    }
    absl::StatusOr<ConfigEnvironment::FileText> file =
        environment_.ReadFile(path, kMaxReferencedBytes);
    if (!file.ok()) return Fail(node, pointer, std::string(file.status().message()));
    std::string& text = file->text;
    while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.pop_back();
    if (text.find('\0') != std::string::npos) {
      return Fail(node, pointer, absl::StrCat(path, ": not text, it has a NUL"));
    }
    if (file->others_can_read) {
      findings_->Warning(node->line, node->column, pointer, "readable_secret",
                         absl::StrCat(path, " can be read by other users, make it mode 0600"));
    }
    const std::string written = std::exchange(node->text, std::move(text));
    if (node->reference.empty()) node->reference = written;
    node->secret = true;
  }

  const ConfigEnvironment& environment_;
  Findings* const findings_;
};

}  // namespace

void ResolveReferences(ConfigNode* root, const ConfigEnvironment& environment, Findings* findings) {
  Resolver(environment, findings).Walk(root, "");
}

}  // namespace viaduct
