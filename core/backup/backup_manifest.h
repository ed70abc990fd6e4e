// What is in a backup: `manifest.json`, written last, and `SHA256SUMS`, a line for each file in the
// order of PathLess, as sha256sum writes and checks it. See docs/OPERATIONS.md.
#pragma once

#include <cstdint>
#include <cstdio>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "core/backup/pace.h"

namespace viaduct::backup {

inline constexpr char kManifestName[] = "manifest.json";
inline constexpr char kSumsName[] = "SHA256SUMS";
inline constexpr char kUnfinished[] = ".unfinished";  // Ends the name of one that is being made.
inline constexpr int kManifestFormat = 1;
inline constexpr size_t kMaxManifestBytes = 4u << 20;

// Where a file or folder of the backup was, and belongs.
struct BackupPlace {
  std::string from;  // Below the backup.
  std::string to;    // Below data_dir, or absolute where it lay elsewhere.
};

struct BackupManifest {
  int format = kManifestFormat;
  std::string name;
  std::string node_id;
  std::string version;  // Of the program that made it.
  absl::Time began;
  absl::Time ended;
  std::string based_on;  // The backup whose files it shares, "" where there was none.
  std::string database;  // "sqlite", "postgresql" or "".
  std::vector<BackupPlace> places;
  // By SQLite file of the backup and table.
  std::map<std::string, std::map<std::string, uint64_t>> rows;
  uint64_t files = 0;
  uint64_t bytes = 0;
  uint64_t shared_files = 0;    // With the backup before.
  uint64_t missing_images = 0;  // Rows name them, and they are not on this node.
  bool secrets = false;         // They are in it, encrypted.
  std::string secrets_key;      // Id of the key.
  std::string secrets_note;     // What was left out where they are not.
  std::string sums_sha256;      // Of SHA256SUMS.
};

std::string WriteManifest(const BackupManifest& manifest);
// INVALID_ARGUMENT: not a manifest, or of a newer program. DATA_LOSS: changed since it was written.
absl::StatusOr<BackupManifest> ReadManifest(std::string_view text);
// NOT_FOUND: there is none, so the backup was never finished.
absl::StatusOr<BackupManifest> LoadManifest(const std::string& folder);

struct SumLine {
  std::string sha256;
  std::string name;
};

// Reads SHA256SUMS a line at a time. Thread-compatible.
class SumsReader {
 public:
  static absl::StatusOr<std::unique_ptr<SumsReader>> Open(const std::string& path);
  // None at the end. DATA_LOSS: not such a line.
  absl::StatusOr<std::optional<SumLine>> Next();

 private:
  struct Closer {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  explicit SumsReader(std::string path, std::FILE* file) : path_(std::move(path)), file_(file) {}
  const std::string path_;
  const std::unique_ptr<std::FILE, Closer> file_;
};

}  // namespace viaduct::backup
