// The files of a road's TLS: whether they have changed since they were read, so that a renewed
// certificate is shown from the next connection on.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "plugins/common/tls_files.h"
#include "plugins/common/tls_options.h"

namespace viaduct {

// Thread-compatible.
class RoadFiles {
 public:
  static constexpr int64_t kLookIntervalNs = 2'000'000'000;

  explicit RoadFiles(const TlsRoadOptions& options)
      : paths_({options.ca_file, options.certificate, options.key}), stamps_(Stamp()) {}

  // Since it was made or adopted. Looks every now and then only.
  bool Changed(int64_t now_ns) {
    if (now_ns < next_look_ns_) return false;
    next_look_ns_ = now_ns + kLookIntervalNs;
    seen_ = Stamp();
    return seen_ != stamps_;
  }
  // What was seen to be changed is in use now. Without, the next look says it again: files are
  // written one after the other, and a certificate without its key is none.
  void Adopt() { stamps_ = seen_; }

 private:
  std::vector<FileStamp> Stamp() const {
    std::vector<FileStamp> stamps;
    for (const std::string& path : paths_) {
      if (!path.empty()) stamps.push_back(StampOf(path));
    }
    return stamps;
  }

  const std::vector<std::string> paths_;
  std::vector<FileStamp> stamps_;
  std::vector<FileStamp> seen_;
  int64_t next_look_ns_ = 0;
};

}  // namespace viaduct
