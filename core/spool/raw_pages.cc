#include "core/spool/raw_pages.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "core/spool/raw_record.h"

namespace viaduct::spool_internal {
namespace {

constexpr size_t kPage = kPageBytes;
constexpr int64_t kLogHeaderBytes = 32;
constexpr int64_t kFrameHeaderBytes = 24;
constexpr uint32_t kLogMagic = 0x377f0682;       // Last bit: checksums over big-endian words.
constexpr uint64_t kMaxPayloadBytes = 64 << 20;  // Above the largest envelope.
constexpr unsigned char kLeafTablePage = 0x0d;

uint32_t Big32(const unsigned char* data) {
  return uint32_t{data[0]} << 24 | uint32_t{data[1]} << 16 | uint32_t{data[2]} << 8 | data[3];
}
uint32_t Little32(const unsigned char* data) {
  return uint32_t{data[3]} << 24 | uint32_t{data[2]} << 16 | uint32_t{data[1]} << 8 | data[0];
}
size_t Big16(const unsigned char* data) { return size_t{data[0]} << 8 | data[1]; }

// The log's running checksum over an even number of words.
void AddToSum(const unsigned char* data, size_t size, bool big_endian, uint32_t sum[2]) {
  for (size_t i = 0; i + 8 <= size; i += 8) {
    sum[0] += (big_endian ? Big32(data + i) : Little32(data + i)) + sum[1];
    sum[1] += (big_endian ? Big32(data + i + 4) : Little32(data + i + 4)) + sum[0];
  }
}

// How much of a payload of `size` bytes is on the leaf page itself.
size_t LocalBytes(uint64_t size) {
  constexpr uint64_t kMax = kPage - 35;
  constexpr uint64_t kMin = (kPage - 12) * 32 / 255 - 23;
  if (size <= kMax) return static_cast<size_t>(size);
  const uint64_t fit = kMin + (size - kMin) % (kPage - 4);
  return static_cast<size_t>(fit <= kMax ? fit : kMin);
}

}  // namespace

RawPages::RawPages(const std::string& database_path, const std::string& log_path)
    : database_(open(database_path.c_str(), O_RDONLY | O_CLOEXEC)),
      log_(open(log_path.c_str(), O_RDONLY | O_CLOEXEC)) {
  struct stat info {};
  if (database_ >= 0 && fstat(database_, &info) == 0) {
    pages_ = static_cast<uint32_t>(info.st_size / kPageBytes);
  }
  ScanLog();
  FindFreePages();
}

RawPages::~RawPages() {
  if (database_ >= 0) close(database_);
  if (log_ >= 0) close(log_);
}

bool RawPages::ReadAt(int fd, int64_t offset, unsigned char* out, size_t size) const {
  while (size > 0) {
    const ssize_t got = pread(fd, out, size, offset);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return false;
    out += got;
    offset += got;
    size -= static_cast<size_t>(got);
  }
  return true;
}

void RawPages::ScanLog() {
  unsigned char header[kLogHeaderBytes];
  if (log_ < 0 || !ReadAt(log_, 0, header, sizeof(header))) return;
  const uint32_t magic = Big32(header);
  const bool big_endian = magic == (kLogMagic | 1);
  uint32_t sum[2] = {0, 0};
  AddToSum(header, 24, big_endian, sum);
  const bool intact = (magic & ~1u) == kLogMagic && Big32(header + 8) == kPage &&
                      sum[0] == Big32(header + 24) && sum[1] == Big32(header + 28);
  if (intact) {
    ReadFrames(Big32(header + 16), Big32(header + 20), big_endian, true, sum);
    return;
  }
  unsigned char frame[kFrameHeaderBytes];
  if (!ReadAt(log_, kLogHeaderBytes, frame, sizeof(frame))) return;
  // A log of zeros has been made but never written.
  bad_log_header_ =
      std::any_of(frame, frame + sizeof(frame), [](unsigned char c) { return c != 0; });
  if (bad_log_header_) ReadFrames(Big32(frame + 8), Big32(frame + 12), false, false, sum);
}

void RawPages::ReadFrames(uint32_t salt1, uint32_t salt2, bool big_endian, bool chain_intact,
                          uint32_t sum[2]) {
  unsigned char header[kFrameHeaderBytes];
  Page content(kPage);
  for (int64_t at = kLogHeaderBytes; ReadAt(log_, at, header, sizeof(header)) &&
                                     ReadAt(log_, at + kFrameHeaderBytes, content.data(), kPage);
       at += kFrameHeaderBytes + kPageBytes) {
    const bool salt_fits = Big32(header + 8) == salt1 && Big32(header + 12) == salt2;
    if (chain_intact) {
      AddToSum(header, 8, big_endian, sum);
      AddToSum(content.data(), kPage, big_endian, sum);
      chain_intact = salt_fits && sum[0] == Big32(header + 16) && sum[1] == Big32(header + 20);
    }
    // One salt is enough behind a break: the other may be what was hit. Frames of an earlier round
    // through the log have neither.
    const bool ours = salt_fits || Big32(header + 8) == salt1 || Big32(header + 12) == salt2;
    if (!chain_intact && !ours) continue;
    frames_.push_back(Frame{Big32(header), at + kFrameHeaderBytes});
    if (chain_intact && Big32(header + 4) != 0) committed_frames_ = frames_.size();
  }
  for (size_t i = 0; i < frames_.size(); ++i) {
    (i < committed_frames_ ? latest_committed_ : latest_tail_)[frames_[i].page] = i;
    if (i < committed_frames_) pages_ = std::max(pages_, frames_[i].page);
  }
}

void RawPages::FindFreePages() {
  Page page;
  if (!ReadPage(1, false, &page)) return;
  uint32_t trunk = Big32(page.data() + 32);
  const uint32_t count = Big32(page.data() + 36);
  absl::flat_hash_set<uint32_t> found;
  while (trunk != 0 && found.size() < count && found.insert(trunk).second) {
    if (!ReadPage(trunk, false, &page)) return;
    const size_t leaves = std::min<size_t>(Big32(page.data() + 4), kPage / 4 - 2);
    for (size_t i = 0; i < leaves; ++i) found.insert(Big32(page.data() + 8 + 4 * i));
    trunk = Big32(page.data());
  }
  // A list that does not add up is damaged, and what it names may be live.
  if (trunk == 0 && found.size() == count) free_pages_ = std::move(found);
}

bool RawPages::ReadPage(uint32_t number, bool with_tail, Page* page) const {
  page->resize(kPage);
  if (number == 0) return false;
  if (with_tail) {
    const auto tail = latest_tail_.find(number);
    if (tail != latest_tail_.end()) {
      return ReadAt(log_, frames_[tail->second].offset, page->data(), kPage);
    }
  }
  const auto committed = latest_committed_.find(number);
  if (committed != latest_committed_.end()) {
    return ReadAt(log_, frames_[committed->second].offset, page->data(), kPage);
  }
  return database_ >= 0 && ReadAt(database_, int64_t{number - 1} * kPageBytes, page->data(), kPage);
}

void RawPages::VisitCommitted(const RowVisitor& visitor) {
  Page page;
  for (uint32_t number = 2; number <= pages_ && number != 0; ++number) {
    if (free_pages_.contains(number)) continue;
    if (ReadPage(number, false, &page)) VisitLeaf(page, false, visitor);
  }
}

void RawPages::VisitTail(const RowVisitor& visitor) {
  Page page(kPage);
  for (size_t i = committed_frames_; i < frames_.size(); ++i) {
    if (frames_[i].page == 1 || !ReadAt(log_, frames_[i].offset, page.data(), kPage)) continue;
    VisitLeaf(page, true, visitor);
  }
}

void RawPages::VisitLeaf(const Page& page, bool with_tail, const RowVisitor& visitor) const {
  if (page[0] != kLeafTablePage) return;
  const size_t cells = std::min(Big16(page.data() + 3), (kPage - 8) / 2);
  for (size_t i = 0; i < cells; ++i) {
    size_t at = Big16(page.data() + 8 + 2 * i);
    uint64_t size = 0;
    uint64_t rowid = 0;
    std::string payload;
    if (at < 8 || !ReadVarint(page.data(), kPage, &at, &size) ||
        !ReadVarint(page.data(), kPage, &at, &rowid) ||
        !ReadPayload(page, at, size, with_tail, &payload)) {
      visitor.on_damaged();
      continue;
    }
    VisitRecord(static_cast<int64_t>(rowid), payload, visitor);
  }
}

bool RawPages::ReadPayload(const Page& page, size_t at, uint64_t size, bool with_tail,
                           std::string* payload) const {
  if (size > kMaxPayloadBytes) return false;
  const size_t local = LocalBytes(size);
  const bool overflows = local < size;
  if (at + local + (overflows ? 4 : 0) > kPage) return false;
  payload->assign(reinterpret_cast<const char*>(page.data()) + at, local);
  uint32_t next = overflows ? Big32(page.data() + at + local) : 0;
  Page chain;
  while (payload->size() < size) {  // Each round adds bytes or leaves: a loop in the chain ends.
    if (next == 0 || !ReadPage(next, with_tail, &chain)) return false;
    const size_t take = static_cast<size_t>(std::min<uint64_t>(size - payload->size(), kPage - 4));
    payload->append(reinterpret_cast<const char*>(chain.data()) + 4, take);
    next = Big32(chain.data());
  }
  return true;
}

}  // namespace viaduct::spool_internal
