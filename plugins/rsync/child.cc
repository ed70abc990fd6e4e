#include "plugins/rsync/child.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"

namespace viaduct::rsync {
namespace {

constexpr int kExecFailed = 127;
constexpr unsigned kFirstToClose = 3;
constexpr unsigned kCloseOnExec = 1u << 2;  // CLOSE_RANGE_CLOEXEC, which old headers lack.

struct Pipe {
  int ends[2] = {-1, -1};
  bool Open() { return pipe2(ends, O_CLOEXEC) == 0; }
  int Take(int end) { return std::exchange(ends[end], -1); }
  ~Pipe() {
    for (const int fd : ends) {
      if (fd >= 0) close(fd);
    }
  }
};

// Valid as long as the texts are, and closed by a null pointer.
std::vector<char*> Pointers(std::vector<std::string>* texts) {
  std::vector<char*> out;
  out.reserve(texts->size() + 1);
  for (std::string& text : *texts) out.push_back(text.data());
  out.push_back(nullptr);
  return out;
}

// Nothing here but what may be called between fork and exec.
[[noreturn]] void Become(const int (&fds)[3], pid_t parent, char* const* arguments,
                         char* const* environment) {
  sigset_t none;
  sigemptyset(&none);
  signal(SIGPIPE, SIG_DFL);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  setpgid(0, 0);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(kExecFailed);
  for (int i = 0; i < 3; ++i) {
    if (dup2(fds[i], i) < 0) _exit(kExecFailed);
  }
#ifdef SYS_close_range
  syscall(SYS_close_range, kFirstToClose, ~0u, kCloseOnExec);
#endif
  execve(arguments[0], arguments, environment);
  _exit(kExecFailed);
}

void Close(int* fd) {
  if (*fd >= 0) close(std::exchange(*fd, -1));
}

}  // namespace

absl::StatusOr<std::unique_ptr<Child>> Child::Start(std::vector<std::string> arguments,
                                                    std::vector<std::string> environment,
                                                    std::string input) {
  Pipe in;
  Pipe out;
  Pipe err;
  if (!in.Open() || !out.Open() || !err.Open()) {
    return absl::ResourceExhaustedError(absl::StrCat("pipe: ", std::strerror(errno)));
  }
  const std::vector<char*> argv = Pointers(&arguments);
  const std::vector<char*> envp = Pointers(&environment);
  const int fds[3] = {in.ends[0], out.ends[1], err.ends[1]};
  const pid_t self = getpid();
  const pid_t pid = fork();
  if (pid == 0) Become(fds, self, argv.data(), envp.data());
  if (pid < 0) return absl::ResourceExhaustedError(absl::StrCat("fork: ", std::strerror(errno)));
  setpgid(pid, pid);  // Whoever of the two comes first.
  for (const int fd : {in.ends[1], out.ends[0], err.ends[0]}) fcntl(fd, F_SETFL, O_NONBLOCK);
  return std::unique_ptr<Child>(
      new Child(pid, in.Take(1), out.Take(0), err.Take(0), std::move(input)));
}

Child::Child(pid_t pid, int in, int out, int err, std::string input)
    : pid_(pid), in_(in), out_(out), err_(err), input_(std::move(input)) {}

Child::~Child() {
  for (int* fd : {&in_, &out_, &err_}) Close(fd);
  if (pid_ < 0) return;
  kill(-pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
}

void Child::ReadSome(int* fd, std::string* into) {
  if (*fd < 0) return;
  const size_t before = into->size();
  into->resize(before + kMaxPiece);
  const ssize_t got = read(*fd, into->data() + before, kMaxPiece);
  into->resize(before + (got > 0 ? static_cast<size_t>(got) : 0));
  const bool later = got < 0 && (errno == EAGAIN || errno == EINTR);
  if (got <= 0 && !later) Close(fd);
}

void Child::Move(std::string* out, std::string* err) {
  ReadSome(&out_, out);
  ReadSome(&err_, err);
  if (in_ < 0) return;
  const ssize_t put = write(in_, input_.data() + written_, input_.size() - written_);
  if (put > 0) written_ += static_cast<size_t>(put);
  const bool later = put < 0 && (errno == EAGAIN || errno == EINTR);
  if (written_ == input_.size() || (put < 0 && !later)) Close(&in_);
}

void Child::Terminate(int64_t now_ns) {
  if (kill_ns_ != 0) return;
  kill_ns_ = now_ns + kStopNs;
  kill(-pid_, SIGTERM);
}

bool Child::HasExited() const {
  siginfo_t info{};
  const int how = WEXITED | WNOWAIT | WNOHANG;
  return waitid(P_PID, static_cast<id_t>(pid_), &info, how) == 0 && info.si_pid == pid_;
}

void Child::Advance(int64_t now_ns) {
  if ((out_ >= 0 || err_ >= 0) && HasExited()) {
    if (linger_ns_ == 0) linger_ns_ = now_ns + kLingerNs;
    if (now_ns >= linger_ns_) {
      Close(&out_);
      Close(&err_);
    }
  }
  if (kill_ns_ == 0 || killed_ || now_ns < kill_ns_) return;
  killed_ = true;
  kill(-pid_, SIGKILL);
  // What has left the group may hold the other ends.
  Close(&out_);
  Close(&err_);
}

bool Child::Ended(int* status) {
  if (out_ >= 0 || err_ >= 0 || pid_ < 0) return false;
  siginfo_t info{};
  const int how = WEXITED | WNOWAIT | (killed_ ? 0 : WNOHANG);
  if (waitid(P_PID, static_cast<id_t>(pid_), &info, how) != 0 || info.si_pid != pid_) return false;
  // Whoever is left of its group, ssh most likely, as long as the group is surely its own.
  kill(-pid_, SIGKILL);
  waitpid(std::exchange(pid_, -1), status, 0);
  return true;
}

}  // namespace viaduct::rsync
