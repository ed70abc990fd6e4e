// Room, inodes and the time of a sync, where the node keeps things.
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <set>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "core/base/descriptor.h"
#include "core/config/backup_options.h"
#include "core/config/transfer_options.h"
#include "host/doctor/diagnosis.h"

namespace viaduct::doctor {
namespace {

constexpr double kFewShare = 0.10;  // Free, of room or inodes: worth a word.
constexpr double kNoShare = 0.02;
constexpr uint64_t kNoBytes = 256u << 20;
constexpr int kSyncs = 20;
constexpr int64_t kSlowSyncUs = 50'000;  // Each group of messages waits for one.

// The folder itself, or the nearest one above it that is there.
std::string Existing(std::string path) {
  struct stat info {};
  while (path.size() > 1 && stat(path.c_str(), &info) != 0) {
    const size_t slash = path.rfind('/');
    path = slash == 0 || slash == std::string::npos ? "/" : path.substr(0, slash);
  }
  return path;
}

void CheckRoom(const std::string& path, uint64_t wanted, Diagnoses* out) {
  struct statvfs info {};
  if (statvfs(path.c_str(), &info) != 0) {
    return out->Fail(path, absl::StrCat("cannot be looked at, ", std::strerror(errno)),
                     "mount the disk");
  }
  if ((info.f_flag & ST_RDONLY) != 0) {
    return out->Fail(path, "is on a disk that is read-only", "mount it for writing; look at dmesg");
  }
  const double free_bytes = static_cast<double>(info.f_bavail) * static_cast<double>(info.f_frsize);
  const double share =
      info.f_blocks == 0 ? 1
                         : static_cast<double>(info.f_bavail) / static_cast<double>(info.f_blocks);
  const std::string found =
      absl::StrFormat("%.1f GiB free, %.0f %%", free_bytes / (1 << 30), share * 100);
  const double least = static_cast<double>(std::max(wanted, kNoBytes));
  if (free_bytes < least || share < kNoShare) {
    out->Fail(path, found,
              "make room: privacy.retention, viaductctl backup prune, a larger disk; new messages "
              "are refused once it is full");
  } else if (share < kFewShare) {
    out->Warn(path, found, "make room soon: privacy.retention, viaductctl backup prune");
  } else {
    out->Ok(path, found);
  }
  if (info.f_files == 0) return;  // A file system that makes them as they are wanted.
  const double inodes = static_cast<double>(info.f_favail) / static_cast<double>(info.f_files);
  if (inodes >= kFewShare) return;
  out->Fail(path, absl::StrFormat("%.0f %% of the inodes are free", inodes * 100),
            "remove small files (images), or make a file system with more inodes");
}

// As the spool does it: some octets, and a sync.
void CheckSync(const std::string& folder, const Clock& clock, Diagnoses* out) {
  std::string path = folder + "/.doctor-XXXXXX";
  const Descriptor file(mkostemp(path.data(), O_CLOEXEC));
  if (file.get() < 0) {
    return out->Fail(folder, absl::StrCat("cannot be written, ", std::strerror(errno)),
                     "give it to the node's user, make room");
  }
  unlink(path.c_str());
  const std::string octets(4096, 'x');
  int64_t worst_us = 0;
  const int64_t begin = clock.MonotonicNanos();
  for (int i = 0; i < kSyncs; ++i) {
    const int64_t before = clock.MonotonicNanos();
    if (write(file.get(), octets.data(), octets.size()) < 0 || fdatasync(file.get()) != 0) {
      return out->Fail(folder, absl::StrCat("cannot be synced, ", std::strerror(errno)),
                       "look at the disk: dmesg, smartctl");
    }
    worst_us = std::max(worst_us, (clock.MonotonicNanos() - before) / 1000);
  }
  const int64_t mean_us = (clock.MonotonicNanos() - begin) / 1000 / kSyncs;
  const std::string found =
      absl::StrFormat("a sync takes %.1f ms, at most %.1f ms", static_cast<double>(mean_us) / 1000,
                      static_cast<double>(worst_us) / 1000);
  if (mean_us < kSlowSyncUs) return out->Ok(folder, found);
  out->Warn(folder, found,
            "each message waits for one: use a better disk, or end what else writes");
}

}  // namespace

void CheckDisks(const Patient& patient, Diagnoses* out) {
  out->BeginArea("disk");
  const NodeConfig& config = *patient.config;
  const std::string data_dir = Existing(config.node.data_dir);
  std::set<std::string> folders = {data_dir};
  const auto folder_of = [](const std::string& file) {
    return Existing(file.substr(0, file.rfind('/')));
  };
  if (config.node.sink_uplink) folders.insert(folder_of(config.spool.path));
  if (config.node.sink_uplink) folders.insert(Existing(ReadTransferOptions(config).folder));
  if (config.node.sink_store) folders.insert(Existing(config.store.images));
  if (config.node.sink_store && !config.store.postgresql.has_value()) {
    folders.insert(folder_of(config.store.sqlite_path));
  }
  if (const auto backup = ReadBackupOptions(config)) folders.insert(Existing(backup->path));
  std::set<dev_t> disks;  // Each once.
  for (const std::string& folder : folders) {
    struct stat info {};
    if (stat(folder.c_str(), &info) == 0 && !disks.insert(info.st_dev).second) continue;
    CheckRoom(folder, config.node.sink_uplink ? config.spool.min_free_bytes : 0, out);
  }
  CheckSync(data_dir, *patient.clock, out);
}

}  // namespace viaduct::doctor
