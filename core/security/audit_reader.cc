#include "core/security/audit_reader.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "core/base/descriptor.h"
#include "core/base/status_macros.h"
#include "core/base/string_view.h"
#include "core/message/json_scanner.h"

namespace viaduct::security {
namespace {

constexpr uint64_t kBlockBytes = 64u << 10;

// The whole lines of a file, the last one first.
class BackwardLines {
 public:
  // The lines before `end`; what a writer has not finished is left out. Null: there is no such file
  // any more.
  static absl::StatusOr<std::unique_ptr<BackwardLines>> Open(const std::string& path,
                                                             std::optional<uint64_t> end) {
    auto file = std::make_unique<Descriptor>(
        ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
    if (file->get() < 0 && errno == ENOENT) return nullptr;
    struct stat facts {};
    if (file->get() < 0 || ::fstat(file->get(), &facts) != 0 || !S_ISREG(facts.st_mode)) {
      return absl::UnavailableError(absl::StrCat(path, ": cannot read it"));
    }
    const auto size = static_cast<uint64_t>(facts.st_size);
    std::unique_ptr<BackwardLines> lines(
        new BackwardLines(path, std::move(file), std::min(size, end.value_or(size))));
    std::string unfinished;
    VD_RETURN_IF_ERROR(lines->Next(&unfinished).status());
    return lines;
  }

  // False: none is left.
  absl::StatusOr<bool> Next(std::string* line) {
    while (true) {
      const size_t end = buffer_.rfind('\n');
      if (end != std::string::npos || offset_ == 0) {
        if (over_) return false;
        over_ = end == std::string::npos;
        line->assign(buffer_, over_ ? 0 : end + 1, std::string::npos);
        buffer_.resize(over_ ? 0 : end);
        return true;
      }
      // What is longer than a line is none, whatever else it says.
      if (buffer_.size() > audit::kMaxLineBytes) buffer_.resize(audit::kMaxLineBytes + 1);
      VD_RETURN_IF_ERROR(ReadBlock());
    }
  }

  // Where the lines end that Next has not given yet.
  uint64_t end() const { return over_ ? 0 : offset_ + buffer_.size() + 1; }
  uint64_t bytes_read() const { return end_ - offset_; }

 private:
  BackwardLines(std::string path, std::unique_ptr<Descriptor> file, uint64_t end)
      : path_(std::move(path)), file_(std::move(file)), end_(end), offset_(end) {}

  absl::Status ReadBlock() {
    std::string block(std::min(kBlockBytes, offset_), '\0');
    const auto at = static_cast<off_t>(offset_ - block.size());
    const ssize_t got = ::pread(file_->get(), block.data(), block.size(), at);
    if (got != static_cast<ssize_t>(block.size())) {
      return absl::UnavailableError(absl::StrCat(path_, ": cannot read it"));
    }
    offset_ -= block.size();
    buffer_ = std::move(block) + buffer_;
    return absl::OkStatus();
  }

  const std::string path_;
  const std::unique_ptr<Descriptor> file_;
  const uint64_t end_;
  uint64_t offset_;  // Where buffer_ begins.
  std::string buffer_;
  bool over_ = false;
};

using Lines = std::unique_ptr<BackwardLines>;

bool HasPart(const std::string& text, const std::string& part) {
  return part.empty() ||
         absl::StrContains(absl::AsciiStrToLower(text), absl::AsciiStrToLower(part));
}

// Makes one page, file by file.
class Pager {
 public:
  Pager(const AuditFilter& filter, size_t max_entries, const std::function<bool()>& go_on)
      : filter_(filter), max_entries_(max_entries), go_on_(go_on) {}

  bool full() const { return page_.next.has_value(); }

  absl::Status Take(uint64_t file, BackwardLines* lines) {
    std::string line;
    while (true) {
      if (page_.entries.size() >= max_entries_ ||
          scanned_ + lines->bytes_read() > kMaxAuditScanBytes) {
        page_.next = AuditPosition{file, lines->end()};
        return absl::OkStatus();
      }
      VD_ASSIGN_OR_RETURN(const bool there, lines->Next(&line));
      if (!there) break;
      if (go_on_ != nullptr && ++lines_ % audit::kLinesBetweenQuestions == 0 && !go_on_()) {
        return absl::CancelledError("audit: nobody waits for it any more");
      }
      absl::StatusOr<AuditEntry> entry = audit::ReadEntry(line);
      if (!entry.ok()) ++page_.unreadable;
      if (entry.ok() && Fits(*entry)) page_.entries.push_back(*std::move(entry));
    }
    scanned_ += lines->bytes_read();
    return absl::OkStatus();
  }

