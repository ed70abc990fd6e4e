#include "host/setup/journal.h"

#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/durable_file.h"
#include "core/base/sha256.h"
#include "core/base/status_macros.h"

namespace viaduct::setup {
namespace {

using nlohmann::json;

constexpr char kFile[] = "journal.json";
constexpr int kVersion = 1;

json JsonOf(const JournalEntry& entry) {
  json object{
      {"kind", KindName(entry.kind)}, {"subject", entry.subject}, {"service", entry.service}};
  if (entry.kind != StepKind::kFile) return object;
  object["after"] = entry.after_sha256;
  if (entry.before.exists) {
    object["before"] = {{"sha256", entry.before_sha256},
                        {"mode", entry.before.mode},
                        {"uid", entry.before.uid},
                        {"gid", entry.before.gid}};
  }
  return object;
}

bool TakeText(const json& object, const char* name, std::string* text) {
  const auto found = object.find(name);
  if (found == object.end() || !found->is_string()) return false;
  *text = found->get<std::string>();
  return true;
}

template <typename Number>
bool TakeNumber(const json& object, const char* name, Number* number) {
  const auto found = object.find(name);
  if (found == object.end() || !found->is_number_unsigned()) return false;
  *number = found->get<Number>();
  return true;
}

bool TakeEntry(const json& object, JournalEntry* entry) {
  std::string kind;
  if (!object.is_object() || !TakeText(object, "kind", &kind) || !KindNamed(kind, &entry->kind) ||
      !TakeText(object, "subject", &entry->subject) ||
      !TakeText(object, "service", &entry->service)) {
    return false;
  }
  if (entry->kind != StepKind::kFile) return true;
  const auto before = object.find("before");
  entry->before.exists = before != object.end();
  return TakeText(object, "after", &entry->after_sha256) &&
         (!entry->before.exists ||
          (before->is_object() && TakeText(*before, "sha256", &entry->before_sha256) &&
           TakeNumber(*before, "mode", &entry->before.mode) &&
           TakeNumber(*before, "uid", &entry->before.uid) &&
           TakeNumber(*before, "gid", &entry->before.gid)));
}

bool TakeEntries(const std::string& text, std::vector<JournalEntry>* entries) {
  const json document = json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!document.is_object() || document.value("version", json()) != kVersion) return false;
  const json list = document.value("entries", json());
  if (!list.is_array() || list.size() > kMaxJournalEntries) return false;
  for (const json& object : list) {
    if (!TakeEntry(object, &entries->emplace_back())) return false;
  }
  return true;
}

}  // namespace

absl::StatusOr<Journal> Journal::Open(const Root& root) {
  Journal journal(root);
  VD_ASSIGN_OR_RETURN(journal.folder_, root.Inside(kJournalFolder));
  const std::string path = absl::StrCat(journal.folder_, "/", kFile);
  absl::StatusOr<std::string> text = ReadWholeFile(path, kMaxSetupFile);
  if (absl::IsNotFound(text.status())) return journal;
  if (!text.ok()) return text.status();
  if (TakeEntries(*text, &journal.entries_)) return journal;
  return absl::DataLossError(absl::StrCat(path, ": is damaged"));
}

bool Journal::Wrote(const std::string& path, const std::string& text) const {
  const auto last = std::find_if(entries_.rbegin(), entries_.rend(), [&](const JournalEntry& e) {
    return e.kind == StepKind::kFile && e.subject == path;
  });
  return last != entries_.rend() && last->after_sha256 == HexSha256(text);
}

absl::Status Journal::Add(JournalEntry entry) {
  if (entries_.size() >= kMaxJournalEntries) {
    return absl::ResourceExhaustedError(
        absl::StrCat(folder_, ": has ", kMaxJournalEntries, " entries, undo some"));
  }
  if (entry.before.exists) {
    entry.before_sha256 = HexSha256(entry.before.text);
    VD_RETURN_IF_ERROR(WriteFileDurably(folder_, entry.before_sha256, entry.before.text));
  }
  entry.before.text.clear();
  entries_.push_back(std::move(entry));
  return Save();
}

absl::StatusOr<std::string> Journal::TextBefore(const JournalEntry& entry) const {
  const std::string path = absl::StrCat(folder_, "/", entry.before_sha256);
  VD_ASSIGN_OR_RETURN(std::string text, ReadWholeFile(path, kMaxSetupFile));
  if (HexSha256(text) == entry.before_sha256) return text;
  return absl::DataLossError(absl::StrCat(path, ": is not what was there before"));
}

absl::Status Journal::Forget(size_t index) {
  entries_.erase(entries_.begin() + static_cast<std::ptrdiff_t>(index));
  if (!entries_.empty()) return Save();
  std::error_code error;
  std::filesystem::remove_all(folder_, error);
  if (!error) return absl::OkStatus();
  return absl::UnavailableError(absl::StrCat(folder_, ": cannot remove, ", error.message()));
}

absl::Status Journal::Save() const {
  json list = json::array();
  for (const JournalEntry& entry : entries_) list.push_back(JsonOf(entry));
  const json document{{"version", kVersion}, {"entries", std::move(list)}};
  return WriteFileDurably(folder_, kFile,
                          document.dump(1, ' ', false, json::error_handler_t::replace) + "\n");
}

}  // namespace viaduct::setup
