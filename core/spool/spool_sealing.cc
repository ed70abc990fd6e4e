// What lies in the file is encrypted where that is wanted: sealed before it is queued, opened when
// it is given away. Between the two, in memory and through every repair, a message is what is
// stored.
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "core/base/string_view.h"
#include "core/message/json_scanner.h"
#include "core/spool/spool_impl.h"

namespace viaduct {

using security::RecordCipher;
using spool_internal::FirstKey;
using spool_internal::kClasses;
using spool_internal::LastKey;
using spool_internal::SpoolRow;
using spool_internal::StoredDeadRow;

namespace {

// Not the key of the row: a dead letter that is tried again gets another one. The rest is in the
// envelope itself.
std::string BoundOf(std::string_view message_id, std::string_view device, DataType type) {
  return absl::StrCat("viaduct spool 1\n", AbslView(message_id), "\n", AbslView(device), "\n",
                      static_cast<int>(type));
}

std::string BoundOf(const SpoolRow& row) { return BoundOf(row.message_id, row.device, row.type); }

std::string BoundOf(const OutboxMessage& message) {
  return BoundOf(message.message_id, message.edge_device_id, message.data_type);
}

absl::StatusOr<std::string> OpenStored(const RecordCipher* cipher, std::string_view stored,
                                       std::string_view bound) {
  if (cipher != nullptr) return cipher->Open(stored, bound);
  return absl::NotFoundError(absl::StrCat("encryption: this node has no keys, and needs ",
                                          ShownText(RecordCipher::KeyIdOf(stored))));
}

}  // namespace

absl::Status Spool::Impl::SealRow(SpoolRow* row) const {
  if (!options_.encrypt || options_.cipher == nullptr) return absl::OkStatus();
  absl::StatusOr<std::string> sealed = options_.cipher->Seal(row->envelope_json, BoundOf(*row));
  if (!sealed.ok())
    return absl::UnavailableError(absl::StrCat("spool: ", sealed.status().message()));
  row->envelope_json = *std::move(sealed);
  return absl::OkStatus();
}

// The ends of every class and of the dead letters, where a key shows that was taken away too early,
// or whose id was given to another one.
// What lies between is found when it is claimed.
absl::Status Spool::Impl::CheckKeys(SpoolDatabase* database) const {
  absl::Status status;
  const auto look = [&](const SpoolRow& row, bool opens) {
    const std::string& text = row.envelope_json;
    if (!RecordCipher::IsSealed(text)) return;
    const bool known = options_.cipher != nullptr && options_.cipher->HasKeyOf(text);
    if (known && (!opens || options_.cipher->Open(text, BoundOf(row)).ok())) return;
    status.Update(absl::FailedPreconditionError(absl::StrCat(
        "spool: messages are encrypted by the key ", ShownText(RecordCipher::KeyIdOf(text)),
        known ? ", and this node has another one of that id" : ", which this node does not have")));
  };
  for (int c = 0; c < kClasses; ++c) {
    VD_RETURN_IF_ERROR(database->ReadRows({FirstKey(c), LastKey(c), 1}, [&](const auto& stored) {
      look(stored.row, /*opens=*/stored.intact);
      return true;
    }));
  }
  // What is here did not open once already, may be; it waits for its key.
  VD_RETURN_IF_ERROR(
      database->ReadDead({0, LastKey(kClasses - 1), 1}, [&](const StoredDeadRow& stored) {
        look(stored.dead.row, /*opens=*/false);
        return true;
      }));
  return status;
}

// What does not open is set aside to be tried again when its key is there. It is no damage: the
// checksum of the row was right. True: something was.
bool Spool::Impl::OpenClaimed(size_t first, std::vector<OutboxMessage>* out) {
  size_t kept = first;
  for (size_t i = first; i < out->size(); ++i) {
    OutboxMessage& message = (*out)[i];
    if (RecordCipher::IsSealed(message.envelope_json)) {
      absl::StatusOr<std::string> opened =
          OpenStored(options_.cipher, message.envelope_json, BoundOf(message));
      if (!opened.ok()) {
        absl::MutexLock lock(&mutex_);
        LeaveLocked(message.key, RemovalKind::kRejected, std::string(opened.status().message()));
        continue;
      }
      message.envelope_json = *std::move(opened);
    }
    if (kept != i) (*out)[kept] = std::move(message);
    ++kept;
  }
  const bool set_aside = kept < out->size();
  out->resize(kept);
  return set_aside;
}

// For people. "" and the reason where it does not open.
std::string Spool::Impl::OpenedText(const SpoolRow& row, std::string* error) const {
  if (!RecordCipher::IsSealed(row.envelope_json)) {
    // A damaged row may hold anything; what leaves the process is text.
    return IsValidUtf8(row.envelope_json) ? row.envelope_json : absl::CHexEscape(row.envelope_json);
  }
  absl::StatusOr<std::string> opened = OpenStored(options_.cipher, row.envelope_json, BoundOf(row));
  if (opened.ok()) return *std::move(opened);
  *error = std::string(opened.status().message());
  return "";
}

}  // namespace viaduct
