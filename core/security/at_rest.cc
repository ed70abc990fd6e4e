#include "core/security/at_rest.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "core/base/string_view.h"
#include "core/message/json_scanner.h"
#include "core/security/aes_gcm.h"
#include "core/security/secret_octets.h"

namespace viaduct::security {
namespace {

constexpr std::string_view kRecordMark("\x01R", 2);
constexpr std::string_view kFileMark = "VDSEAL1\n";
constexpr size_t kSaltBytes = 32;
constexpr uint64_t kPieceOnDisk = SealedFile::kPieceBytes + kGcmTagBytes;

using Keys = std::vector<std::pair<std::string, std::string>>;

Keys Derive(const KeyRing& ring, std::string_view purpose) {
  Keys keys;
  for (const std::string& id : ring.ids()) {
    keys.emplace_back(
        id, HmacSha256(*ring.Find(id), absl::StrCat("viaduct at rest 1\n", AbslView(purpose))));
  }
  return keys;
}

const std::string* FindKey(const Keys& keys, std::string_view id) {
  for (const auto& [known, key] : keys) {
    if (known == id) return &key;
  }
  return nullptr;
}

void WipeAll(Keys* keys) {
  for (auto& [id, key] : *keys) Wipe(&key);
}

// Behind `mark` a length and so many octets.
std::string_view IdBehind(std::string_view mark, std::string_view text) {
  if (text.substr(0, mark.size()) != mark || text.size() <= mark.size()) return "";
  const auto length = static_cast<unsigned char>(text[mark.size()]);
  if (length == 0 || text.size() < mark.size() + 1 + length) return "";
  return text.substr(mark.size() + 1, length);
}

absl::Status NoKey(std::string_view id) {
  return absl::NotFoundError(
      absl::StrCat("encryption: this node has no key with the id ", ShownText(id)));
}

std::string WithId(std::string_view mark, std::string_view id) {
  std::string out(mark);
  out.push_back(static_cast<char>(id.size()));
  out.append(id);
  return out;
}

std::string BoundOf(std::string_view name) {
  return absl::StrCat("viaduct file 1\n", AbslView(name));
}

std::string PieceNonce(uint64_t piece, bool last) {
  std::string nonce(kGcmNonceBytes, '\0');
  nonce[0] = last ? 1 : 0;
  for (size_t i = 0; i < 8; ++i) {
    nonce[kGcmNonceBytes - 1 - i] = static_cast<char>(piece >> (8 * i));
  }
  return nonce;
}

}  // namespace

RecordCipher::RecordCipher(const KeyRing& keys, std::string_view purpose)
    : keys_(Derive(keys, purpose)) {}

RecordCipher::~RecordCipher() { WipeAll(&keys_); }

bool RecordCipher::IsSealed(std::string_view record) {
  return record.substr(0, kRecordMark.size()) == kRecordMark;
}

std::string RecordCipher::KeyIdOf(std::string_view sealed) {
  return std::string(IdBehind(kRecordMark, sealed));
}

bool RecordCipher::HasKeyOf(std::string_view sealed) const {
  return FindKey(keys_, IdBehind(kRecordMark, sealed)) != nullptr;
}

absl::StatusOr<std::string> RecordCipher::Seal(std::string_view plain, std::string_view bound) {
  VD_ASSIGN_OR_RETURN(const std::string nonce, nonces_.Next());
  VD_ASSIGN_OR_RETURN(const std::string sealed,
                      SealAesGcm(keys_.front().second, nonce, bound, plain));
  return WithId(kRecordMark, keys_.front().first) + sealed;
}

absl::StatusOr<std::string> RecordCipher::Open(std::string_view sealed,
                                               std::string_view bound) const {
  const std::string_view id = IdBehind(kRecordMark, sealed);
  if (id.empty()) return absl::DataLossError("encryption: no encrypted record");
  const std::string* key = FindKey(keys_, id);
  if (key == nullptr) return NoKey(id);
  return OpenAesGcm(*key, sealed.substr(kRecordMark.size() + 1 + id.size()), bound);
}

SealedFile::~SealedFile() { Wipe(&key); }

std::pair<uint64_t, uint64_t> SealedFile::PlaceOf(uint64_t piece) const {
  const uint64_t from = piece * kPieceBytes;
  const uint64_t plain = std::min<uint64_t>(kPieceBytes, plain_bytes - from);
  return {header_bytes + piece * kPieceOnDisk, plain + kGcmTagBytes};
}

absl::StatusOr<std::string> SealedFile::OpenPiece(uint64_t piece, std::string_view octets) const {
  const std::string nonce = PieceNonce(piece, piece + 1 == pieces);
  return OpenAesGcm(key, absl::StrCat(nonce, AbslView(octets)), bound);
}

FileCipher::FileCipher(const KeyRing& keys, std::string_view purpose)
    : keys_(Derive(keys, purpose)) {}

FileCipher::~FileCipher() { WipeAll(&keys_); }

bool FileCipher::IsSealed(std::string_view start) {
  return start.substr(0, kFileMark.size()) == kFileMark;
}

std::string FileCipher::KeyIdOf(std::string_view start) {
  return std::string(IdBehind(kFileMark, start));
}

size_t FileCipher::SealedBytes(size_t plain_bytes) {
  const size_t pieces = plain_bytes / SealedFile::kPieceBytes + 1;
  return SealedFile::kMaxHeaderBytes + plain_bytes + pieces * kGcmTagBytes;
}

absl::StatusOr<std::string> FileCipher::Seal(std::string_view plain, std::string_view name) const {
  VD_ASSIGN_OR_RETURN(const std::string salt, RandomOctets(kSaltBytes));
  std::string key = HmacSha256(keys_.front().second, salt);
  std::string out = WithId(kFileMark, keys_.front().first) + salt;
  const uint64_t pieces =
      std::max<uint64_t>(1, (plain.size() + SealedFile::kPieceBytes - 1) / SealedFile::kPieceBytes);
  out.reserve(SealedBytes(plain.size()));
  absl::Status status;
  for (uint64_t piece = 0; piece < pieces && status.ok(); ++piece) {
    const absl::StatusOr<std::string> sealed =
        SealAesGcm(key, PieceNonce(piece, piece + 1 == pieces), BoundOf(name),
                   plain.substr(piece * SealedFile::kPieceBytes, SealedFile::kPieceBytes));
    status = sealed.status();
    if (sealed.ok()) out.append(*sealed, kGcmNonceBytes);  // It is known to who reads.
  }
  Wipe(&key);
  if (!status.ok()) return status;
  return out;
}

absl::StatusOr<std::shared_ptr<const SealedFile>> FileCipher::Begin(std::string_view start,
                                                                    uint64_t file_bytes,
                                                                    std::string_view name) const {
  const std::string_view id = IdBehind(kFileMark, start);
  const size_t header = kFileMark.size() + 1 + id.size() + kSaltBytes;
  if (id.empty() || start.size() < header || file_bytes < header + kGcmTagBytes) {
    return absl::DataLossError("encryption: the file is cut short");
  }
  const std::string* key = FindKey(keys_, id);
  if (key == nullptr) return NoKey(id);
  const uint64_t body = file_bytes - header;
  auto file = std::make_shared<SealedFile>();
  file->key = HmacSha256(*key, start.substr(header - kSaltBytes, kSaltBytes));
  file->bound = BoundOf(name);
  file->header_bytes = header;
  file->pieces = (body + kPieceOnDisk - 1) / kPieceOnDisk;
  if (body < file->pieces * kGcmTagBytes) {
    return absl::DataLossError("encryption: the file is cut short");
  }
  file->plain_bytes = body - file->pieces * kGcmTagBytes;
  return std::shared_ptr<const SealedFile>(std::move(file));
}

}  // namespace viaduct::security
