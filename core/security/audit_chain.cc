#include "core/security/audit_chain.h"

#include <dirent.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <memory>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"
#include "core/base/sha256.h"
#include "core/base/status_macros.h"
#include "core/base/string_view.h"
#include "core/message/envelope.h"
#include "core/message/json_scanner.h"

namespace viaduct::security {
namespace {

constexpr size_t kHashChars = 2 * kSha256Bytes;
constexpr std::string_view kHashMember = ",\"hash\":\"";
constexpr size_t kTailBytes = kHashMember.size() + kHashChars + 2;  // And "}.
constexpr size_t kMaxFiles = 4'096;

void AddField(std::string_view name, std::string_view value, std::string* out) {
  absl::StrAppend(out, ",\"", AbslView(name), "\":");
  AppendJsonString(CutText(value, audit::kMaxFieldBytes), out);
}

absl::Status Broken(std::string_view what) {
  return absl::DataLossError(absl::StrCat("audit: ", AbslView(what)));
}

// Follows the chain through the lines of files.
class Follower {
 public:
  Follower(const std::optional<AuditHead>& noted, const AuditReach& reach)
      : noted_(noted), reach_(reach) {}

  bool done() const { return report_.head.sequence >= reach_.last; }

  absl::Status MayGoOn() const {
    const bool asks =
        reach_.go_on != nullptr && report_.records % audit::kLinesBetweenQuestions == 0;
    return asks && !reach_.go_on() ? absl::CancelledError("audit: nobody waits for it any more")
                                   : absl::OkStatus();
  }

  absl::Status Take(std::string_view text) {
    VD_ASSIGN_OR_RETURN(const audit::Line line, audit::ReadLine(text));
    if (report_.records == 0) {
      report_.first = line.sequence;
      const bool begins = line.sequence == 1 && line.previous != audit::Beginning().hash;
      if (begins) return Broken("the first record does not begin the chain");
    } else if (line.previous != report_.head.hash || line.sequence != report_.head.sequence + 1) {
      return Broken(absl::StrCat("record ", line.sequence, " does not follow record ",
                                 report_.head.sequence));
    }
    report_.head = {line.sequence, line.hash};
    ++report_.records;
    if (noted_ && noted_->sequence == line.sequence && noted_->hash != line.hash) {
      return Broken(absl::StrCat("record ", line.sequence, " is not the one that was noted"));
    }
    return absl::OkStatus();
  }

  absl::StatusOr<AuditReport> End() const {
    if (noted_ && noted_->sequence > report_.head.sequence) {
      return Broken(absl::StrCat("ends with record ", report_.head.sequence, ", but record ",
                                 noted_->sequence, " was noted"));
    }
    return report_;
  }

