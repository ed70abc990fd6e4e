#include "core/store/image_folder.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

#include "absl/memory/memory.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "core/base/crash_point.h"
#include "core/base/disk_files.h"
#include "core/base/sha256.h"
#include "core/base/status_macros.h"
#include "core/base/string_view.h"
#include "core/store/image_paths.h"

namespace viaduct {

using image_paths::DiskError;
using image_paths::IsImagePath;
using image_paths::IsPlain;
using image_paths::kMaxNameBytes;
using image_paths::kMaxPathBytes;
using image_paths::SyncFolder;

namespace {

constexpr size_t kKeptNameBytes = 72;  // Of a name that is too long, before its digest.
constexpr size_t kDigestBytes = 8;
constexpr const char* kIncoming = ".incoming";
constexpr std::string_view kTransfers = "files";  // In the place of the checkpoint.
constexpr absl::string_view kIntent = ".intent";
constexpr absl::string_view kTemporary = ".tmp";
constexpr absl::string_view kExtensions[] = {".jpg", ".png", ".webp"};

absl::Status WriteSynced(const std::string& path, std::string_view bytes) {
  const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
  if (fd < 0) return DiskError("cannot create", path);
  absl::Status status;
  while (status.ok() && !bytes.empty()) {
    const ssize_t written = write(fd, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) status = DiskError("cannot write", path);
    if (written > 0) bytes.remove_prefix(static_cast<size_t>(written));
  }
  if (status.ok() && fdatasync(fd) != 0) status = DiskError("cannot sync", path);
  close(fd);
  return status;
}

std::string PlateName(std::string_view id, size_t n, absl::string_view extension) {
  return absl::StrCat("plate_", AbslView(id), "_", n, extension);
}

std::string DetectionName(std::string_view id, absl::string_view extension) {
  return absl::StrCat("detection_", AbslView(id), extension);
}

std::string FolderOf(std::string_view camera_id, std::string_view checkpoint_id,
                     absl::Time captured_at) {
  return absl::StrCat(SafePathName(camera_id), "/", SafePathName(checkpoint_id), "/",
                      absl::FormatTime("%E4Y/%m/%d", captured_at, absl::UTCTimeZone()));
}

}  // namespace

std::string SafePathName(std::string_view text) {
  static constexpr char kDigits[] = "0123456789ABCDEF";
  if (text.empty()) return "=";
  std::string out;
  for (const char c : text) {
    if (IsPlain(c) && !(out.empty() && c == '.')) {
      out.push_back(c);
      continue;
    }
    const auto byte = static_cast<unsigned char>(c);
    out.push_back('=');
    out.push_back(kDigits[byte >> 4]);
    out.push_back(kDigits[byte & 15]);
  }
  if (out.size() <= kMaxNameBytes) return out;
  const std::string head = Sha256(text).substr(0, kDigestBytes);
  // "=h" is no escaped octet, so no short text gives the same name.
  return absl::StrCat(out.substr(0, kKeptNameBytes), "=h", absl::BytesToHexString(head));
}

std::string AnnotatedImagePath(std::string_view camera_id, std::string_view checkpoint_id,
                               absl::Time captured_at, const MessageKey& key,
                               std::string_view extension) {
  return absl::StrCat(FolderOf(camera_id, checkpoint_id, captured_at), "/",
                      DetectionName(FormatKey(key), AbslView(extension)));
}

std::string TransferImagePath(const ArrivedImage& image, std::string_view extension) {
  return absl::StrCat(FolderOf(image.device_id, kTransfers, image.captured_at), "/file_",
                      SafePathName(image.transfer_id), AbslView(extension));
}

ImageFolder::ImageFolder(ImageFolderOptions options, Log* log)
    : options_(std::move(options)), log_(log) {}

absl::StatusOr<std::unique_ptr<ImageFolder>> ImageFolder::Open(const ImageFolderOptions& options,
                                                               Log* log) {
  for (const std::string& path : {options.root, absl::StrCat(options.root, "/", kIncoming)}) {
    if (mkdir(path.c_str(), 0750) == 0 || errno == EEXIST) continue;
    return DiskError("cannot create", path);
  }
  return absl::WrapUnique(new ImageFolder(options, log));
}

std::string ImageFolder::Incoming(std::string_view name) const {
  return absl::StrCat(options_.root, "/", kIncoming, "/", AbslView(name));
}

std::string ImageFolder::IntentPath(std::string_view id) const {
  return absl::StrCat(Incoming(id), kIntent);
}

bool ImageFolder::IsKnown(const std::string& folder) {
  const absl::MutexLock lock(&mutex_);
  return known_folders_.contains(folder);
}

// `folder` is below the root. Every level is made durable in its parent, also one that is there:
// who made it may have crashed before it was synced.
absl::Status ImageFolder::EnsureFolder(const std::string& folder) {
  if (IsKnown(folder)) return absl::OkStatus();
  std::string parent = options_.root;
  std::string below;
  for (const absl::string_view part : absl::StrSplit(folder, '/')) {
    absl::StrAppend(&below, below.empty() ? "" : "/", part);
    const std::string path = absl::StrCat(options_.root, "/", below);
    if (mkdir(path.c_str(), 0750) != 0 && errno != EEXIST) return DiskError("cannot create", path);
    if (!IsKnown(below)) {
      VD_CRASH_POINT("store.image.folder");
      VD_RETURN_IF_ERROR(SyncFolder(parent));
      const absl::MutexLock lock(&mutex_);
      if (known_folders_.size() >= kMaxKnownFolders) known_folders_.clear();
      known_folders_.insert(below);
    }
    parent = path;
  }
  return absl::OkStatus();
}

absl::StatusOr<ImagePaths> ImageFolder::Write(const DetectionImages& images) {
  if (images.plates.size() > options_.max_plates) {
    return absl::InvalidArgumentError(absl::StrCat(
        "images: too many plates, ", images.plates.size(), ", limit ", options_.max_plates));
  }
  const std::string id = FormatKey(images.key);
  absl::StatusOr<ImagePaths> paths = Place(images, id);
  if (!paths.ok()) {
    for (size_t i = 0; i <= images.plates.size(); ++i) {
      unlink(Incoming(absl::StrCat(id, "_", i, kTemporary)).c_str());
    }
    unlink(IntentPath(id).c_str());
  }
  return paths;
}

absl::StatusOr<ImagePaths> ImageFolder::Place(const DetectionImages& images,
                                              const std::string& id) {
  const std::string folder = FolderOf(images.camera_id, images.checkpoint_id, images.captured_at);
  ImagePaths paths;
  std::vector<std::pair<std::string, std::string>> moves;  // Temporary file, path below the root.
  const auto write = [&](const Image& image, const std::string& name) -> absl::Status {
    const std::string temporary = Incoming(absl::StrCat(id, "_", moves.size(), kTemporary));
    moves.emplace_back(temporary, absl::StrCat(folder, "/", name));
    VD_CRASH_POINT("store.image.write");
    if (!options_.encrypt) return WriteSynced(temporary, image.bytes);
    VD_ASSIGN_OR_RETURN(const std::string sealed, AsStored(image.bytes, name));
    return WriteSynced(temporary, sealed);
  };
  if (images.annotated != nullptr) {
    const absl::string_view extension = AbslView(images.annotated->extension);
    VD_RETURN_IF_ERROR(write(*images.annotated, DetectionName(id, extension)));
    paths.annotated = moves.back().second;
  }
  paths.plates.resize(images.plates.size());
  for (size_t i = 0; i < images.plates.size(); ++i) {
    if (images.plates[i] == nullptr) continue;
    const absl::string_view extension = AbslView(images.plates[i]->extension);
    VD_RETURN_IF_ERROR(write(*images.plates[i], PlateName(id, i + 1, extension)));
    paths.plates[i] = moves.back().second;
  }
  if (moves.empty()) return paths;
  // Tells CleanUp after a crash where to look. A file system keeps the order of such changes, so
  // it needs no sync of its own.
  unlink(IntentPath(id).c_str());
  if (symlink(folder.c_str(), IntentPath(id).c_str()) != 0) {
    return DiskError("cannot create", IntentPath(id));
  }
  VD_CRASH_POINT("store.image.intent");
  VD_RETURN_IF_ERROR(EnsureFolder(folder));
  for (const auto& [temporary, path] : moves) {
    const std::string target = absl::StrCat(options_.root, "/", path);
    if (rename(temporary.c_str(), target.c_str()) == 0) continue;
    const absl::Status status = DiskError("cannot rename to", target);
    {
      const absl::MutexLock lock(&mutex_);
      known_folders_.erase(folder);
    }
    RemoveFiles(paths);
    return status;
  }
  VD_CRASH_POINT("store.image.renamed");
  const absl::Status synced = SyncFolder(absl::StrCat(options_.root, "/", folder));
  VD_CRASH_POINT("store.image.synced");
  if (synced.ok()) return paths;
  RemoveFiles(paths);
  return synced;
}

absl::StatusOr<std::string> ImageFolder::Take(const ArrivedImage& image) {
  if (disk::FileSize(image.file) > static_cast<int64_t>(options_.max_image_bytes)) {
    return absl::DataLossError(absl::StrCat("image: too large, ", disk::FileSize(image.file),
                                            " bytes, limit ", options_.max_image_bytes));
  }
  VD_ASSIGN_OR_RETURN(const std::string bytes,
                      disk::ReadStart(image.file, static_cast<size_t>(disk::FileSize(image.file))));
  const std::string_view extension = RecognizeImage(bytes);
  if (extension.empty()) {
    return absl::DataLossError("image: neither a whole JPEG nor PNG nor WebP");
  }
  std::string path = TransferImagePath(image, extension);
  const std::string folder = path.substr(0, path.rfind('/'));
  VD_RETURN_IF_ERROR(EnsureFolder(folder));
  VD_CRASH_POINT("store.file.take");
  VD_RETURN_IF_ERROR(MoveIn(image.file, bytes, path));
  VD_CRASH_POINT("store.file.renamed");
  VD_RETURN_IF_ERROR(SyncFolder(absl::StrCat(options_.root, "/", folder)));
  VD_CRASH_POINT("store.file.synced");
  return path;
}

// `bytes` are those of `file`, which goes to `path` below the root as it is or encrypted.
absl::Status ImageFolder::MoveIn(const std::string& file, std::string_view bytes,
                                 const std::string& path) {
  std::string from = file;
  const size_t slash = path.rfind('/');
  if (options_.encrypt) {
    const std::string name = path.substr(slash + 1);
    VD_ASSIGN_OR_RETURN(const std::string sealed, AsStored(bytes, name));
    from = Incoming(name + std::string(kTemporary));
    const absl::Status written = WriteSynced(from, sealed);
    if (!written.ok()) unlink(from.c_str());
    VD_RETURN_IF_ERROR(written);
  }
  const std::string target = absl::StrCat(options_.root, "/", path);
  if (rename(from.c_str(), target.c_str()) != 0) {
    const absl::Status status = DiskError("cannot rename to", target);
    if (options_.encrypt) unlink(from.c_str());
    const absl::MutexLock lock(&mutex_);
    known_folders_.erase(path.substr(0, slash));
    return status;
  }
  if (options_.encrypt) unlink(file.c_str());
  return absl::OkStatus();
}

absl::Status ImageFolder::RemoveTaken(const ArrivedImage& image) const {
  absl::Status status;
  for (const absl::string_view extension : kExtensions) {
    status.Update(disk::RemoveFile(
        absl::StrCat(options_.root, "/", TransferImagePath(image, StdView(extension)))));
  }
  return status;
}

void ImageFolder::RemoveFiles(const ImagePaths& paths) const {
  const auto remove = [this](const std::string& path) {
    if (!path.empty()) unlink(absl::StrCat(options_.root, "/", path).c_str());
  };
  remove(paths.annotated);
  for (const std::string& path : paths.plates) remove(path);
}

void ImageFolder::RemoveAnyFiles(const std::string& folder, const std::string& id) const {
  const std::string prefix = absl::StrCat(options_.root, "/", folder, "/");
  for (const absl::string_view extension : kExtensions) {
    unlink(absl::StrCat(prefix, DetectionName(id, extension)).c_str());
    for (size_t n = 1; n <= options_.max_plates; ++n) {
      unlink(absl::StrCat(prefix, PlateName(id, n, extension)).c_str());
    }
  }
}

void ImageFolder::Committed(const MessageKey& key) {
  VD_CRASH_POINT("store.image.committed");
  unlink(IntentPath(FormatKey(key)).c_str());
}

void ImageFolder::Discard(const MessageKey& key, const ImagePaths& paths) {
  RemoveFiles(paths);
  unlink(IntentPath(FormatKey(key)).c_str());
}

absl::Status ImageFolder::CleanUp(
    const std::function<absl::StatusOr<bool>(const MessageKey&)>& committed) {
  const std::string folder = absl::StrCat(options_.root, "/", kIncoming);
  DIR* const dir = opendir(folder.c_str());
  if (dir == nullptr) return DiskError("cannot open", folder);
  std::vector<std::string> names;
  while (const dirent* entry = readdir(dir)) names.emplace_back(entry->d_name);
  closedir(dir);
  absl::Status status;
  for (const std::string& name : names) status.Update(CleanUpEntry(name, committed));
  return status;
}

absl::Status ImageFolder::CleanUpEntry(
    const std::string& name,
    const std::function<absl::StatusOr<bool>(const MessageKey&)>& committed) {
  const std::string path = Incoming(name);
  if (absl::EndsWith(name, kTemporary)) {
    unlink(path.c_str());
    return absl::OkStatus();
  }
  MessageKey key;
  if (!absl::EndsWith(name, kIntent) ||
      !ParseKey(name.substr(0, name.size() - kIntent.size()), &key)) {
    return absl::OkStatus();
  }
  VD_ASSIGN_OR_RETURN(const bool keep, committed(key));
  char target[kMaxPathBytes];
  const ssize_t size = readlink(path.c_str(), target, sizeof(target));
  if (!keep && size > 0) {
    const std::string folder(target, static_cast<size_t>(size));
    RemoveAnyFiles(folder, FormatKey(key));
    log_->Info("store", "removed image files of a detection that was never committed",
               {{"detection_id", FormatKey(key)}});
  }
  unlink(path.c_str());
  return absl::OkStatus();
}

absl::StatusOr<ImageFile> ImageFolder::OpenFile(std::string_view path) const {
  const auto not_found = [path] {
    return absl::NotFoundError(absl::StrCat("images: no such image, \"",
                                            absl::Utf8SafeCHexEscape(AbslView(path.substr(0, 100))),
                                            "\""));
  };
  if (!IsImagePath(path)) return not_found();
  ImageFile file;
  file.path = absl::StrCat(options_.root, "/", AbslView(path));
  file.descriptor = std::make_unique<Descriptor>(
      open(file.path.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK));
  if (file.descriptor->get() < 0) {
    return errno == ENOENT || errno == ELOOP || errno == ENOTDIR
               ? not_found()
               : DiskError("cannot open", file.path);
  }
  struct stat info {};
  if (fstat(file.descriptor->get(), &info) != 0 || !S_ISREG(info.st_mode) ||
      static_cast<size_t>(info.st_size) >
          security::FileCipher::SealedBytes(options_.max_image_bytes)) {
    return not_found();
  }
  file.size = static_cast<uint64_t>(info.st_size);
  VD_RETURN_IF_ERROR(OpenSealed(path.substr(path.rfind('/') + 1), &file));
  if (file.size > options_.max_image_bytes) return not_found();
  file.tag = absl::StrCat(absl::Hex(info.st_ino), "-", absl::Hex(info.st_mtim.tv_sec), "-",
                          absl::Hex(info.st_mtim.tv_nsec), "-", absl::Hex(file.size));
  return file;
}

absl::StatusOr<std::string> ImageFolder::Read(std::string_view path) const {
  VD_ASSIGN_OR_RETURN(const ImageFile file, OpenFile(path));
  return ReadPart(file, 0, file.size);
}

}  // namespace viaduct
