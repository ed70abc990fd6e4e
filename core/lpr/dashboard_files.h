// The pages of the dashboard, as they were built.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"

namespace viaduct {

struct DashboardFile {
  std::string body;
  std::string gzip;  // The same packed; "" where there is no such file.
  std::string_view content_type;
  std::string tag;         // For the field "etag", without quotes.
  bool immutable = false;  // Its name has a digest of what is in it.
};

// All files of a folder, read once: whoever asks for one gets no further than this list, whatever
// its path says. Thread-safe: it does not change.
class DashboardFiles {
 public:
  static constexpr size_t kMaxFiles = 1'000;
  static constexpr size_t kMaxBytes = 32u << 20;  // Of all.
  static constexpr int kMaxDepth = 8;
  static constexpr std::string_view kFirstPage = "index.html";

  // NOT_FOUND: no such folder, or no kFirstPage in it. Symbolic links in it are passed over.
  static absl::StatusOr<std::unique_ptr<DashboardFiles>> Read(const std::string& folder);

  // By its path below the folder. Null: there is none.
  const DashboardFile* Find(std::string_view path) const;
  size_t size() const { return files_.size(); }

 private:
  DashboardFiles() = default;
  absl::Status Take(const std::string& folder, const std::string& path, size_t* bytes);
  void PairWithPacked();

  absl::flat_hash_map<std::string, DashboardFile> files_;
};

// By the ending of a name.
std::string_view DashboardContentType(std::string_view path);
// "main-4YGZ5QNS.js", "style-0f3a9c1d.css": as bundlers write digests.
bool HasDigestInName(std::string_view path);

}  // namespace viaduct