 private:
  const std::optional<AuditHead> noted_;
  const AuditReach& reach_;
  AuditReport report_;
};

absl::Status FollowFile(const std::string& path, std::istream& file, Follower* follower) {
  std::string buffer(audit::kMaxLineBytes + 1, '\0');
  for (uint64_t number = 1; !follower->done(); ++number) {
    VD_RETURN_IF_ERROR(follower->MayGoOn());
    file.getline(buffer.data(), static_cast<std::streamsize>(buffer.size()));
    const auto got = static_cast<size_t>(file.gcount());
    if (got == 0) return absl::OkStatus();
    const std::string_view text(buffer.data(), got - 1);
    // Without its line break it was cut, or is longer than any that was written.
    const absl::Status status =
        file.eof() || file.fail() ? Broken("the line has no end") : follower->Take(text);
    if (status.ok()) continue;
    return absl::DataLossError(absl::StrCat(path, ": line ", number, ", ", status.message()));
  }
  return absl::OkStatus();
}

// The files that were full, behind number `*last`. Where one has gone meanwhile that was not the
// oldest, the next one does not follow.
absl::StatusOr<bool> FollowFull(const std::string& folder, uint64_t* last, Follower* follower) {
  VD_ASSIGN_OR_RETURN(const std::vector<std::string> files, audit::ListFiles(folder));
  bool any = false;
  for (const std::string& name : files) {
    const uint64_t number = audit::NumberOf(name);
    if (number <= *last) continue;
    *last = number;
    any = true;
    const std::string path = absl::StrCat(folder, "/", name);
    std::ifstream file(path, std::ios::binary);
    if (!file && errno != ENOENT)
      return absl::UnavailableError(absl::StrCat(path, ": cannot open"));
    if (file) VD_RETURN_IF_ERROR(FollowFile(path, file, follower));
  }
  return any;
}

// Whatever there is now, the oldest first.
absl::StatusOr<AuditReport> FollowAll(const std::string& folder,
                                      const std::optional<AuditHead>& noted,
                                      const AuditReach& reach) {
  Follower follower(noted, reach);
  const std::string path = absl::StrCat(folder, "/", AbslView(audit::kCurrentName));
  uint64_t last = 0;
  // The current file may become a full one at any time: it is the one that was opened before a look
  // that found no other.
  while (true) {
    std::ifstream current(path, std::ios::binary);
    const bool readable = current.good() || errno == ENOENT;
    VD_ASSIGN_OR_RETURN(const bool any, FollowFull(folder, &last, &follower));
    if (any) continue;
    if (!readable) return absl::UnavailableError(absl::StrCat(path, ": cannot open"));
    if (current.good()) VD_RETURN_IF_ERROR(FollowFile(path, current, &follower));
    return follower.End();
  }
}

}  // namespace

namespace audit {

AuditHead Beginning() { return {0, std::string(kHashChars, '0')}; }

std::string WriteLine(const AuditRecord& record, absl::Time time, AuditHead* head) {
  ++head->sequence;
  std::string line =
      absl::StrCat("{\"seq\":", head->sequence, ",\"time\":\"", FormatTimestamp(time), "\"");
  AddField("who", record.who, &line);
  AddField("what", record.what, &line);
  AddField("subject", record.subject, &line);
  AddField("from", record.from, &line);
  AddField("result", record.result, &line);
  absl::StrAppend(&line, ",\"prev\":\"", head->hash, "\"");
  head->hash = HexSha256(line);
  absl::StrAppend(&line, AbslView(kHashMember), head->hash, "\"}\n");
  return line;
}

absl::StatusOr<Line> ReadLine(std::string_view text) {
  std::vector<JsonMember> members;
  JsonScanLimits limits;
  limits.max_bytes = kMaxLineBytes;
  limits.max_depth = 1;
  if (text.size() <= kTailBytes || !JsonScanner(text, limits).ScanObject(&members).ok()) {
    return Broken("no record");
  }
  const std::string_view tail = text.substr(text.size() - kTailBytes);
  Line line;
  line.hash = std::string(tail.substr(kHashMember.size(), kHashChars));
  const bool ends = tail.substr(0, kHashMember.size()) == kHashMember;
  if (!ends || HexSha256(text.substr(0, text.size() - kTailBytes)) != line.hash) {
    return Broken("the record was changed");
  }
  for (const JsonMember& member : members) {
    if (member.key == "prev") line.previous = DecodeJsonString(member.value.text);
    if (member.key != "seq") continue;
    if (!absl::SimpleAtoi(AbslView(member.value.text), &line.sequence)) return Broken("no number");
  }
  if (line.sequence == 0 || line.previous.size() != kHashChars) return Broken("no record");
  return line;
}

std::string RotatedName(uint64_t number) { return absl::StrFormat("audit-%012d.jsonl", number); }

uint64_t NumberOf(std::string_view name) {
  absl::string_view digits = AbslView(name);
  uint64_t number = 0;
  const bool named =
      absl::ConsumePrefix(&digits, "audit-") && absl::ConsumeSuffix(&digits, ".jsonl");
  const bool good = named && absl::SimpleAtoi(digits, &number) && RotatedName(number) == name;
  return good ? number : 0;
}

absl::StatusOr<std::vector<std::string>> ListFiles(const std::string& folder) {
  struct Close {
    void operator()(DIR* dir) const { ::closedir(dir); }
  };
  const std::unique_ptr<DIR, Close> dir(::opendir(folder.c_str()));
  if (dir == nullptr) {
    return absl::UnavailableError(absl::StrCat(folder, ": cannot list, ", strerror(errno)));
  }
  std::vector<std::string> rotated;
  bool current = false;
  while (const dirent* entry = ::readdir(dir.get())) {
    const std::string name = entry->d_name;
    if (name == kCurrentName) current = true;
    if (NumberOf(name) > 0) rotated.push_back(name);
    if (rotated.size() > kMaxFiles) return absl::ResourceExhaustedError("audit: too many files");
  }
  std::sort(rotated.begin(), rotated.end());
  if (current) rotated.emplace_back(kCurrentName);
  return rotated;
}

}  // namespace audit

absl::StatusOr<AuditReport> VerifyAudit(const std::string& folder,
                                        const std::optional<AuditHead>& noted,
                                        const AuditReach& reach) {
  constexpr int kMaxTries = 8;  // A file is full after thousands of records.
  for (int i = 0; i < kMaxTries; ++i) {
    VD_ASSIGN_OR_RETURN(const std::vector<std::string> before, audit::ListFiles(folder));
    absl::StatusOr<AuditReport> report = FollowAll(folder, noted, reach);
    if (report.ok() || !absl::IsDataLoss(report.status())) return report;
    VD_ASSIGN_OR_RETURN(const std::vector<std::string> after, audit::ListFiles(folder));
    // While the oldest is there none has made room for a newer one, and what is missed is missing.
    const auto oldest = [](const auto& files) {
      return files.empty() ? std::string() : files.front();
    };
    if (oldest(before) == oldest(after)) return report;
  }
  return absl::UnavailableError(absl::StrCat(folder, ": changes all the time"));
}

}  // namespace viaduct::security
