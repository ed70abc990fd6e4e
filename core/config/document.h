// A YAML document as a plain tree that still knows where everything stood. Internal to the room.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/config/validate.h"

namespace viaduct {

inline constexpr size_t kMaxDocumentBytes = 1u << 20;
inline constexpr size_t kMaxDocumentNodes = 20'000;  // After aliases are written out.
inline constexpr int kMaxDocumentDepth = 48;
inline constexpr size_t kMaxFindings = 500;

struct ConfigMember;

// A scalar's text is kept as written: only the schema knows whether "no" is a word or a boolean.
// Thread-compatible.
struct ConfigNode {
  enum class Kind : uint8_t { kNull, kScalar, kList, kMap };

  Kind kind = Kind::kNull;
  bool plain = true;      // Scalar without quotes, which may be a number, boolean or null.
  bool secret = false;    // Never shown; covers everything below.
  bool broken = false;    // A finding has been made about it already; check no further.
  uint32_t line = 0;      // 1-based.
  uint32_t column = 0;    // 1-based.
  std::string text;       // Scalar: its value, with references resolved.
  std::string reference;  // Scalar: as written, where it held a reference, else "".
  std::string origin;     // JSON pointer of where it stood, for a node that was moved.
  std::vector<ConfigMember> members;
  std::vector<ConfigNode> items;

  bool is_map() const { return kind == Kind::kMap; }
  bool is_list() const { return kind == Kind::kList; }
  bool is_scalar() const { return kind == Kind::kScalar; }
  bool is_null() const { return kind == Kind::kNull; }

  // Null where there is none.
  const ConfigNode* Find(std::string_view key) const;
  ConfigNode* Find(std::string_view key);
  // Adds the member where there is none, at this node's position.
  ConfigNode& Member(std::string_view key);
};

struct ConfigMember {
  std::string key;
  uint32_t line = 0;
  uint32_t column = 0;
  ConfigNode value;
};

// "a/b~" -> "a~1b~0".
std::string EscapePointer(std::string_view key);
// `parent` + "/" + key, or where the child stood before it was moved.
std::string ChildPointer(const std::string& parent, std::string_view key, const ConfigNode& child);

// What parsing and checking have found so far, without the file's name. Thread-compatible.
class Findings {
 public:
  void Error(uint32_t line, uint32_t column, std::string pointer, std::string_view code,
             std::string text);
  void Warning(uint32_t line, uint32_t column, std::string pointer, std::string_view code,
               std::string text);
  void Error(const ConfigNode& at, std::string pointer, std::string_view code, std::string text) {
    Error(at.line, at.column, std::move(pointer), code, std::move(text));
  }
  void Append(Findings other);
  // Says of everything found so far whom it concerns.
  void SetInstance(const std::string& name);
  bool Has(std::string_view code) const;

  const std::vector<Finding>& all() const { return all_; }
  size_t errors() const { return errors_; }
  bool empty() const { return all_.empty(); }
  // In the order of the document, each once; `file` and, by pointer, `instance` filled in.
  std::vector<Finding> Finish(std::string_view file) &&;

 private:
  void Add(Finding finding);

  std::vector<Finding> all_;
  size_t errors_ = 0;
};

// Reads any text, hostile or not. False: it is not YAML at all and `root` is of no use; true with
// findings: the rest can still be checked.
bool ParseDocument(std::string_view text, ConfigNode* root, Findings* findings);

}  // namespace viaduct
