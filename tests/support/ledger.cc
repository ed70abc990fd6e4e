#include "tests/support/ledger.h"

#include <fstream>
#include <istream>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "core/base/status_macros.h"

namespace viaduct::support {
namespace {

void Name(SourceVerdict& verdict, const char* kind, const std::string& id) {
  std::vector<std::string>& ids = verdict.named[kind];
  if (ids.size() < kMaxNamedIds) ids.push_back(id);
}

void Complain(Verdict& verdict, const std::string& source, const char* what, uint64_t count,
              uint64_t allowed) {
  if (count <= allowed) return;
  verdict.mistakes.push_back(absl::StrCat(source, ": ", count, " ", what));
}

nlohmann::json SourceJson(const SourceVerdict& v) {
  return {{"rows", v.rows},       {"stored", v.stored},   {"lost", v.lost},
          {"doubled", v.doubled}, {"changed", v.changed}, {"unknown", v.unknown},
          {"unasked", v.unasked}, {"fresh", v.fresh},     {"named", v.named}};
}

}  // namespace

absl::Status Ledger::ReadFile(const std::string& path) {
  std::ifstream in(path);
  if (!in) return absl::NotFoundError(absl::StrCat("ledger: cannot open, ", path));
  return Read(in, path);
}

absl::Status Ledger::Read(std::istream& in, std::string_view name) {
  std::string line;
  for (uint64_t number = 1; std::getline(in, line); ++number) {
    const absl::Status status = ReadLine(line);
    if (!status.ok()) {
      return absl::InvalidArgumentError(absl::StrCat(absl::string_view(name.data(), name.size()),
                                                     ":", number, ": ", status.message()));
    }
  }
  return absl::OkStatus();
}

absl::Status Ledger::ReadLine(std::string_view line) {
  const std::vector<std::string> f =
      absl::StrSplit(absl::string_view(line.data(), line.size()), ' ');
  if (f.size() == 3 && f[0] == "claimed") {
    Claim(f[1], f[2]);
  } else if (f.size() == 2 && f[0] == "accepted") {
    return Accept(f[1]);
  } else if (f.size() == 2 && f[0] == "mark") {
    Mark(f[1]);
  } else if (f.size() == 4 && f[0] == "stored") {
    Store(f[1], f[2], f[3]);
  } else {
    return absl::InvalidArgumentError(
        absl::StrCat("not a ledger line, \"", absl::string_view(line.data(), line.size()), "\""));
  }
  return absl::OkStatus();
}

void Ledger::Claim(std::string_view id, std::string_view digest) {
  const auto [it, fresh] = entries_.try_emplace(std::string(id));
  if (fresh) {
    it->second.digest = std::string(digest);
    it->second.order = ++order_;
  } else if (it->second.digest != digest) {
    it->second.ambiguous = true;
  }
}

absl::Status Ledger::Accept(std::string_view id) {
  const auto it = entries_.find(std::string(id));
  if (it == entries_.end()) {
    return absl::InvalidArgumentError(
        absl::StrCat("accepted without a claim, ", absl::string_view(id.data(), id.size())));
  }
  it->second.accepted = true;
  return absl::OkStatus();
}

void Ledger::Mark(std::string_view name) { marks_[std::string(name)] = ++order_; }

void Ledger::Store(std::string_view source, std::string_view id, std::string_view digest) {
  Seen& seen = sources_[std::string(source)][std::string(id)];
  ++seen.times;
  // A second row with another content must not hide the first one.
  if (seen.times == 1 || seen.digest == "-") seen.digest = std::string(digest);
}

SourceVerdict Ledger::JudgeSource(const SeenById& seen, uint64_t fresh_order) const {
  SourceVerdict v;
  for (const auto& [id, s] : seen) {
    v.rows += s.times;
    if (id == kNameless) {  // Each is another one.
      v.unknown += s.times;
      Name(v, "unknown", id);
      continue;
    }
    if (s.times > 1) ++v.doubled, Name(v, "doubled", id);
    const auto it = entries_.find(id);
    if (it == entries_.end()) {
      ++v.unknown, Name(v, "unknown", id);
      continue;
    }
    ++v.stored;
    const Entry& entry = it->second;
    if (s.digest != "-" && s.digest != entry.digest) ++v.changed, Name(v, "changed", id);
    if (!entry.accepted) ++v.unasked;
    if (entry.accepted && entry.order > fresh_order) ++v.fresh;
  }
  for (const auto& [id, entry] : entries_) {
    if (entry.accepted && seen.count(id) == 0) ++v.lost, Name(v, "lost", id);
  }
  return v;
}

Verdict Ledger::Judge(const LedgerRules& rules) const {
  Verdict verdict;
  verdict.claimed = entries_.size();
  uint64_t ambiguous = 0;
  for (const auto& [id, entry] : entries_) {
    verdict.obligations += entry.accepted ? 1 : 0;
    ambiguous += entry.ambiguous ? 1 : 0;
  }
  Complain(verdict, "generator", "ids claimed with two contents", ambiguous, 0);
  if (sources_.empty()) verdict.mistakes.push_back("store: no source was read");

  uint64_t fresh_order = 0;
  if (!rules.fresh_mark.empty()) {
    const auto mark = marks_.find(rules.fresh_mark);
    if (mark == marks_.end()) {
      verdict.mistakes.push_back(absl::StrCat("ledger: no mark ", rules.fresh_mark));
    } else {
      fresh_order = mark->second;
    }
  }
  for (const auto& [source, seen] : sources_) {
    const SourceVerdict v = JudgeSource(seen, fresh_order);
    Complain(verdict, source, "lost", v.lost, rules.max_lost);
    Complain(verdict, source, "doubled", v.doubled, 0);
    const bool excused = v.changed + v.unknown <= rules.max_altered;
    Complain(verdict, source, "changed", excused ? 0 : v.changed, 0);
    Complain(verdict, source, "unknown", excused ? 0 : v.unknown, 0);
    if (v.stored < rules.min_stored) {
      verdict.mistakes.push_back(
          absl::StrCat(source, ": stored ", v.stored, " of at least ", rules.min_stored));
    }
    if (!rules.fresh_mark.empty() && v.fresh < rules.min_fresh) {
      verdict.mistakes.push_back(absl::StrCat(source, ": ", v.fresh, " fresh messages after ",
                                              rules.fresh_mark, ", at least ", rules.min_fresh));
    }
    verdict.sources[source] = v;
  }
  return verdict;
}

std::string Verdict::ToJson() const {
  nlohmann::json json = {{"ok", ok()},
                         {"claimed", claimed},
                         {"obligations", obligations},
                         {"mistakes", mistakes},
                         {"sources", nlohmann::json::object()}};
  for (const auto& [name, v] : sources) json["sources"][name] = SourceJson(v);
  return json.dump();
}

std::string Verdict::ToText() const {
  std::string text = absl::StrCat("claimed ", claimed, ", obligations ", obligations, "\n");
  for (const auto& [name, v] : sources) {
    absl::StrAppend(&text, name, ": stored ", v.stored, ", lost ", v.lost, ", double ", v.doubled,
                    ", changed ", v.changed, ", unknown ", v.unknown, ", fresh ", v.fresh,
                    " (stored without a read OK: ", v.unasked, ")\n");
    for (const auto& [kind, ids] : v.named) {
      for (const std::string& id : ids) absl::StrAppend(&text, "  ", kind, " ", id, "\n");
    }
  }
  for (const std::string& m : mistakes) absl::StrAppend(&text, "MISTAKE ", m, "\n");
  absl::StrAppend(&text, ok() ? "verdict: clean\n" : "verdict: GUILTY\n");
  return text;
}

}  // namespace viaduct::support
