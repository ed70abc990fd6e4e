#include "core/backup/backup_manifest.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <nlohmann/json.hpp>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/backup/backup_files.h"
#include "core/base/durable_file.h"
#include "core/base/sha256.h"
#include "core/base/status_macros.h"
#include "core/base/string_view.h"

namespace viaduct::backup {
namespace {

using nlohmann::json;

constexpr size_t kDigestDigits = 64;
constexpr char kOwnDigest[] = "sha256";  // Of the manifest without it.

bool IsDigest(std::string_view text) {
  return text.size() == kDigestDigits &&
         text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

std::string TimeText(absl::Time time) {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", time, absl::UTCTimeZone());
}

absl::Time TimeOf(const std::string& text) {
  absl::Time time;
  std::string error;
  return absl::ParseTime(absl::RFC3339_full, text, &time, &error) ? time : absl::UnixEpoch();
}

std::string TextOf(const json& document) {
  return document.dump(2, ' ', false, json::error_handler_t::replace) + "\n";
}

std::string DigestOf(json document) {
  document.erase(kOwnDigest);
  return HexSha256(TextOf(document));
}

bool IsGoodPlace(const BackupPlace& place) {
  const std::string_view to = place.to;
  return IsSafeName(place.from) &&
         IsSafeName(!to.empty() && to[0] == '/' ? to.substr(1) : std::string_view(to));
}

// Throws what nlohmann_json throws for members that are missing or of another type.
BackupManifest FromJson(const json& document) {
  BackupManifest manifest;
  manifest.format = document.at("format").get<int>();
  manifest.name = document.at("name").get<std::string>();
  manifest.node_id = document.at("node_id").get<std::string>();
  manifest.version = document.at("version").get<std::string>();
  manifest.began = TimeOf(document.at("began").get<std::string>());
  manifest.ended = TimeOf(document.at("ended").get<std::string>());
  manifest.based_on = document.at("based_on").get<std::string>();
  manifest.database = document.at("database").get<std::string>();
  for (const json& place : document.at("places")) {
    manifest.places.push_back(
        {place.at("from").get<std::string>(), place.at("to").get<std::string>()});
  }
  manifest.rows = document.at("rows").get<decltype(manifest.rows)>();
  manifest.files = document.at("files").get<uint64_t>();
  manifest.bytes = document.at("bytes").get<uint64_t>();
  manifest.shared_files = document.at("shared_files").get<uint64_t>();
  manifest.missing_images = document.at("missing_images").get<uint64_t>();
  manifest.secrets = document.at("secrets").get<bool>();
  manifest.secrets_key = document.at("secrets_key").get<std::string>();
  manifest.secrets_note = document.at("secrets_note").get<std::string>();
  manifest.sums_sha256 = document.at("sums_sha256").get<std::string>();
  return manifest;
}

}  // namespace

std::string WriteManifest(const BackupManifest& manifest) {
  json places = json::array();
  for (const BackupPlace& place : manifest.places) {
    places.push_back({{"from", place.from}, {"to", place.to}});
  }
  json document = {{"format", manifest.format},
                   {"name", manifest.name},
                   {"node_id", manifest.node_id},
                   {"version", manifest.version},
                   {"began", TimeText(manifest.began)},
                   {"ended", TimeText(manifest.ended)},
                   {"based_on", manifest.based_on},
                   {"database", manifest.database},
                   {"places", places},
                   {"rows", manifest.rows},
                   {"files", manifest.files},
                   {"bytes", manifest.bytes},
                   {"shared_files", manifest.shared_files},
                   {"missing_images", manifest.missing_images},
                   {"secrets", manifest.secrets},
                   {"secrets_key", manifest.secrets_key},
                   {"secrets_note", manifest.secrets_note},
                   {"sums_sha256", manifest.sums_sha256}};
  document[kOwnDigest] = DigestOf(document);
  return TextOf(document);
}

absl::StatusOr<BackupManifest> ReadManifest(std::string_view text) {
  try {
    const json document = json::parse(text);
    BackupManifest manifest = FromJson(document);
    if (manifest.format != kManifestFormat) {
      return absl::InvalidArgumentError(absl::StrCat("manifest: format ", manifest.format,
                                                     ", this program knows ", kManifestFormat));
    }
    // Octet by octet: blanks and spellings of JSON are not free.
    if (document.at(kOwnDigest) != DigestOf(document) || TextOf(document) != text) {
      return absl::DataLossError("manifest: changed, its digest is another one");
    }
    for (const BackupPlace& place : manifest.places) {
      if (!IsGoodPlace(place)) return absl::InvalidArgumentError("manifest: a place is no path");
    }
    if (!IsDigest(manifest.sums_sha256)) {
      return absl::InvalidArgumentError("manifest: sums_sha256 is no digest");
    }
    return manifest;
  } catch (const json::exception& error) {
    return absl::InvalidArgumentError(absl::StrCat("manifest: not one, ", error.what()));
  }
}

absl::StatusOr<BackupManifest> LoadManifest(const std::string& folder) {
  const std::string path = absl::StrCat(folder, "/", kManifestName);
  // It was never given its name: what is in it may not be durable.
  if (absl::EndsWith(folder.substr(0, folder.find_last_not_of('/') + 1), kUnfinished)) {
    return absl::NotFoundError(absl::StrCat(folder, ": not finished"));
  }
  VD_ASSIGN_OR_RETURN(const std::string text, ReadWholeFile(path, kMaxManifestBytes));
  absl::StatusOr<BackupManifest> manifest = ReadManifest(text);
  if (manifest.ok()) return manifest;
  return absl::Status(manifest.status().code(),
                      absl::StrCat(path, ": ", manifest.status().message()));
}

absl::StatusOr<std::unique_ptr<SumsReader>> SumsReader::Open(const std::string& path) {
  const int descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (descriptor < 0) return FileFailure(path, "open");
  std::FILE* file = fdopen(descriptor, "r");
  if (file == nullptr) {
    close(descriptor);
    return FileFailure(path, "open");
  }
  return std::unique_ptr<SumsReader>(new SumsReader(path, file));
}

absl::StatusOr<std::optional<SumLine>> SumsReader::Next() {
  std::array<char, 4352> line;  // A digest, two blanks, a name of IsSafeName.
  if (std::fgets(line.data(), line.size(), file_.get()) == nullptr) {
    if (std::ferror(file_.get()) != 0) return FileFailure(path_, "read");
    return std::optional<SumLine>();
  }
  std::string_view text(line.data());
  const bool whole = !text.empty() && text.back() == '\n';
  if (whole) text.remove_suffix(1);
  const bool good =
      whole && text.size() > kDigestDigits + 2 && IsDigest(text.substr(0, kDigestDigits)) &&
      text.substr(kDigestDigits, 2) == "  " && IsSafeName(text.substr(kDigestDigits + 2));
  if (!good) return absl::DataLossError(absl::StrCat(path_, ": a line is none of sha256sum"));
  return std::optional<SumLine>(SumLine{std::string(text.substr(0, kDigestDigits)),
                                        std::string(text.substr(kDigestDigits + 2))});
}

}  // namespace viaduct::backup
