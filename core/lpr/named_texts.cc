#include "core/lpr/named_texts.h"

#include <algorithm>

#include "core/message/envelope.h"
#include "core/message/identity.h"

namespace viaduct {
namespace {

constexpr std::string_view kSpace = " \t\r\n";

// What stands between the quotes at *at, which moves behind them.
std::string_view TakeString(std::string_view json, size_t* at) {
  const size_t begin = *at + 1;
  size_t end = begin;
  while (end < json.size() && json[end] != '"') end += json[end] == '\\' ? 2 : 1;
  end = std::min(end, json.size());
  *at = std::min(end + 1, json.size());
  return json.substr(begin, end - begin);
}

bool ColonFollows(std::string_view json, size_t at) {
  const size_t next = json.find_first_not_of(kSpace, at);
  return next != std::string_view::npos && json[next] == ':';
}

bool IsPlainIdentifier(std::string_view text) {
  return text.find('\\') == std::string_view::npos &&
         CheckIdentifier(text, ParseLimits().max_id_bytes).ok();
}

}  // namespace

std::vector<std::string> NamedTexts(std::string_view json, std::string_view key, size_t max) {
  std::vector<std::string> texts;
  size_t at = std::min(json.find_first_not_of(kSpace), json.size());
  const int wanted = at < json.size() && json[at] == '[' ? 2 : 1;
  int depth = 0;
  bool named = false;  // The key has been read, its value comes.
  while (at < json.size() && texts.size() < max) {
    const char c = json[at];
    if (c == '"') {
      const std::string_view text = TakeString(json, &at);
      if (named && IsPlainIdentifier(text)) texts.emplace_back(text);
      named = !named && depth == wanted && text == key && ColonFollows(json, at);
      continue;
    }
    if (c == '{' || c == '[') ++depth;
    if (c == '}' || c == ']') --depth;
    if (c != ':' && kSpace.find(c) == std::string_view::npos) named = false;
    ++at;
  }
  return texts;
}

}  // namespace viaduct
