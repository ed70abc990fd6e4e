// The only file that calls yaml-cpp. Its exceptions end here.
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/mark.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <map>
#include <set>
#include <sstream>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/config/document.h"
#include "core/observe/utf8.h"

namespace viaduct {
namespace {

constexpr std::string_view kCoreTags = "tag:yaml.org,2002:";

// How deep brackets nest at any place, with strings and comments counted as if they were not:
// too careful rather than too late, the parser recurses.
constexpr int kMaxFlowDepth = 200;

size_t CountNodes(const ConfigNode& node) {
  size_t count = 1;
  for (const ConfigMember& member : node.members) count += CountNodes(member.value);
  for (const ConfigNode& item : node.items) count += CountNodes(item);
  return count;
}

// Builds the tree from the parser's events. Lives for one document.
class TreeBuilder final : public YAML::EventHandler {
 public:
  explicit TreeBuilder(Findings* findings) : findings_(findings) {}

  bool done() const { return done_; }
  // Something made the rest of the document worthless to look at.
  bool gave_up() const { return gave_up_; }
  ConfigNode TakeRoot() { return std::move(root_); }
  // Where the last scalar that is not plain began.
  const YAML::Mark& last_quoted() const { return last_quoted_; }

  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override { done_ = true; }

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    Leaf(ConfigNode::Kind::kNull, mark, anchor, "", true);
  }

  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    if (gave_up_) return;
    const auto found = anchors_.find(anchor);
    if (found == anchors_.end()) {
      Complain(mark, "bad_alias", "an alias that refers to what it stands in");
      Add(At(ConfigNode::Kind::kNull, mark));
      return;
    }
    if (!Count(found->second.nodes, mark)) return;
    if (static_cast<int>(stack_.size()) + found->second.depth > kMaxDocumentDepth) {
      return GiveUp(mark, "too_deep", absl::StrCat("nested deeper than ", kMaxDocumentDepth));
    }
    if (!stack_.empty()) {
      stack_.back().deepest = std::max(stack_.back().deepest, found->second.depth);
    }
    Add(found->second.node);
  }

  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    CheckTag(tag, mark);
    const bool plain = tag == "?" || tag.empty();
    if (!plain) last_quoted_ = mark;
    Leaf(ConfigNode::Kind::kScalar, mark, anchor, value, plain);
  }

  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    Open(ConfigNode::Kind::kList, mark, tag, anchor);
  }
  void OnSequenceEnd() override { Close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    Open(ConfigNode::Kind::kMap, mark, tag, anchor);
  }
  void OnMapEnd() override { Close(); }

 private:
  struct Frame {
    ConfigNode node;
    YAML::anchor_t anchor = 0;
    bool has_key = false;
    bool drop_value = false;  // The key was refused.
    int deepest = 0;          // Levels below this one.
    ConfigMember key;
    std::set<std::string> keys;
  };
  struct Anchored {
    ConfigNode node;
    size_t nodes = 0;
    int depth = 0;
  };

  static uint32_t Line(const YAML::Mark& mark) { return static_cast<uint32_t>(mark.line + 1); }
  static uint32_t Column(const YAML::Mark& mark) { return static_cast<uint32_t>(mark.column + 1); }

  static ConfigNode At(ConfigNode::Kind kind, const YAML::Mark& mark) {
    ConfigNode node;
    node.kind = kind;
    node.line = Line(mark);
    node.column = Column(mark);
    return node;
  }

  void Complain(const YAML::Mark& mark, std::string_view code, std::string text) {
    findings_->Error(Line(mark), Column(mark), Pointer(), code, std::move(text));
  }

  void GiveUp(const YAML::Mark& mark, std::string_view code, std::string text) {
    if (!gave_up_) Complain(mark, code, std::move(text));
    gave_up_ = true;
  }

  std::string Pointer() const {
    std::string pointer;
    for (const Frame& frame : stack_) {
      if (frame.node.is_list()) {
        absl::StrAppend(&pointer, "/", frame.node.items.size());
      } else if (frame.has_key) {
        absl::StrAppend(&pointer, "/", EscapePointer(frame.key.key));
      }
    }
    return pointer;
  }

  bool Count(size_t nodes, const YAML::Mark& mark) {
    nodes_ += nodes;
    if (nodes_ <= kMaxDocumentNodes) return true;
    GiveUp(mark, "too_large",
           absl::StrCat("more than ", kMaxDocumentNodes, " values (aliases count each time)"));
    return false;
  }

  void CheckTag(const std::string& tag, const YAML::Mark& mark) {
    if (gave_up_ || tag.empty() || tag == "?" || tag == "!") return;
    if (tag.compare(0, kCoreTags.size(), kCoreTags) == 0 &&
        (tag.substr(kCoreTags.size()) == "str" || tag.substr(kCoreTags.size()) == "map" ||
         tag.substr(kCoreTags.size()) == "seq")) {
      return;
    }
    Complain(mark, "bad_tag", "tags are not supported here, write the value without it");
  }

  void Leaf(ConfigNode::Kind kind, const YAML::Mark& mark, YAML::anchor_t anchor,
            const std::string& value, bool plain) {
    if (gave_up_ || !Count(1, mark)) return;
    ConfigNode node = At(kind, mark);
    node.text = value;
    node.plain = plain;
    if (anchor != 0) anchors_[anchor] = {node, 1, 0};
    Add(std::move(node));
  }

  void Open(ConfigNode::Kind kind, const YAML::Mark& mark, const std::string& tag,
            YAML::anchor_t anchor) {
    if (gave_up_ || !Count(1, mark)) return;
    CheckTag(tag, mark);
    if (static_cast<int>(stack_.size()) >= kMaxDocumentDepth) {
      return GiveUp(mark, "too_deep", absl::StrCat("nested deeper than ", kMaxDocumentDepth));
    }
    Frame frame;
    frame.node = At(kind, mark);
    frame.anchor = anchor;
    stack_.push_back(std::move(frame));
  }

  void Close() {
    if (gave_up_ || stack_.empty()) return;
    Frame frame = std::move(stack_.back());
    stack_.pop_back();
    const int depth = frame.deepest + 1;
    if (!stack_.empty()) stack_.back().deepest = std::max(stack_.back().deepest, depth);
    if (frame.anchor != 0) {
      anchors_[frame.anchor] = {frame.node, CountNodes(frame.node), depth};
    }
    Add(std::move(frame.node));
  }

  void Add(ConfigNode node) {
    if (stack_.empty()) {
      root_ = std::move(node);
      return;
    }
    Frame& frame = stack_.back();
    if (frame.node.is_list()) {
      frame.node.items.push_back(std::move(node));
    } else if (!frame.has_key) {
      AddKey(&frame, std::move(node));
    } else {
      AddValue(&frame, std::move(node));
    }
  }

  void AddKey(Frame* frame, ConfigNode node) {
    frame->key = ConfigMember();
    frame->key.key = node.text;
    frame->key.line = node.line;
    frame->key.column = node.column;
    frame->drop_value = false;
    const auto refuse = [&](std::string_view code, std::string text) {
      findings_->Error(node.line, node.column,
                       absl::StrCat(Pointer(), "/", EscapePointer(node.text)), code,
                       std::move(text));
      frame->drop_value = true;
    };
    if (!node.is_scalar()) {
      refuse("bad_key", "a key must be plain text");
    } else if (node.plain && node.text == "<<") {
      refuse("merge_key", "merge keys (<<) are not supported, write the keys out");
    } else if (!frame->keys.insert(node.text).second) {
      refuse("duplicate_key", absl::StrCat("\"", node.text, "\" is given twice"));
    }
    frame->has_key = true;
  }

  void AddValue(Frame* frame, ConfigNode node) {
    frame->has_key = false;
    if (frame->drop_value) return;
    ConfigMember member = std::move(frame->key);
    if (node.is_null() && node.line != member.line) {
      node.line = member.line;  // Nothing stands after the colon; the parser is further on.
      node.column = member.column;
    }
    member.value = std::move(node);
    frame->node.members.push_back(std::move(member));
  }

  Findings* const findings_;
  ConfigNode root_;
  std::vector<Frame> stack_;
  std::map<YAML::anchor_t, Anchored> anchors_;
  YAML::Mark last_quoted_ = YAML::Mark::null_mark();
  size_t nodes_ = 0;
  bool done_ = false;
  bool gave_up_ = false;
};

