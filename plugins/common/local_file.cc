#include "plugins/common/local_file.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace viaduct {
namespace {

std::string About(const std::string& path, const std::string& what) {
  return absl::StrCat("local file: ", path, ", ", what);
}

absl::Status OpenError(const std::string& path, int error) {
  const std::string text = About(path, std::strerror(error));
  switch (error) {
    case ENOENT:
    case ENOTDIR:
      return absl::NotFoundError(text);
    case EACCES:
    case EPERM:
      return absl::PermissionDeniedError(text);
    case ELOOP:
      return absl::InvalidArgumentError(About(path, "is a symbolic link"));
    case ENXIO:
      return absl::InvalidArgumentError(About(path, "is not a regular file"));
    default:
      return absl::DataLossError(text);
  }
}

}  // namespace

void Sha256::Free::operator()(evp_md_ctx_st* context) const { EVP_MD_CTX_free(context); }

Sha256::Sha256() : context_(EVP_MD_CTX_new()) {
  EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr);
}

void Sha256::Update(std::string_view octets) {
  EVP_DigestUpdate(context_.get(), octets.data(), octets.size());
}

std::string Sha256::Hex() {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int size = 0;
  EVP_DigestFinal_ex(context_.get(), digest.data(), &size);
  return absl::BytesToHexString(
      absl::string_view(reinterpret_cast<const char*>(digest.data()), size));
}

absl::StatusOr<LocalFile> LocalFile::Open(const std::string& path, const FileIdentity& meant) {
  const int fd = open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return OpenError(path, errno);
  LocalFile file(fd, path);
  struct stat facts {};
  if (fstat(fd, &facts) != 0) return OpenError(path, errno);
  if (!S_ISREG(facts.st_mode)) {
    return absl::InvalidArgumentError(About(path, "is not a regular file"));
  }
  const bool any = meant.device == 0 && meant.inode == 0;
  if (!any && (facts.st_dev != meant.device || facts.st_ino != meant.inode)) {
    return absl::AbortedError(About(path, "is another file than the one that was to be sent"));
  }
  posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
  return file;
}

LocalFile::LocalFile(int fd, std::string path) : fd_(fd), path_(std::move(path)) {}

LocalFile::LocalFile(LocalFile&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)), path_(std::move(other.path_)) {}

LocalFile& LocalFile::operator=(LocalFile&& other) noexcept {
  std::swap(fd_, other.fd_);
  std::swap(path_, other.path_);
  return *this;
}

LocalFile::~LocalFile() {
  if (fd_ >= 0) close(fd_);
}

absl::StatusOr<uint64_t> LocalFile::Size() const {
  struct stat facts {};
  if (fstat(fd_, &facts) != 0) return OpenError(path_, errno);
  return static_cast<uint64_t>(facts.st_size);
}

absl::Status LocalFile::Read(uint64_t offset, char* out, size_t size) const {
  while (size > 0) {
    const ssize_t got = pread(fd_, out, size, static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return absl::DataLossError(About(path_, std::strerror(errno)));
    if (got == 0) {
      return absl::AbortedError(
          About(path_, absl::StrCat("changed while it was sent, ends at ", offset)));
    }
    offset += static_cast<uint64_t>(got);
    out += got;
    size -= static_cast<size_t>(got);
  }
  return absl::OkStatus();
}

}  // namespace viaduct
