#include "plugins/common/tls_files.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace viaduct {
namespace {

using BioOwner = std::unique_ptr<BIO, FreeTls<BIO_free>>;
using NamesOwner = std::unique_ptr<GENERAL_NAMES, FreeTls<GENERAL_NAMES_free>>;

constexpr mode_t kOthers = 077;  // May do nothing with a key.

absl::Status Unusable(const char* what, const std::string& path, const std::string& why) {
  return absl::FailedPreconditionError(absl::StrCat(what, ": ", path, ", ", why));
}

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (fd_ >= 0) close(fd_);
  }
  int get() const { return fd_; }

 private:
  const int fd_;
};

// Of one open file, so that what is checked is what is read.
absl::StatusOr<std::string> ReadPem(const char* what, const std::string& path, bool secret) {
  // O_NONBLOCK: a pipe is refused and not waited for.
  const Descriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  struct stat facts {};
  if (file.get() < 0 || fstat(file.get(), &facts) != 0) {
    return Unusable(what, path, std::strerror(errno));
  }
  if (!S_ISREG(facts.st_mode)) return Unusable(what, path, "is no file");
  if (secret && (facts.st_mode & kOthers) != 0) {
    return Unusable(what, path,
                    absl::StrFormat("others may read it (mode %04o), a key wants mode 0600",
                                    facts.st_mode & 07777));
  }
  if (static_cast<size_t>(facts.st_size) > kMaxPemBytes) {
    return Unusable(what, path, absl::StrCat("is larger than ", kMaxPemBytes, " bytes"));
  }
  std::string text(static_cast<size_t>(facts.st_size), '\0');
  size_t size = 0;
  while (size < text.size()) {
    const ssize_t n = read(file.get(), text.data() + size, text.size() - size);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return Unusable(what, path, std::strerror(errno));
    if (n == 0) break;
    size += static_cast<size_t>(n);
  }
  text.resize(size);
  return text;
}

BioOwner BioOf(const std::string& text) {
  return BioOwner(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

// Nobody is there to type a passphrase.
int NoPassphrase(char*, int, int, void*) { return 0; }

absl::StatusOr<absl::Time> TimeOf(const ASN1_TIME* time) {
  tm parts{};
  if (time == nullptr || ASN1_TIME_to_tm(time, &parts) != 1) {
    return absl::InvalidArgumentError(TakeTlsError());
  }
  return absl::FromTM(parts, absl::UTCTimeZone());
}

// When the first of them ends.
absl::StatusOr<absl::Time> EndOf(const std::vector<X509Owner>& chain, const std::string& path,
                                 absl::Time now) {
  absl::Time end = absl::InfiniteFuture();
  for (const X509Owner& one : chain) {
    const auto from = TimeOf(X509_get0_notBefore(one.get()));
    const auto until = TimeOf(X509_get0_notAfter(one.get()));
    if (!from.ok() || !until.ok()) return Unusable("certificate", path, "a time that is none");
    if (now < *from) {
      return Unusable(
          "certificate", path,
          absl::StrCat("is not valid before ", absl::FormatTime(*from, absl::UTCTimeZone())));
    }
    if (now > *until) {
      return Unusable("certificate", path,
                      absl::StrCat("expired ", absl::FormatTime(*until, absl::UTCTimeZone())));
    }
    end = std::min(end, *until);
  }
  return end;
}

// Of a stranger's certificate: control characters and what is no UTF-8 are escaped.
std::string Shown(const ASN1_STRING* text) {
  return absl::Utf8SafeCHexEscape(
      absl::string_view(reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)),
                        static_cast<size_t>(ASN1_STRING_length(text))));
}

std::string SubjectOf(X509* certificate) {
  const BioOwner bio(BIO_new(BIO_s_mem()));
  X509_NAME_print_ex(bio.get(), X509_get_subject_name(certificate), 0,
                     XN_FLAG_RFC2253 & ~ASN1_STRFLGS_ESC_MSB);
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &data);
  if (size <= 0) return "";
  return absl::Utf8SafeCHexEscape(absl::string_view(data, static_cast<size_t>(size)));
}

