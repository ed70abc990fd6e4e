#include "core/lpr/dashboard_files.h"

#include <algorithm>
#include <filesystem>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/base/durable_file.h"
#include "core/base/sha256.h"
#include "core/base/status_macros.h"
#include "core/base/string_view.h"

namespace viaduct {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kPacked = ".gz";
constexpr size_t kTagBytes = 12;  // Of the digest.
constexpr size_t kMinDigestChars = 8;

struct Ending {
  std::string_view ending;
  std::string_view content_type;
};
constexpr Ending kEndings[] = {
    {".html", "text/html; charset=utf-8"},
    {".js", "text/javascript; charset=utf-8"},
    {".mjs", "text/javascript; charset=utf-8"},
    {".css", "text/css; charset=utf-8"},
    {".json", "application/json"},
    {".map", "application/json"},
    {".webmanifest", "application/manifest+json"},
    {".svg", "image/svg+xml"},
    {".png", "image/png"},
    {".jpg", "image/jpeg"},
    {".webp", "image/webp"},
    {".ico", "image/x-icon"},
    {".woff2", "font/woff2"},
    {".woff", "font/woff"},
    {".txt", "text/plain; charset=utf-8"},
};

absl::Status TooMuch(const std::string& folder) {
  return absl::ResourceExhaustedError(absl::StrCat(folder, ": more than ",
                                                   DashboardFiles::kMaxFiles, " files or ",
                                                   DashboardFiles::kMaxBytes, " octets"));
}

}  // namespace

std::string_view DashboardContentType(std::string_view path) {
  for (const Ending& known : kEndings) {
    if (absl::EndsWith(AbslView(path), AbslView(known.ending))) return known.content_type;
  }
  return "application/octet-stream";
}

// The last part of the name before its first ending, behind a hyphen.
bool HasDigestInName(std::string_view path) {
  const size_t slash = path.rfind('/');
  if (slash != std::string_view::npos) path.remove_prefix(slash + 1);
  path = path.substr(0, path.find('.'));
  const size_t hyphen = path.rfind('-');
  if (hyphen == std::string_view::npos) return false;
  const std::string_view digest = path.substr(hyphen + 1);
  if (digest.size() < kMinDigestChars) return false;
  const auto all = [digest](auto fits) { return std::all_of(digest.begin(), digest.end(), fits); };
  const bool has_digit = std::any_of(digest.begin(), digest.end(),
                                     [](unsigned char c) { return absl::ascii_isdigit(c); });
  const bool base32 =
      all([](unsigned char c) { return absl::ascii_isupper(c) || absl::ascii_isdigit(c); });
  const bool hex = all([](unsigned char c) { return absl::ascii_isxdigit(c); });
  return base32 || (hex && has_digit);
}

absl::Status DashboardFiles::Take(const std::string& folder, const std::string& path,
                                  size_t* bytes) {
  if (files_.size() >= kMaxFiles) return TooMuch(folder);
  absl::StatusOr<std::string> body = ReadWholeFile(path, kMaxBytes - *bytes);
  if (absl::IsResourceExhausted(body.status())) return TooMuch(folder);
  VD_RETURN_IF_ERROR(body.status());
  *bytes += body->size();
  DashboardFile file;
  file.tag = absl::BytesToHexString(AbslView(Sha256(*body)).substr(0, kTagBytes));
  file.body = *std::move(body);
  const std::string name = fs::path(path).lexically_relative(folder).generic_string();
  file.content_type = DashboardContentType(name);
  file.immutable = HasDigestInName(name);
  files_[name] = std::move(file);
  return absl::OkStatus();
}

// "main.js.gz" is main.js packed, and no file of its own.
void DashboardFiles::PairWithPacked() {
  std::vector<std::string> packed;
  for (const auto& [name, file] : files_) {
    if (absl::EndsWith(name, AbslView(kPacked))) packed.push_back(name);
  }
  for (const std::string& name : packed) {
    const auto whole = files_.find(name.substr(0, name.size() - kPacked.size()));
    if (whole == files_.end()) continue;
    const auto one = files_.find(name);
    whole->second.gzip = std::move(one->second.body);
    files_.erase(one);
  }
}

absl::StatusOr<std::unique_ptr<DashboardFiles>> DashboardFiles::Read(const std::string& folder) {
  std::unique_ptr<DashboardFiles> files(new DashboardFiles());
  std::error_code error;
  fs::recursive_directory_iterator entry(folder, error);
  if (error) return absl::NotFoundError(absl::StrCat(folder, ": ", error.message()));
  size_t bytes = 0;
  for (; entry != fs::recursive_directory_iterator(); entry.increment(error)) {
    if (error) return absl::UnavailableError(absl::StrCat(folder, ": ", error.message()));
    if (entry.depth() >= kMaxDepth) entry.disable_recursion_pending();
    const fs::file_status status = entry->symlink_status(error);
    if (error || !fs::is_regular_file(status)) continue;
    VD_RETURN_IF_ERROR(files->Take(folder, entry->path().string(), &bytes));
  }
  if (error) return absl::UnavailableError(absl::StrCat(folder, ": ", error.message()));
  files->PairWithPacked();
  if (files->Find(kFirstPage) == nullptr) {
    return absl::NotFoundError(absl::StrCat(folder, ": has no ", AbslView(kFirstPage)));
  }
  return files;
}

const DashboardFile* DashboardFiles::Find(std::string_view path) const {
  const auto found = files_.find(AbslView(path));
  return found == files_.end() ? nullptr : &found->second;
}

}  // namespace viaduct