// yaml-cpp takes a quote that is still open at the end of the document; a file that was cut off
// must not pass for a whole one.
bool IsClosed(std::string_view text, const YAML::Mark& begin) {
  if (begin.is_null() || begin.pos < 0 || static_cast<size_t>(begin.pos) >= text.size())
    return true;
  const auto at = static_cast<size_t>(begin.pos);
  const char quote = text[at];
  if (quote != '"' && quote != '\'') return true;
  for (size_t i = at + 1; i < text.size(); ++i) {
    if (quote == '"' && text[i] == '\\') {
      ++i;
    } else if (text[i] == quote) {
      return true;
    }
  }
  return false;
}

// What no parser needs to see: size, encoding, control characters, brackets beyond reason.
bool Acceptable(std::string_view text, Findings* findings) {
  if (text.size() > kMaxDocumentBytes) {
    findings->Error(
        0, 0, "", "too_large",
        absl::StrCat("the document has ", text.size(), " bytes, at most ", kMaxDocumentBytes));
    return false;
  }
  uint32_t line = 1;
  uint32_t column = 1;
  int flow_depth = 0;
  for (size_t i = 0; i < text.size();) {
    uint32_t code = 0;
    const size_t length = DecodeUtf8(text, i, &code);
    const bool control =
        (code < 0x20 && code != '\t' && code != '\n' && code != '\r') || code == 0x7F;
    if (length == 0 || control) {
      findings->Error(
          line, column, "", "bad_encoding",
          length == 0 ? "not valid UTF-8" : absl::StrCat("control character, code ", code));
      return false;
    }
    if (code == '[' || code == '{') ++flow_depth;
    if ((code == ']' || code == '}') && flow_depth > 0) --flow_depth;
    if (flow_depth > kMaxFlowDepth) {
      findings->Error(line, column, "", "too_deep", "too many open brackets");
      return false;
    }
    ++column;
    if (code == '\n') {
      ++line;
      column = 1;
    }
    i += length;
  }
  return true;
}

}  // namespace

