#include "host/node/control_certificates.h"

#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "core/base/status_macros.h"

namespace viaduct {
namespace {

constexpr mode_t kOthers = 077;  // May do nothing with a key.

absl::Status Unusable(const char* what, const std::string& path, const std::string& why) {
  return absl::FailedPreconditionError(absl::StrCat("control.tcp.", what, ": ", path, ", ", why));
}

absl::StatusOr<std::string> ReadPem(const std::string& path, const char* what, size_t most) {
  struct stat facts {};
  if (stat(path.c_str(), &facts) != 0) return Unusable(what, path, std::strerror(errno));
  if (!S_ISREG(facts.st_mode)) return Unusable(what, path, "is no file");
  if (static_cast<size_t>(facts.st_size) > most) {
    return Unusable(what, path, absl::StrCat("is larger than ", most, " bytes"));
  }
  std::ifstream file(path, std::ios::binary);
  std::string text(std::istreambuf_iterator<char>(file), {});
  if (!file || text.empty()) return Unusable(what, path, "cannot be read or is empty");
  return text;
}

absl::Status CheckMode(const std::string& path) {
  struct stat facts {};
  if (stat(path.c_str(), &facts) != 0) return Unusable("key", path, std::strerror(errno));
  if ((facts.st_mode & kOthers) == 0) return absl::OkStatus();
  return Unusable("key", path,
                  absl::StrFormat("others may read it (mode %04o), a key wants mode 0600",
                                  facts.st_mode & 07777));
}

// Empty: it is not there.
std::vector<int64_t> StampOf(const std::string& path) {
  struct stat facts {};
  if (stat(path.c_str(), &facts) != 0) return {};
  return {static_cast<int64_t>(facts.st_dev),
          static_cast<int64_t>(facts.st_ino),
          facts.st_size,
          facts.st_mode,
          facts.st_mtim.tv_sec,
          facts.st_mtim.tv_nsec};
}

}  // namespace

absl::StatusOr<std::unique_ptr<ControlCertificates>> ControlCertificates::Load(
    ControlTcpOptions options) {
  // make_unique has no way to the constructor.
  std::unique_ptr<ControlCertificates> made(new ControlCertificates(std::move(options)));
  VD_RETURN_IF_ERROR(made->Read(absl::InfinitePast(), /*at_start=*/true));
  return made;
}

absl::Status ControlCertificates::Read(absl::Time now, bool at_start) {
  // Before they are read: what is written meanwhile is seen at the next look.
  Stamps stamps = Stamp();
  security::ListenerPem pem;
  VD_RETURN_IF_ERROR(CheckMode(options_.key));
  VD_ASSIGN_OR_RETURN(pem.certificate,
                      ReadPem(options_.certificate, "certificate", security::kMaxPemBytes));
  VD_ASSIGN_OR_RETURN(pem.key, ReadPem(options_.key, "key", security::kMaxPemBytes));
  VD_ASSIGN_OR_RETURN(pem.client_ca,
                      ReadPem(options_.client_ca, "client_ca", security::kMaxAuthoritiesBytes));
  const auto facts = security::CheckListenerPem(pem);
  if (!facts.ok()) {
    return absl::FailedPreconditionError(absl::StrCat("control.tcp: ", facts.status().message()));
  }
  if (!at_start && (now < facts->not_before || now > facts->not_after)) {
    return Unusable("certificate", options_.certificate, "is not valid now");
  }
  absl::MutexLock lock(&mutex_);
  pem_ = std::move(pem);
  is_new_ = true;
  not_after_ = facts->not_after;
  stamps_ = std::move(stamps);
  kept_out_.clear();
  return absl::OkStatus();
}

ControlCertificates::Stamps ControlCertificates::Stamp() const {
  return {StampOf(options_.certificate), StampOf(options_.key), StampOf(options_.client_ca)};
}

void ControlCertificates::Look(absl::Time now) {
  const Stamps stamps = Stamp();
  {
    absl::MutexLock lock(&mutex_);
    if (kept_out_.empty() && stamps == stamps_) return;
  }
  // What was kept out is read again even with the same stamps: clocks of files are coarse.
  const absl::Status status = Read(now, /*at_start=*/false);
  if (status.ok()) return;
  absl::MutexLock lock(&mutex_);
  kept_out_ = std::string(status.message());
}

std::optional<security::ListenerPem> ControlCertificates::TakeNew() {
  absl::MutexLock lock(&mutex_);
  if (!std::exchange(is_new_, false)) return std::nullopt;
  return pem_;
}

absl::Time ControlCertificates::not_after() const {
  absl::MutexLock lock(&mutex_);
  return not_after_;
}

std::string ControlCertificates::Problem(absl::Time now) const {
  absl::MutexLock lock(&mutex_);
  std::string problem;
  if (now >= not_after_ - kWarnBefore) {
    problem = absl::StrCat("certificate: ", now >= not_after_ ? "expired " : "expires ",
                           absl::FormatTime(not_after_, absl::UTCTimeZone()));
  }
  if (kept_out_.empty()) return problem;
  return absl::StrCat("new certificate not taken, ", kept_out_, problem.empty() ? "" : "; ",
                      problem);
}

}  // namespace viaduct
