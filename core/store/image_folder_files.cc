// What lies in the image folder: read, be it encrypted or not, and removed.
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "core/base/string_view.h"
#include "core/store/image_folder.h"
#include "core/store/image_paths.h"

namespace viaduct {

using image_paths::DiskError;
using image_paths::IsImagePath;
using image_paths::SyncFolder;

// The octets as they lie in the folder.
absl::StatusOr<std::string> ImageFolder::AsStored(std::string_view bytes,
                                                  std::string_view name) const {
  absl::StatusOr<std::string> sealed = options_.cipher->Seal(bytes, name);
  if (sealed.ok()) return sealed;
  return absl::UnavailableError(absl::StrCat("images: ", sealed.status().message()));
}

// Looks whether it is encrypted, and gets ready to read it then.
absl::Status ImageFolder::OpenSealed(std::string_view name, ImageFile* file) const {
  VD_ASSIGN_OR_RETURN(
      const std::string start,
      ReadOctets(*file, 0, std::min<uint64_t>(file->size, security::SealedFile::kMaxHeaderBytes)));
  if (!security::FileCipher::IsSealed(start)) return absl::OkStatus();
  if (options_.cipher == nullptr) {
    return absl::FailedPreconditionError("images: encrypted, and this node has no keys");
  }
  const auto sealed = options_.cipher->Begin(start, file->size, name);
  if (absl::IsNotFound(sealed.status())) {
    return absl::FailedPreconditionError(absl::StrCat("images: ", sealed.status().message()));
  }
  VD_RETURN_IF_ERROR(sealed.status());
  // One that was cut off shows only there.
  const uint64_t last = (*sealed)->pieces - 1;
  const auto [place, length] = (*sealed)->PlaceOf(last);
  VD_ASSIGN_OR_RETURN(const std::string octets, ReadOctets(*file, place, length));
  VD_RETURN_IF_ERROR((*sealed)->OpenPiece(last, octets).status());
  file->sealed = *sealed;
  file->size = file->sealed->plain_bytes;
  return absl::OkStatus();
}

absl::StatusOr<std::string> ImageFolder::ReadPart(const ImageFile& file, uint64_t from,
                                                  uint64_t size) {
  if (file.sealed == nullptr) return ReadOctets(file, from, size);
  constexpr uint64_t kPiece = security::SealedFile::kPieceBytes;
  std::string bytes;
  bytes.reserve(size);
  while (bytes.size() < size) {
    const uint64_t at = from + bytes.size();
    const auto [place, length] = file.sealed->PlaceOf(at / kPiece);
    VD_ASSIGN_OR_RETURN(const std::string octets, ReadOctets(file, place, length));
    VD_ASSIGN_OR_RETURN(const std::string piece, file.sealed->OpenPiece(at / kPiece, octets));
    if (at % kPiece >= piece.size()) return absl::OutOfRangeError("images: read past the end");
    bytes.append(piece, at % kPiece, size - bytes.size());
  }
  return bytes;
}

absl::StatusOr<std::string> ImageFolder::ReadOctets(const ImageFile& file, uint64_t from,
                                                    uint64_t size) {
  std::string bytes(size, '\0');
  size_t at = 0;
  while (at < bytes.size()) {
    const ssize_t got = pread(file.descriptor->get(), bytes.data() + at, bytes.size() - at,
                              static_cast<off_t>(from + at));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return DiskError("cannot read", file.path);
    if (got == 0) return absl::UnavailableError(absl::StrCat("images: cut short, ", file.path));
    at += static_cast<size_t>(got);
  }
  return bytes;
}

absl::StatusOr<int64_t> ImageFolder::Remove(const std::vector<std::string>& paths) {
  std::set<std::string> folders;
  int64_t removed = 0;
  for (const std::string& path : paths) {
    if (!IsImagePath(path)) continue;  // A row that people made may name anything.
    const std::string file = absl::StrCat(options_.root, "/", path);
    if (unlink(file.c_str()) == 0) {
      ++removed;
      folders.insert(path.substr(0, path.rfind('/')));
    } else if (errno != ENOENT && errno != ENOTDIR) {
      return DiskError("cannot remove", file);
    }
  }
  for (const std::string& folder : folders) {
    VD_RETURN_IF_ERROR(SyncFolder(absl::StrCat(options_.root, "/", folder)));
    RemoveEmpty(folder);
  }
  return removed;
}

// Upwards as far as nothing else is there. Forgotten before: who makes it anew meanwhile makes it
// durable, too. Who writes there just now does so at its next try.
void ImageFolder::RemoveEmpty(const std::string& folder) {
  std::string below = folder;
  while (!below.empty()) {
    {
      const absl::MutexLock lock(&mutex_);
      known_folders_.erase(below);
    }
    if (rmdir(absl::StrCat(options_.root, "/", below).c_str()) != 0) return;
    const size_t slash = below.rfind('/');
    below.resize(slash == std::string::npos ? 0 : slash);
  }
}

}  // namespace viaduct
