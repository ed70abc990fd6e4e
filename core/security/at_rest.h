// Encryption of what lies on this node's own disk: records of the spool, files of the image folder.
//
// Each purpose has keys of its own, made of those of the KeyRing, so that what is encrypted for one
// opens nowhere else and no nonce has to be shared. What is plain stays readable beside it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/security/key_ring.h"
#include "core/security/payload_cipher.h"

namespace viaduct::security {

// Whole records, each by itself: octet 1, 'R', the length of the key's id, the id, nonce, tag,
// ciphertext. JSON never begins so. Thread-safe.
class RecordCipher {
 public:
  // `purpose` is part of the keys.
  RecordCipher(const KeyRing& keys, std::string_view purpose);
  ~RecordCipher();  // Overwrites the keys.
  RecordCipher(const RecordCipher&) = delete;
  RecordCipher& operator=(const RecordCipher&) = delete;

  // FAILED_PRECONDITION: the key is used up.
  absl::StatusOr<std::string> Seal(std::string_view plain, std::string_view bound);
  // NOT_FOUND: no key of that id. DATA_LOSS: no such record, changed, or bound to something else.
  absl::StatusOr<std::string> Open(std::string_view sealed, std::string_view bound) const;
  bool HasKeyOf(std::string_view sealed) const;

  static bool IsSealed(std::string_view record);
  static std::string KeyIdOf(std::string_view sealed);  // "" where it names none.

 private:
  std::vector<std::pair<std::string, std::string>> keys_;  // Id and key; the first encrypts.
  NonceSource nonces_;
};

// How a file of plain octets lies on the disk: "VDSEAL1\n", the length of the key's id, the id, 32
// random octets of which the key of this one file is made; then pieces of 64 KiB, each a tag and
// its ciphertext. The nonce of a piece is its number and whether it is the last: pieces can be read
// alone, and neither exchanged nor cut off.
struct SealedFile {
  static constexpr size_t kPieceBytes = 64u << 10;
  static constexpr size_t kMaxHeaderBytes = 8 + 1 + KeyRing::kMaxIdBytes + 32;

  std::string key;  // Of this file alone.
  std::string bound;
  uint64_t header_bytes = 0;
  uint64_t plain_bytes = 0;
  uint64_t pieces = 0;

  ~SealedFile();
  // Where a piece is in the file, tag included.
  std::pair<uint64_t, uint64_t> PlaceOf(uint64_t piece) const;
  absl::StatusOr<std::string> OpenPiece(uint64_t piece, std::string_view octets) const;
};

// Thread-safe.
class FileCipher {
 public:
  FileCipher(const KeyRing& keys, std::string_view purpose);
  ~FileCipher();
  FileCipher(const FileCipher&) = delete;
  FileCipher& operator=(const FileCipher&) = delete;

  // `name` is bound to it: under another one it does not open.
  absl::StatusOr<std::string> Seal(std::string_view plain, std::string_view name) const;
  // Of a file of `file_bytes` that begins with `start`, at least kMaxHeaderBytes of it or all.
  // NOT_FOUND: no key of that id. DATA_LOSS: damaged.
  absl::StatusOr<std::shared_ptr<const SealedFile>> Begin(std::string_view start,
                                                          uint64_t file_bytes,
                                                          std::string_view name) const;

  static bool IsSealed(std::string_view start);
  static std::string KeyIdOf(std::string_view start);
  static size_t SealedBytes(size_t plain_bytes);  // At most.

 private:
  std::vector<std::pair<std::string, std::string>> keys_;
};

}  // namespace viaduct::security
