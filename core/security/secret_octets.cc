#include "core/security/secret_octets.h"

#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "core/base/descriptor.h"
#include "core/base/durable_file.h"
#include "core/base/status_macros.h"
#include "core/base/string_view.h"

namespace viaduct::security {
namespace {

constexpr char kBase32[] = "abcdefghijklmnopqrstuvwxyz234567";

const unsigned char* Bytes(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

absl::Status CheckOpenFile(int descriptor, const std::string& path) {
  struct stat facts {};
  if (::fstat(descriptor, &facts) != 0) {
    return absl::UnavailableError(absl::StrCat(path, ": cannot look at it, ", strerror(errno)));
  }
  if (!S_ISREG(facts.st_mode)) {
    return absl::FailedPreconditionError(absl::StrCat(path, ": not a regular file"));
  }
  if (facts.st_uid != ::geteuid()) {
    return absl::FailedPreconditionError(
        absl::StrCat(path, ": belongs to user ", facts.st_uid, ", not to ", ::geteuid()));
  }
  if ((facts.st_mode & 077) != 0) {
    return absl::FailedPreconditionError(
        absl::StrCat(path, ": others may use it, mode should be 0600"));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> MakeSecret(const std::string& path) {
  VD_ASSIGN_OR_RETURN(std::string secret, RandomOctets(kSecretBytes));
  const size_t slash = path.rfind('/');
  const std::string dir = slash == std::string::npos ? "." : path.substr(0, slash);
  const std::string name = slash == std::string::npos ? path : path.substr(slash + 1);
  std::string text = HexOf(secret) + "\n";
  const absl::Status written = WriteFileDurably(dir, name, text);
  Wipe(&text);
  VD_RETURN_IF_ERROR(written);
  return secret;
}

bool ReadHex(std::string_view text, std::string* octets) {
  if (!text.empty() && text.back() == '\n') text.remove_suffix(1);
  if (text.size() != 2 * kSecretBytes) return false;
  if (text.find_first_not_of("0123456789abcdef") != std::string_view::npos) return false;
  *octets = absl::HexStringToBytes(AbslView(text));
  return true;
}

}  // namespace

absl::StatusOr<std::string> RandomOctets(size_t count) {
  std::string octets(count, '\0');
  if (RAND_bytes(reinterpret_cast<unsigned char*>(octets.data()), static_cast<int>(count)) != 1) {
    return absl::InternalError("random: the system's generator fails");
  }
  return octets;
}

bool EqualInConstantTime(std::string_view a, std::string_view b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

std::string HmacSha256(std::string_view key, std::string_view text) {
  std::string out(EVP_MAX_MD_SIZE, '\0');
  unsigned int size = 0;
  HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), Bytes(text), text.size(),
       reinterpret_cast<unsigned char*>(out.data()), &size);
  out.resize(size);
  return out;
}

void Wipe(std::string* secret) {
  OPENSSL_cleanse(secret->data(), secret->size());
  secret->clear();
}

std::string HexOf(std::string_view octets) { return absl::BytesToHexString(AbslView(octets)); }

bool DecodeBase64(std::string_view text, std::string* octets) {
  return absl::Base64Unescape(AbslView(text), octets) && absl::Base64Escape(*octets) == text;
}

bool DecodeBase64Url(std::string_view text, std::string* octets) {
  return absl::WebSafeBase64Unescape(AbslView(text), octets) &&
         absl::WebSafeBase64Escape(*octets) == text;
}

std::string EncodeBase32(std::string_view octets) {
  std::string out;
  uint32_t bits = 0;
  int count = 0;
  for (const char c : octets) {
    bits = (bits << 8) | static_cast<unsigned char>(c);
    count += 8;
    while (count >= 5) {
      out.push_back(kBase32[(bits >> (count - 5)) & 31]);
      count -= 5;
    }
  }
  if (count > 0) out.push_back(kBase32[(bits << (5 - count)) & 31]);
  return out;
}

absl::Status CheckProtected(const std::string& path) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  if (file.get() < 0) {
    const std::string text = absl::StrCat(path, ": cannot open, ", strerror(errno));
    return errno == ENOENT ? absl::NotFoundError(text) : absl::FailedPreconditionError(text);
  }
  return CheckOpenFile(file.get(), path);
}

absl::StatusOr<std::string> ReadProtected(const std::string& path, size_t max_bytes) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  if (file.get() < 0) {
    const std::string text = absl::StrCat(path, ": cannot open, ", strerror(errno));
    return errno == ENOENT ? absl::NotFoundError(text) : absl::FailedPreconditionError(text);
  }
  VD_RETURN_IF_ERROR(CheckOpenFile(file.get(), path));
  std::string text(max_bytes + 1, '\0');
  size_t size = 0;
  while (size < text.size()) {
    const ssize_t got = ::read(file.get(), text.data() + size, text.size() - size);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return absl::UnavailableError(absl::StrCat(path, ": cannot read"));
    if (got == 0) break;
    size += static_cast<size_t>(got);
  }
  if (size > max_bytes) {
    return absl::ResourceExhaustedError(absl::StrCat(path, ": larger than ", max_bytes, " bytes"));
  }
  text.resize(size);
  return text;
}

absl::StatusOr<std::string> LoadOrMakeSecret(const std::string& path) {
  absl::StatusOr<std::string> text = ReadProtected(path, 2 * kSecretBytes + 1);
  if (absl::IsNotFound(text.status())) return MakeSecret(path);
  if (absl::IsResourceExhausted(text.status())) {
    return absl::DataLossError(absl::StrCat(path, ": want 64 hexadecimal digits"));
  }
  VD_RETURN_IF_ERROR(text.status());
  std::string secret;
  const bool good = ReadHex(*text, &secret);
  Wipe(&*text);
  if (!good) return absl::DataLossError(absl::StrCat(path, ": want 64 hexadecimal digits"));
  return secret;
}

}  // namespace viaduct::security
