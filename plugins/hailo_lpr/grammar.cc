#include "plugins/hailo_lpr/grammar.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <fstream>
#include <sstream>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace viaduct::hailo_lpr {
namespace {

constexpr size_t kMaxFormBytes = 256;
// A form of repeats within the limit is small; a set with a mistake may not become a large one.
constexpr int64_t kMaxPatternBytes = 1 << 20;
constexpr char kAny[] = "[A-Z0-9]";  // X.
// All consonants of the Thai script but the two obsolete ones, ฃ and ฅ.
constexpr char kThai[] = "[กขคฆงจฉชซฌญฎฏฐฑฒณดตถทธนบปผฝพฟภมยรลวศษสหฬอฮ]";

absl::Status Wrong(const std::string& form, absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat("grammar: form \"", form, "\": ", what));
}

// Reads "{m,n}" at `*at`, if it is there.
absl::Status ReadRepeat(const std::string& form, size_t* at, std::string* pattern) {
  if (*at >= form.size() || form[*at] != '{') return absl::OkStatus();
  const size_t end = form.find('}', *at);
  if (end == std::string::npos) return Wrong(form, "a { without its }");
  const std::string text = form.substr(*at + 1, end - *at - 1);
  const size_t comma = text.find(',');
  int low = 0;
  int high = 0;
  const bool numbers =
      absl::SimpleAtoi(text.substr(0, comma), &low) &&
      absl::SimpleAtoi(comma == std::string::npos ? text : text.substr(comma + 1), &high);
  if (!numbers || low < 0 || high < low || high < 1 || high > Grammar::kMostRepeats) {
    return Wrong(form, absl::StrCat("{", text, "} is not 0 to ", Grammar::kMostRepeats));
  }
  absl::StrAppend(pattern, "{", low, ",", high, "}");
  *at = end + 1;
  return absl::OkStatus();
}

absl::Status ReadSet(const std::string& form, size_t* at, std::string* pattern) {
  const char kind = form[*at];
  if (kind == '[') {
    const size_t end = form.find(']', *at);
    if (end == std::string::npos || end == *at + 1 || form[*at + 1] == '^' ||
        form.substr(*at, end - *at).find('\\') != std::string::npos) {
      return Wrong(form, "a set of characters that cannot be read");
    }
    pattern->append(form, *at, end + 1 - *at);
    *at = end + 1;
    return absl::OkStatus();
  }
  ++*at;
  switch (kind) {
    case 'L':
      pattern->append("[A-Z]");
      return absl::OkStatus();
    case 'D':
      pattern->append("[0-9]");
      return absl::OkStatus();
    case 'X':
      pattern->append(kAny);
      return absl::OkStatus();
    case 'T':
      pattern->append(kThai);
      return absl::OkStatus();
    default:
      return Wrong(form, absl::StrCat("\"", std::string(1, kind), "\" stands for nothing"));
  }
}

absl::StatusOr<std::unique_ptr<RE2>> PatternOf(const std::string& form) {
  if (form.empty() || form.size() > kMaxFormBytes) return Wrong(form, "empty or too long");
  std::string pattern;
  for (size_t at = 0; at < form.size();) {
    if (form[at] == ' ' || form[at] == '/') {
      ++at;
      continue;
    }
    if (absl::Status set = ReadSet(form, &at, &pattern); !set.ok()) return set;
    if (absl::Status repeat = ReadRepeat(form, &at, &pattern); !repeat.ok()) return repeat;
  }
  RE2::Options options;
  options.set_max_mem(kMaxPatternBytes);
  options.set_log_errors(false);
  auto compiled = std::make_unique<RE2>(pattern, options);
  if (!compiled->ok()) return Wrong(form, compiled->error());
  return compiled;
}

}  // namespace

absl::StatusOr<Grammar> Grammar::Parse(std::string_view yaml) {
  if (yaml.size() > kMaxFileBytes) return absl::InvalidArgumentError("grammar: more than 1 MiB");
  Grammar grammar;
  try {
    const YAML::Node document = YAML::Load(std::string(yaml));
    grammar.name_ = document["name"].as<std::string>();
    grammar.title_ = document["title"].as<std::string>(grammar.name_);
    const YAML::Node forms = document["forms"];
    if (!forms.IsSequence() || forms.size() == 0 || forms.size() > kMostForms) {
      return absl::InvalidArgumentError(
          absl::StrCat("grammar: forms: not a list of 1 to ", kMostForms));
    }
    double sum = 0;
    for (const YAML::Node& entry : forms) {
      const auto text = entry["form"].as<std::string>();
      const double weight = entry["weight"] ? entry["weight"].as<double>() : 1;
      if (!(weight > 0 && weight < 1e6)) return Wrong(text, "weight: not above 0");
      absl::StatusOr<std::unique_ptr<RE2>> pattern = PatternOf(text);
      if (!pattern.ok()) return pattern.status();
      const bool any = absl::StrContains((*pattern)->pattern(), kAny);
      grammar.forms_.push_back({*std::move(pattern), weight, any});
      sum += weight;
    }
    for (Form& form : grammar.forms_) form.share /= sum;
  } catch (const YAML::Exception& error) {
    return absl::InvalidArgumentError(absl::StrCat("grammar: ", error.what()));
  }
  return grammar;
}

absl::StatusOr<Grammar> Grammar::Load(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return absl::NotFoundError(absl::StrCat("grammar: ", path, ": cannot be read"));
  std::string text(kMaxFileBytes + 1, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<size_t>(file.gcount()));
  absl::StatusOr<Grammar> grammar = Parse(text);
  if (grammar.ok()) return grammar;
  return absl::Status(grammar.status().code(),
                      absl::StrCat(path, ": ", grammar.status().message()));
}

double Grammar::WeightOf(const std::string& reading) const {
  double weight = 0;
  for (const Form& form : forms_) {
    if (RE2::FullMatch(reading, *form.pattern)) weight += form.share;
  }
  return weight;
}

double Grammar::OwnWeightOf(const std::string& reading) const {
  const auto digits = static_cast<size_t>(
      std::count_if(reading.begin(), reading.end(), [](char c) { return absl::ascii_isdigit(c); }));
  const bool one_kind = digits == 0 || digits == reading.size();
  double weight = 0;
  for (const Form& form : forms_) {
    if (one_kind && form.any) continue;
    if (RE2::FullMatch(reading, *form.pattern)) weight += form.share;
  }
  return weight;
}

Grammar::Choice Grammar::Choose(const std::vector<Reading>& readings) const {
  Choice choice;
  double most = 0;
  for (size_t i = 0; i < readings.size(); ++i) {
    const double score = static_cast<double>(readings[i].confidence) * WeightOf(readings[i].text());
    if (score > most) {
      most = score;
      choice = {i, true};
    }
  }
  return choice;
}

}  // namespace viaduct::hailo_lpr
