// A strict JSON scanner that validates while it walks and hands out slices of the input, so that a
// payload is checked once and then carried as the sender wrote it. Ordinary parsers give either
// full validation or positions, not both; fuzz_envelope checks this one against nlohmann::json.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"

namespace viaduct {

enum class JsonType : uint8_t { kObject, kArray, kString, kNumber, kTrue, kFalse, kNull };
std::string_view JsonTypeName(JsonType type);  // "an object", "a string", ...

// One validated value. `text` is its exact source, without surrounding white space.
struct JsonSlice {
  JsonType type = JsonType::kNull;
  std::string_view text;
  size_t offset = 0;  // Of text[0] in the document.
};

struct JsonMember {
  std::string key;  // Decoded.
  JsonSlice value;
};

struct JsonElement {
  JsonSlice value;
  std::vector<JsonMember> members;  // Of an object, from the same pass over the text.
};

struct JsonScanLimits {
  size_t max_bytes = 32u << 20;
  int max_depth = 64;
  size_t max_members = 1u << 20;  // Of one object, and of all open objects together.
};

// RFC 8259 with: valid UTF-8, no lone surrogates, no duplicate keys at any depth, no number that
// overflows a double. Errors are INVALID_ARGUMENT "at byte 17: ..." or RESOURCE_EXHAUSTED for a
// limit, without a subject: the caller prefixes one. Thread-compatible; `text` must outlive it.
class JsonScanner {
 public:
  JsonScanner(std::string_view text, const JsonScanLimits& limits);

  // The whole text is one value with nothing but white space around it.
  absl::Status ScanDocument(JsonSlice* value);

  // As ScanDocument; the value must be an object (array): fills its members (elements).
  absl::Status ScanObject(std::vector<JsonMember>* members);
  absl::Status ScanArray(size_t max_elements, std::vector<JsonElement>* elements);
  // As ScanArray, at no cost in memory.
  absl::Status CountArray(size_t max_elements, size_t* count);

  // First byte that is no white space, '\0' when there is none. Decides object or array cheaply.
  char Peek();

 private:
  struct Key {
    uint64_t head;  // First eight bytes, zero-padded: settles nearly every comparison.
    std::string_view text;
  };
  struct Frame {
    bool object;
    size_t first_key;                                            // Index into keys_.
    std::unique_ptr<absl::flat_hash_set<std::string_view>> set;  // Once an object is large.
  };

  absl::Status Begin();
  absl::Status End();
  absl::Status ScanMembers(std::vector<JsonMember>* members);
  template <typename ScanOne>
  absl::Status ForEachElement(size_t max_elements, ScanOne scan_one);
  absl::Status ScanElement(JsonElement* element);
  absl::Status ScanValue(JsonSlice* value);
  absl::Status ScanNested(JsonType type);
  absl::Status ScanScalar(JsonType* type);
  absl::Status ScanString(bool* escaped);
  absl::Status ScanEscape();
  absl::Status ScanUtf8();
  absl::Status ScanNumber();
  absl::Status ScanLiteral(std::string_view literal);
  absl::Status ScanKey(Frame* frame, std::string_view* key);
  absl::Status NoteKey(Frame* frame, std::string_view key, size_t offset);
  absl::Status Open(std::vector<Frame>* frames);
  absl::Status OpenMember(std::vector<Frame>* frames, bool first, bool* closed);
  absl::Status Expect(char c);
  absl::Status Error(std::string_view what) const;
  absl::Status ErrorAt(size_t offset, std::string_view what) const;
  bool AtEnd() const { return pos_ >= text_.size(); }
  char Current() const { return text_[pos_]; }
  void SkipSpace();

  const std::string_view text_;
  const JsonScanLimits limits_;
  size_t pos_ = 0;
  int depth_ = 0;
  std::vector<Key> keys_;            // Of all open objects.
  std::deque<std::string> decoded_;  // Owns the keys that had escapes.
};

// Decodes the source text of a validated string (with its quotes).
std::string DecodeJsonString(std::string_view quoted);

// Appends `text` as a JSON string with quotes. What is no UTF-8 in it becomes U+FFFD, so that the
// result is JSON whatever the text is.
void AppendJsonString(std::string_view text, std::string* out);

// The first `max_bytes` of `text`, or a little less: a character is not cut through.
std::string_view CutText(std::string_view text, size_t max_bytes);

// A sender's text as an error shows it: in quotes, control characters escaped, cut.
std::string ShownText(std::string_view text, size_t max_bytes = 64);

// True when `text` is valid UTF-8 (shortest form, no surrogates, at most U+10FFFF).
bool IsValidUtf8(std::string_view text);

}  // namespace viaduct
