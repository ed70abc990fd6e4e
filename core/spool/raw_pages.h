// Reads the pages of a spool file and its log without SQLite, so that damage anywhere hides only
// what it hit. File formats: sqlite.org/fileformat2.html. Internal to core/spool.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/types/span.h"
#include "core/spool/spool_database.h"
#include "core/spool/spool_format.h"

namespace viaduct::spool_internal {

// Takes what a leaf page holds. Rows given have passed their checksum.
struct RowVisitor {
  std::function<void(SpoolRow)> on_row;
  std::function<void(DeadRow)> on_dead;
  std::function<void(int64_t key, AttemptRecord)> on_attempt;
  std::function<void(const SpoolState&)> on_state;
  std::function<void()> on_damaged;  // Looked like a message, failed its checksum.
};

// Thread-compatible.
class RawPages {
 public:
  // Files that cannot be opened or are cut short have no pages.
  RawPages(const std::string& database_path, const std::string& log_path);
  ~RawPages();
  RawPages(const RawPages&) = delete;
  RawPages& operator=(const RawPages&) = delete;

  // True when the log goes on after the part that SQLite would take: a torn end after a power loss,
  // or damage inside. Either way intact rows may be there.
  bool log_has_tail() const { return frames_.size() > committed_frames_ || bad_log_header_; }
  bool bad_log_header() const { return bad_log_header_; }

  // Visits all rows that the database and the committed part of the log show together.
  void VisitCommitted(const RowVisitor& visitor);
  // Visits the rows in the rest of the log.
  void VisitTail(const RowVisitor& visitor);

 private:
  struct Frame {
    uint32_t page = 0;
    int64_t offset = 0;  // Of the page's content in the log.
  };
  using Page = std::vector<unsigned char>;

  void ScanLog();
  void ReadFrames(uint32_t salt1, uint32_t salt2, bool big_endian, bool chain_intact,
                  uint32_t sum[2]);
  void FindFreePages();
  bool ReadAt(int fd, int64_t offset, unsigned char* out, size_t size) const;
  bool ReadPage(uint32_t number, bool with_tail, Page* page) const;
  void VisitLeaf(const Page& page, bool with_tail, const RowVisitor& visitor) const;
  bool ReadPayload(const Page& page, size_t at, uint64_t size, bool with_tail,
                   std::string* payload) const;

  int database_ = -1;
  int log_ = -1;
  uint32_t pages_ = 0;
  std::vector<Frame> frames_;
  size_t committed_frames_ = 0;
  bool bad_log_header_ = false;
  absl::flat_hash_map<uint32_t, size_t> latest_committed_;  // Page to its newest frame.
  absl::flat_hash_map<uint32_t, size_t> latest_tail_;
  absl::flat_hash_set<uint32_t> free_pages_;
};

}  // namespace viaduct::spool_internal
