// Images of detections as files: <root>/<camera>/<checkpoint>/<YYYY>/<MM>/<DD>/detection_<id>.jpg
// and plate_<id>_<n>.jpg.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "core/base/descriptor.h"
#include "core/observe/log.h"
#include "core/security/at_rest.h"
#include "core/store/image_data.h"
#include "core/store/message_key.h"

namespace viaduct {

struct ImageFolderOptions {
  std::string root;                    // Created when missing.
  size_t max_image_bytes = 16u << 20;  // Decoded; larger ones are refused.
  size_t max_plates = 64;              // Plate images of one detection.
  // Reads what is encrypted; null: nothing is. `encrypt`: new files are.
  std::shared_ptr<const security::FileCipher> cipher;
  bool encrypt = false;
};

struct DetectionImages {
  MessageKey key{};  // Of the detection; FormatKey(key) is in the names.
  std::string_view camera_id;
  std::string_view checkpoint_id;
  absl::Time captured_at;
  const Image* annotated = nullptr;  // Borrowed; may be null.
  std::vector<const Image*> plates;  // Borrowed; null where that plate has none.
};

struct ImagePaths {
  std::string annotated;            // Below the root, "" without one.
  std::vector<std::string> plates;  // As many as were given.
};

// An image that came as a file of its own.
struct ArrivedImage {
  std::string transfer_id;  // A UUID; the name of the image, so that it is no other one's.
  std::string device_id;
  absl::Time captured_at;
  std::string file;  // A regular file that nobody else can change, on the same file system.
};

// One that is open for reading. Its octets stay what they are: a file is replaced, never changed.
struct ImageFile {
  std::string path;  // Of the disk.
  std::unique_ptr<Descriptor> descriptor;
  uint64_t size = 0;                                   // Of the image, be it encrypted or not.
  std::shared_ptr<const security::SealedFile> sealed;  // Null: it is plain.
  std::string tag;  // Another file under the same name has another one.
};

// Thread-safe: different detections may be written at the same time, one detection by one caller.
class ImageFolder {
 public:
  // Creates the folder. Call CleanUp once before the first Write.
  static absl::StatusOr<std::unique_ptr<ImageFolder>> Open(const ImageFolderOptions& options,
                                                           Log* log);

  // Makes the files durable under their final names: temporary name, sync, rename, sync of the
  // folder. All or nothing. Call Committed or Discard afterwards. Writing the same detection again
  // replaces its files. RESOURCE_EXHAUSTED: disk full; UNAVAILABLE: another disk error.
  absl::StatusOr<ImagePaths> Write(const DetectionImages& images);
  // The row that names the files is committed.
  void Committed(const MessageKey& key);
  // The row is certainly not committed: removes the files. When that is not certain call neither:
  // writing the detection again or CleanUp settles it.
  void Discard(const MessageKey& key, const ImagePaths& paths);

  // Moves the file to its place and makes that durable, before the row that names it commits. The
  // same transfer again replaces it. The path below the root, which TransferImagePath gives.
  // DATA_LOSS: no whole image, or a larger one than is kept. Others as Write; the file stays where
  // it was.
  absl::StatusOr<std::string> Take(const ArrivedImage& image);
  // Whatever Take has made of it; OK where there is nothing.
  absl::Status RemoveTaken(const ArrivedImage& image) const;

  // For good, before the rows that name them go; what is not there is looked past. Their folders
  // go, too, where they are empty then. The number of files that went.
  absl::StatusOr<int64_t> Remove(const std::vector<std::string>& paths);

  // Removes what a crash left between the first byte and the commit. `committed` answers whether
  // the detection's row exists.
  absl::Status CleanUp(const std::function<absl::StatusOr<bool>(const MessageKey&)>& committed);

  // `path` is below the root, as Write gave it. NOT_FOUND for everything that is not a plain image
  // file inside the root, whatever it is. FAILED_PRECONDITION: encrypted, and there is no key for
  // it. DATA_LOSS: encrypted, and cut off.
  absl::StatusOr<ImageFile> OpenFile(std::string_view path) const;
  // `size` bytes from `from`, which the file has. DATA_LOSS: an encrypted one was changed.
  static absl::StatusOr<std::string> ReadPart(const ImageFile& file, uint64_t from, uint64_t size);
  // All of one file.
  absl::StatusOr<std::string> Read(std::string_view path) const;

  const ImageFolderOptions& options() const { return options_; }

 private:
  static constexpr size_t kMaxKnownFolders = 1024;

  ImageFolder(ImageFolderOptions options, Log* log);
  std::string Incoming(std::string_view name) const;
  std::string IntentPath(std::string_view id) const;
  bool IsKnown(const std::string& folder);
  absl::Status EnsureFolder(const std::string& folder);
  absl::StatusOr<std::string> AsStored(std::string_view bytes, std::string_view name) const;
  absl::Status MoveIn(const std::string& file, std::string_view bytes, const std::string& path);
  // As they lie on the disk.
  static absl::StatusOr<std::string> ReadOctets(const ImageFile& file, uint64_t from,
                                                uint64_t size);
  absl::Status OpenSealed(std::string_view name, ImageFile* file) const;
  absl::StatusOr<ImagePaths> Place(const DetectionImages& images, const std::string& id);
  void RemoveEmpty(const std::string& folder);
  void RemoveFiles(const ImagePaths& paths) const;
  void RemoveAnyFiles(const std::string& folder, const std::string& id) const;
  absl::Status CleanUpEntry(
      const std::string& name,
      const std::function<absl::StatusOr<bool>(const MessageKey&)>& committed);

  const ImageFolderOptions options_;
  Log* const log_;
  absl::Mutex mutex_;
  // Folders that are known to exist and to be synced; forgotten when there are too many.
  absl::flat_hash_set<std::string> known_folders_ ABSL_GUARDED_BY(mutex_);
};

// Where Write puts the annotated image of a detection, below the root.
std::string AnnotatedImagePath(std::string_view camera_id, std::string_view checkpoint_id,
                               absl::Time captured_at, const MessageKey& key,
                               std::string_view extension);

// Where Take puts an image, below the root.
std::string TransferImagePath(const ArrivedImage& image, std::string_view extension);

// One name of a path made of what a peer sent: no separators, not "." or "..", at most 100 octets,
// different for different input.
std::string SafePathName(std::string_view text);

}  // namespace viaduct
