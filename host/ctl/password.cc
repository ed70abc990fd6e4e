#include "host/ctl/password.h"

#include <fcntl.h>
#include <termios.h>
#include <unistd.h>

#include <iostream>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "core/base/descriptor.h"
#include "core/base/status_macros.h"
#include "core/base/string_view.h"
#include "core/security/secret_octets.h"

namespace viaduct::ctl {
namespace {

std::string FirstLine(std::string text) {
  text.resize(std::min(text.find('\n'), text.size()));
  if (!text.empty() && text.back() == '\r') text.pop_back();
  return text;
}

absl::Status Say(int terminal, std::string_view text) {
  const ssize_t wrote = ::write(terminal, text.data(), text.size());
  return wrote == static_cast<ssize_t>(text.size())
             ? absl::OkStatus()
             : absl::UnavailableError("password: the terminal takes nothing");
}

absl::StatusOr<std::string> ReadHidden(int terminal, std::string_view prompt) {
  struct termios shown {};
  if (::tcgetattr(terminal, &shown) != 0) {
    return absl::FailedPreconditionError("password: the terminal is none");
  }
  struct termios hidden = shown;
  hidden.c_lflag &= ~static_cast<tcflag_t>(ECHO);
  hidden.c_lflag |= ICANON;
  if (::tcsetattr(terminal, TCSAFLUSH, &hidden) != 0) {
    return absl::FailedPreconditionError("password: the terminal would show it");
  }
  const absl::Cleanup restore = [&] { ::tcsetattr(terminal, TCSAFLUSH, &shown); };
  VD_RETURN_IF_ERROR(Say(terminal, prompt));
  std::string line(kMaxPasswordFileBytes, '\0');
  const ssize_t got = ::read(terminal, line.data(), line.size());
  VD_RETURN_IF_ERROR(Say(terminal, "\n"));
  if (got <= 0) return absl::CancelledError("password: none was given");
  line.resize(static_cast<size_t>(got));
  return FirstLine(std::move(line));
}

absl::StatusOr<std::string> Ask() {
  const Descriptor terminal(::open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY));
  if (terminal.get() < 0) {
    return absl::FailedPreconditionError(
        "password: there is no terminal to ask at, use --password-file");
  }
  VD_ASSIGN_OR_RETURN(std::string first, ReadHidden(terminal.get(), "New password: "));
  VD_ASSIGN_OR_RETURN(std::string second, ReadHidden(terminal.get(), "Once more: "));
  const bool same = first == second;
  security::Wipe(&second);
  if (same) return first;
  security::Wipe(&first);
  return absl::InvalidArgumentError("password: the two are not the same");
}

}  // namespace

absl::StatusOr<std::string> ReadNewPassword(const std::string& file) {
  if (file.empty()) return Ask();
  if (file == "-") {
    std::string line;
    std::getline(std::cin, line);
    return FirstLine(std::move(line));
  }
  VD_ASSIGN_OR_RETURN(std::string text, security::ReadProtected(file, kMaxPasswordFileBytes));
  return FirstLine(std::move(text));
}

}  // namespace viaduct::ctl