bool ParseDocument(std::string_view text, ConfigNode* root, Findings* findings) {
  if (!Acceptable(text, findings)) return false;
  TreeBuilder builder(findings);
  try {
    std::istringstream stream{std::string(text)};
    YAML::Parser parser(stream);
    if (!parser.HandleNextDocument(builder)) {
      findings->Error(1, 1, "", "empty", "the document is empty");
      return false;
    }
    if (builder.gave_up()) return false;
    if (!IsClosed(text, builder.last_quoted())) {
      const YAML::Mark& mark = builder.last_quoted();
      findings->Error(static_cast<uint32_t>(mark.line + 1), static_cast<uint32_t>(mark.column + 1),
                      "", "bad_yaml", "the text that begins here has no closing quote");
      return false;
    }
    *root = builder.TakeRoot();
    Findings ignored;
    TreeBuilder second(&ignored);
    if (parser.HandleNextDocument(second)) {
      findings->Error(0, 0, "", "bad_yaml", "only one document in a file");
    }
  } catch (const YAML::Exception& error) {
    const bool known = !error.mark.is_null();
    findings->Error(known ? static_cast<uint32_t>(error.mark.line + 1) : 0,
                    known ? static_cast<uint32_t>(error.mark.column + 1) : 0, "", "bad_yaml",
                    absl::StrCat("not YAML, ", error.msg));
    return false;
  } catch (const std::exception& error) {
    findings->Error(0, 0, "", "bad_yaml", absl::StrCat("not YAML, ", error.what()));
    return false;
  }
  return true;
}

}  // namespace viaduct