  AuditPage Page() { return std::move(page_); }

 private:
  bool Fits(const AuditEntry& entry) const {
    return entry.time >= filter_.since && HasPart(entry.record.who, filter_.who) &&
           HasPart(entry.record.what, filter_.what) &&
           HasPart(entry.record.subject, filter_.subject);
  }

  const AuditFilter& filter_;
  const size_t max_entries_;
  const std::function<bool()>& go_on_;
  uint64_t lines_ = 0;
  uint64_t scanned_ = 0;  // Of files that are done.
  AuditPage page_;
};

struct Files {
  uint64_t number = 1;  // That the current one will have.
  Lines current;        // May be null.
  std::vector<uint64_t> full;
};

// Of one moment: the current file was opened between two looks that found the same names.
absl::StatusOr<Files> OpenFiles(const std::string& folder,
                                const std::optional<AuditPosition>& from) {
  constexpr int kMaxTries = 8;  // A file is full after thousands of records.
  for (int i = 0; i < kMaxTries; ++i) {
    VD_ASSIGN_OR_RETURN(const std::vector<std::string> found, audit::ListFiles(folder));
    Files files;
    for (const std::string& name : found) {
      const uint64_t number = audit::NumberOf(name);
      if (number > 0) files.full.push_back(number);
      files.number = std::max(files.number, number + 1);
    }
    const bool there = from.has_value() && from->file == files.number;
    VD_ASSIGN_OR_RETURN(
        files.current,
        BackwardLines::Open(absl::StrCat(folder, "/", AbslView(audit::kCurrentName)),
                            there ? std::optional<uint64_t>(from->offset) : std::nullopt));
    VD_ASSIGN_OR_RETURN(const std::vector<std::string> again, audit::ListFiles(folder));
    if (found == again) return files;
  }
  return absl::UnavailableError(absl::StrCat(folder, ": changes all the time"));
}

}  // namespace

namespace audit {

absl::StatusOr<AuditEntry> ReadEntry(std::string_view text) {
  std::vector<JsonMember> members;
  JsonScanLimits limits;
  limits.max_bytes = kMaxLineBytes;
  limits.max_depth = 1;
  if (!JsonScanner(text, limits).ScanObject(&members).ok()) {
    return absl::DataLossError("audit: no record");
  }
  AuditEntry entry;
  AuditRecord& record = entry.record;
  std::string time;
  const std::array<std::pair<std::string_view, std::string*>, 6> texts = {
      {{"time", &time},
       {"who", &record.who},
       {"what", &record.what},
       {"subject", &record.subject},
       {"from", &record.from},
       {"result", &record.result}}};
  for (const JsonMember& member : members) {
    const bool number = member.key == "seq";
    if (number && !absl::SimpleAtoi(AbslView(member.value.text), &entry.sequence)) break;
    if (member.value.type != JsonType::kString) continue;
    for (const auto& [name, value] : texts) {
      if (member.key == name) *value = DecodeJsonString(member.value.text);
    }
  }
  if (entry.sequence == 0 || !absl::ParseTime(absl::RFC3339_full, time, &entry.time, nullptr)) {
    return absl::DataLossError("audit: no record");
  }
  return entry;
}

}  // namespace audit

absl::StatusOr<AuditPage> ReadAudit(const std::string& folder, const AuditFilter& filter,
                                    const std::optional<AuditPosition>& from, size_t max_entries,
                                    const std::function<bool()>& go_on) {
  VD_ASSIGN_OR_RETURN(Files files, OpenFiles(folder, from));
  Pager pager(filter, max_entries, go_on);
  const uint64_t first = from.has_value() ? from->file : files.number;
  if (files.current != nullptr && first >= files.number) {
    VD_RETURN_IF_ERROR(pager.Take(files.number, files.current.get()));
  }
  for (auto it = files.full.rbegin(); it != files.full.rend() && !pager.full(); ++it) {
    if (*it > first) continue;
    const bool here = from.has_value() && from->file == *it;
    VD_ASSIGN_OR_RETURN(
        const Lines lines,
        BackwardLines::Open(absl::StrCat(folder, "/", audit::RotatedName(*it)),
                            here ? std::optional<uint64_t>(from->offset) : std::nullopt));
    // Null: it was the oldest, and has gone meanwhile.
    if (lines != nullptr) VD_RETURN_IF_ERROR(pager.Take(*it, lines.get()));
  }
  return pager.Page();
}

}  // namespace viaduct::security
