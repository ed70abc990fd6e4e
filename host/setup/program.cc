#include "host/setup/program.h"

#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/time.h"
#include "core/base/status_macros.h"

namespace viaduct::setup {
namespace {

constexpr absl::Duration kPatience = absl::Minutes(1);

}  // namespace

absl::StatusOr<ProgramEnd> RunToEnd(const std::vector<std::string>& command,
                                    std::string_view input) {
  ProgramCall call;
  call.words = command;
  call.limit = kPatience;
  call.input = std::string(input);
  call.folder = "/";  // Where every user may be.
  call.errors_apart = true;
  call.max_output = kMaxOutput;
  return RunProgram(call);
}

absl::StatusOr<std::string> RunToSuccess(const std::vector<std::string>& command,
                                         std::string_view input) {
  VD_ASSIGN_OR_RETURN(ProgramEnd end, RunToEnd(command, input));
  if (end.exit_code == 0) return std::move(end.output);
  return absl::FailedPreconditionError(
      absl::StrCat(absl::StrJoin(command, " "), ": exit code ", end.exit_code, ", ",
                   absl::StripAsciiWhitespace(end.output + end.errors)));
}

}  // namespace viaduct::setup