// "" for a kind of name that nobody asks for.
std::string NameOf(const GENERAL_NAME* name) {
  int type = 0;
  const auto* text = static_cast<const ASN1_STRING*>(GENERAL_NAME_get0_value(name, &type));
  if (type == GEN_DNS) return absl::StrCat("DNS:", Shown(text));
  if (type == GEN_URI) return absl::StrCat("URI:", Shown(text));
  if (type == GEN_EMAIL) return absl::StrCat("email:", Shown(text));
  if (type != GEN_IPADD) return "";
  const int size = ASN1_STRING_length(text);
  if (size != 4 && size != 16) return "";
  std::array<char, INET6_ADDRSTRLEN> address{};
  inet_ntop(size == 4 ? AF_INET : AF_INET6, ASN1_STRING_get0_data(text), address.data(),
            address.size());
  return absl::StrCat("IP:", address.data());
}

}  // namespace

std::string TakeTlsError() {
  const unsigned long code = ERR_peek_last_error();
  const char* const reason = ERR_reason_error_string(code);
  std::string text = code == 0 ? "unknown error" : reason != nullptr ? reason : "";
  if (text.empty()) text = ERR_SYSTEM_ERROR(code) ? std::strerror(ERR_GET_REASON(code)) : "TLS";
  ERR_clear_error();
  return text;
}

absl::StatusOr<std::vector<X509Owner>> ReadCertificates(const char* what, const std::string& path,
                                                        size_t most) {
  const absl::StatusOr<std::string> text = ReadPem(what, path, /*secret=*/false);
  if (!text.ok()) return text.status();
  const BioOwner bio = BioOf(*text);
  std::vector<X509Owner> all;
  while (X509* const one = PEM_read_bio_X509(bio.get(), nullptr, &NoPassphrase, nullptr)) {
    all.emplace_back(one);
    if (all.size() > most) return Unusable(what, path, absl::StrCat("has more than ", most));
  }
  const bool at_end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
  const std::string error = TakeTlsError();
  if (!at_end) return Unusable(what, path, error);
  if (all.empty()) return Unusable(what, path, "has no certificate in PEM");
  return all;
}

absl::StatusOr<KeyOwner> ReadKey(const char* what, const std::string& path) {
  absl::StatusOr<std::string> text = ReadPem(what, path, /*secret=*/true);
  if (!text.ok()) return text.status();
  const BioOwner bio = BioOf(*text);
  KeyOwner key(PEM_read_bio_PrivateKey(bio.get(), nullptr, &NoPassphrase, nullptr));
  OPENSSL_cleanse(text->data(), text->size());
  const std::string error = key == nullptr ? TakeTlsError() : "";
  if (key == nullptr) {
    return Unusable(what, path, absl::StrCat("has no key without a passphrase in PEM, ", error));
  }
  return key;
}

absl::StatusOr<CertifiedKey> ReadCertifiedKey(const std::string& certificate,
                                              const std::string& key, absl::Time now) {
  CertifiedKey pair;
  auto chain = ReadCertificates("certificate", certificate, kMaxChain);
  if (!chain.ok()) return chain.status();
  pair.chain = *std::move(chain);
  auto secret = ReadKey("key", key);
  if (!secret.ok()) return secret.status();
  pair.key = *std::move(secret);
  const auto end = EndOf(pair.chain, certificate, now);
  if (!end.ok()) return end.status();
  pair.not_after = *end;
  if (X509_check_private_key(pair.chain.front().get(), pair.key.get()) != 1) {
    ERR_clear_error();
    return Unusable("key", key, absl::StrCat("is not the key of ", certificate));
  }
  return pair;
}

FileStamp StampOf(const std::string& path) {
  struct stat facts {};
  if (stat(path.c_str(), &facts) != 0) return {};
  return {static_cast<int64_t>(facts.st_dev),
          static_cast<int64_t>(facts.st_ino),
          facts.st_size,
          facts.st_mode,  // That others may read a key is mended without writing it.
          facts.st_mtim.tv_sec,
          facts.st_mtim.tv_nsec};
}

PeerCertificate FactsOf(X509* certificate) {
  PeerCertificate facts;
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int size = 0;
  if (X509_digest(certificate, EVP_sha256(), digest.data(), &size) == 1) {
    facts.sha256 = absl::BytesToHexString(
        absl::string_view(reinterpret_cast<const char*>(digest.data()), size));
  }
  facts.subject = SubjectOf(certificate);
  const NamesOwner names(static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)));
  const int count = names == nullptr ? 0 : sk_GENERAL_NAME_num(names.get());
  for (int i = 0; i < count && facts.names.size() < kMaxPeerNames; ++i) {
    std::string name = NameOf(sk_GENERAL_NAME_value(names.get(), i));
    if (!name.empty()) facts.names.push_back(std::move(name));
  }
  ERR_clear_error();
  return facts;
}

}  // namespace viaduct
