#include "plugins/hailo_lpr/camera_process.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <thread>
#include <utility>
#include <vector>

#include "absl/memory/memory.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace viaduct::hailo_lpr {
namespace {

constexpr int kReapTries = 200;
constexpr std::chrono::milliseconds kReapPause{10};
constexpr int kFirstToClose = 5;  // Behind those of camera_link.h.

absl::Status Exhausted(const char* what) {
  return absl::ResourceExhaustedError(absl::StrCat("camera: ", what, ": ", std::strerror(errno)));
}

// What posix_spawn is told.
class Spawn {
 public:
  Spawn() {
    posix_spawn_file_actions_init(&actions_);
    posix_spawnattr_init(&attributes_);
  }
  ~Spawn() {
    posix_spawn_file_actions_destroy(&actions_);
    posix_spawnattr_destroy(&attributes_);
  }
  Spawn(const Spawn&) = delete;
  Spawn& operator=(const Spawn&) = delete;

  // 0, or errno.
  int Run(const std::string& program, const CameraMemory& memory, pid_t* pid) {
    Null(STDIN_FILENO);
    Null(STDOUT_FILENO);
    Null(STDERR_FILENO);
    // Both are above the places that they are moved to, so that none is overwritten.
    posix_spawn_file_actions_adddup2(&actions_, memory.program_socket(), kCameraSocket);
    posix_spawn_file_actions_adddup2(&actions_, memory.descriptor(), kCameraMemory);
    posix_spawn_file_actions_addclosefrom_np(&actions_, kFirstToClose);
    sigset_t none;
    sigset_t all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_setsigmask(&attributes_, &none);
    posix_spawnattr_setsigdefault(&attributes_, &all);
    posix_spawnattr_setpgroup(&attributes_, 0);
    posix_spawnattr_setflags(
        &attributes_, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
    std::string name = program;
    char* arguments[] = {name.data(), nullptr};
    return posix_spawn(pid, program.c_str(), &actions_, &attributes_, arguments, environ);
  }

 private:
  void Null(int fd) { posix_spawn_file_actions_addopen(&actions_, fd, "/dev/null", O_RDWR, 0); }

  posix_spawn_file_actions_t actions_;
  posix_spawnattr_t attributes_;
};

// Out of the way of the places that the program wants.
bool MoveUp(int* fd) {
  const int up = fcntl(*fd, F_DUPFD_CLOEXEC, kFirstToClose);
  if (up < 0) return false;
  close(std::exchange(*fd, up));
  return true;
}

}  // namespace

absl::StatusOr<std::shared_ptr<CameraMemory>> CameraMemory::Make(size_t slot_bytes) {
  auto memory = std::shared_ptr<CameraMemory>(new CameraMemory(slot_bytes));
  if (!memory->Open()) return Exhausted("memory or sockets");
  return memory;
}

bool CameraMemory::Open() {
  const size_t bytes = slot_bytes_ * kCameraSlots;
  memfd_ = memfd_create("hailo-lpr-camera", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  // Nobody can take away what is being read.
  if (memfd_ < 0 || ftruncate(memfd_, static_cast<off_t>(bytes)) != 0 ||
      fcntl(memfd_, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
    return false;
  }
  void* memory = mmap(nullptr, bytes, PROT_READ, MAP_SHARED, memfd_, 0);
  if (memory == MAP_FAILED) return false;
  memory_ = memory;
  return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends_) == 0 &&
         fcntl(ends_[0], F_SETFL, O_NONBLOCK) == 0 && MoveUp(&memfd_) && MoveUp(&ends_[1]);
}

CameraMemory::~CameraMemory() {
  if (memory_ != nullptr) munmap(memory_, slot_bytes_ * kCameraSlots);
  for (const int fd : {memfd_, ends_[0], ends_[1]}) {
    if (fd >= 0) close(fd);
  }
}

void CameraMemory::CloseProgramEnd() {
  if (ends_[1] >= 0) close(std::exchange(ends_[1], -1));
}

std::string_view CameraMemory::Slot(uint32_t slot) const {
  return {static_cast<const char*>(memory_) + slot_bytes_ * slot, slot_bytes_};
}

void CameraMemory::Release(uint32_t slot) const {
  CameraRelease release;
  release.slot = slot;
  // Where the program is gone it wants nothing; it never has more to hear than there are slots.
  if (send(ends_[0], &release, sizeof(release), MSG_NOSIGNAL) < 0) return;
}

absl::StatusOr<std::unique_ptr<CameraProcess>> CameraProcess::Start(const std::string& program,
                                                                    const std::string& order,
                                                                    size_t slot_bytes) {
  absl::StatusOr<std::shared_ptr<CameraMemory>> memory = CameraMemory::Make(slot_bytes);
  if (!memory.ok()) return memory.status();
  if (send((*memory)->socket(), order.data(), order.size(), MSG_NOSIGNAL) < 0) {
    return Exhausted("order");
  }
  pid_t pid = -1;
  Spawn spawn;
  const int error = spawn.Run(program, **memory, &pid);
  if (error == ENOENT || error == EACCES) {
    return absl::NotFoundError(absl::StrCat("camera: ", program, ": ", std::strerror(error)));
  }
  if (error != 0) {
    return absl::ResourceExhaustedError(
        absl::StrCat("camera: ", program, ": ", std::strerror(error)));
  }
  (*memory)->CloseProgramEnd();
  return absl::WrapUnique(new CameraProcess(pid, *std::move(memory)));
}

// One that hangs in a driver may not even die; then it is left to its own end.
CameraProcess::~CameraProcess() {
  kill(-pid_, SIGKILL);
  kill(pid_, SIGKILL);  // Before it has a group.
  for (int i = 0; i < kReapTries; ++i) {
    if (waitpid(pid_, nullptr, WNOHANG) != 0) return;
    std::this_thread::sleep_for(kReapPause);
  }
}

absl::StatusOr<std::optional<CameraMessage>> CameraProcess::Next() {
  CameraMessage message;
  const ssize_t got = recv(descriptor(), &message, sizeof(message), 0);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return std::nullopt;
  if (got <= 0) return absl::UnavailableError("its program has ended");
  message.text[kMaxCameraText - 1] = '\0';
  const bool sound = got == sizeof(message) && message.slot < kCameraSlots;
  if (!sound) return absl::InternalError("its program says what can not be");
  if (message.word != CameraWord::kPicture) return message;
  const bool sides = message.width > 0 && message.height > 0;
  const uint64_t bytes = sides ? uint64_t{kBytesPerPixel} * static_cast<uint64_t>(message.width) *
                                     static_cast<uint64_t>(message.height)
                               : 0;
  if (bytes > 0 && bytes <= memory_->slot_bytes()) return message;
  return absl::InternalError("its program says what can not be");
}

}  // namespace viaduct::hailo_lpr
