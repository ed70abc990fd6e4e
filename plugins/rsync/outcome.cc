#include "plugins/rsync/outcome.h"

#include <sys/wait.h>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace viaduct::rsync {
namespace {

using Code = absl::StatusCode;

constexpr size_t kMaxLineBytes = 4096;
constexpr size_t kMaxDetailBytes = 200;

// What is said decides before the exit code does: that of ssh is the same for everything.
struct Said {
  const char* text;
  Code code;
  bool session;
};
constexpr Said kSaid[] = {
    {"REMOTE HOST IDENTIFICATION HAS CHANGED", Code::kFailedPrecondition, true},
    {"Host key verification failed", Code::kFailedPrecondition, true},
    {"host key is known for", Code::kFailedPrecondition, true},
    {"Permission denied (13)", Code::kPermissionDenied, false},
    {"Permission denied (", Code::kUnauthenticated, true},
    {"Too many authentication failures", Code::kUnauthenticated, true},
    {"auth failed on module", Code::kUnauthenticated, true},
    {"Unknown module", Code::kFailedPrecondition, true},
    {"module is read only", Code::kFailedPrecondition, true},
    {"command not found", Code::kFailedPrecondition, true},
    {"No space left on device", Code::kResourceExhausted, false},
    {"Disk quota exceeded", Code::kResourceExhausted, false},
    {"Operation not permitted", Code::kPermissionDenied, false},
    {"Read-only file system", Code::kPermissionDenied, false},
};

struct Exit {
  int code;
  Code status;
  bool session;
  const char* text;
};
constexpr Exit kExits[] = {
    {1, Code::kFailedPrecondition, true, "an option is not understood"},
    {2, Code::kFailedPrecondition, true, "its protocol is another"},
    {3, Code::kFailedPrecondition, false, "a folder can not be used"},
    {4, Code::kFailedPrecondition, true, "the server can not do what is asked"},
    {5, Code::kUnavailable, true, "the daemon does not begin"},
    {10, Code::kUnavailable, true, "the connection fails"},
    {11, Code::kUnavailable, false, "a file can not be written"},
    {12, Code::kUnavailable, true, "the connection is lost"},
    {13, Code::kUnavailable, true, "a message can not be told"},
    {14, Code::kUnavailable, true, "its processes fail"},
    {20, Code::kUnavailable, true, "it was ended by a signal"},
    {22, Code::kResourceExhausted, true, "it has no memory"},
    {23, Code::kUnavailable, false, "some files did not arrive"},
    {24, Code::kUnavailable, false, "some files have vanished"},
    {25, Code::kUnavailable, false, "its limit of removed files"},
    {30, Code::kUnavailable, true, "the server gives no sign of life"},
    {35, Code::kUnavailable, true, "the daemon does not answer in time"},
    {126, Code::kFailedPrecondition, true, "rsync can not be run"},
    {127, Code::kFailedPrecondition, true, "rsync is not installed, here or on the server"},
    {255, Code::kUnavailable, true, "ssh does not connect"},
};

// The line that says why, else the first.
std::string DetailOf(std::string_view err, const char* sought) {
  const absl::string_view all(err.data(), err.size());
  std::string first;
  for (const absl::string_view line : absl::StrSplit(all, '\n')) {
    const absl::string_view text = absl::StripAsciiWhitespace(line);
    if (text.empty()) continue;
    if (sought != nullptr && absl::StrContains(text, sought)) {
      return absl::CHexEscape(text.substr(0, kMaxDetailBytes));
    }
    if (first.empty()) first = absl::CHexEscape(text.substr(0, kMaxDetailBytes));
  }
  return first;
}

const Exit& ExitOf(int code) {
  for (const Exit& row : kExits) {
    if (row.code == code) return row;
  }
  static constexpr Exit kOther = {-1, Code::kUnavailable, true, "it ended"};
  return kOther;
}

bool KnowsNoFsync(std::string_view err) {
  const absl::string_view text(err.data(), err.size());
  return absl::StrContains(text, "--fsync") && absl::StrContains(text, "unknown option");
}

}  // namespace

RunEnd ReadRunEnd(int wait_status, std::string_view err) {
  RunEnd end;
  if (WIFSIGNALED(wait_status)) {
    end.session = true;
    end.status = absl::UnavailableError(
        absl::StrCat("rsync: it was ended by the signal ", WTERMSIG(wait_status)));
    return end;
  }
  const int code = WEXITSTATUS(wait_status);
  if (code == 0) return end;
  const Exit& exit = ExitOf(code);
  end.no_fsync = KnowsNoFsync(err);
  for (const Said& said : kSaid) {
    if (!absl::StrContains(absl::string_view(err.data(), err.size()), said.text)) continue;
    end.session = said.session;
    end.status = absl::Status(said.code, absl::StrCat("rsync: ", DetailOf(err, said.text)));
    return end;
  }
  end.session = exit.session;
  end.status = absl::Status(
      exit.status, absl::StrCat("rsync: ", exit.text, " (", code, "): ", DetailOf(err, nullptr)));
  return end;
}

void Progress::Feed(std::string_view octets) {
  for (const char c : octets) {
    if (c == '\r' || c == '\n') {
      TakeLine();
      line_.clear();
    } else if (line_.size() < kMaxLineBytes) {
      line_ += c;
    }
  }
}

void Progress::TakeLine() {
  absl::string_view line = absl::StripLeadingAsciiWhitespace(line_);
  uint64_t number = 0;
  if (absl::ConsumePrefix(&line, "Total bytes sent: ")) {
    if (absl::SimpleAtoi(line, &number)) sent_ = number;
    return;
  }
  const size_t space = line.find(' ');
  if (space == absl::string_view::npos || !absl::StrContains(line, '%')) return;
  if (absl::SimpleAtoi(line.substr(0, space), &number)) moved_ = number;
}

}  // namespace viaduct::rsync
