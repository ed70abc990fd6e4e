#include "core/lpr/privacy.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/synchronization/notification.h"
#include "core/base/status_macros.h"
#include "core/base/string_view.h"
#include "core/lpr/payload.h"
#include "core/message/envelope.h"
#include "core/store/kept_rows.h"
#include "core/store/plate_key.h"

namespace viaduct {
namespace {

constexpr size_t kMaxDeviceBytes = 128;
constexpr size_t kMinPlateLetters = 3;  // Shorter ones are in too much that is none.
constexpr size_t kSpoolPage = 200;
constexpr size_t kMaxDroppedAtOnce = 1'000;
constexpr absl::Duration kStorePatience = absl::Seconds(60);  // For the answer to one group.
constexpr KeptTable kTables[] = {
    KeptTable::kDetections,    KeptTable::kEvents,        KeptTable::kHealth, KeptTable::kMessages,
    KeptTable::kCommunication, KeptTable::kFileTransfers, KeptTable::kDevices};

int64_t& RowsOf(KeptTable table, ForgottenCounts* counts) {
  return counts->rows[static_cast<size_t>(table)];
}

KeptQuery QueryOf(KeptTable table, const PrivacySubject& subject) {
  KeptQuery query;
  query.table = table;
  query.device_id = subject.device_id;
  query.plate_key = PlateKey(subject.plate);
  return query;
}

enum class SpoolMatch : uint8_t { kOther, kNamed, kUnreadable };

// `plate` "": of a device, which the list was of.
SpoolMatch MatchOf(const SpoolEntry& entry, const std::string& plate, const Privacy::OpenFn& open) {
  if (plate.empty()) return SpoolMatch::kNamed;
  ParseOptions options;
  options.limits.max_bytes = entry.envelope_json.size();
  absl::StatusOr<Envelope> envelope = ParseEnvelope(entry.envelope_json, options);
  if (!envelope.ok()) return SpoolMatch::kUnreadable;
  if (envelope->metadata.encryption && (!open || !open(&*envelope).ok())) {
    return SpoolMatch::kUnreadable;
  }
  const bool named = JsonNamesPlate(envelope->payload_json, plate) ||
                     JsonNamesPlate(envelope->metadata.extra_json, plate);
  return named ? SpoolMatch::kNamed : SpoolMatch::kOther;
}

size_t Letters(std::string_view text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  }));
}

bool NamesPlates(KeptTable table) { return table != KeptTable::kDevices; }

}  // namespace

Privacy::Privacy(RetentionOptions retention, Deps deps)
    : retention_(retention), deps_(std::move(deps)), clock_offset_(ClockOffset()) {}

absl::Status Privacy::CheckSubject(const PrivacySubject& subject) {
  if (subject.plate.empty() == subject.device_id.empty()) {
    return absl::InvalidArgumentError("subject: either a plate or a device");
  }
  if (subject.device_id.size() > kMaxDeviceBytes) {
    return absl::InvalidArgumentError("device_id: too long");
  }
  if (subject.plate.size() > kMaxPlateBytes) return absl::InvalidArgumentError("plate: too long");
  if (!subject.plate.empty() && Letters(PlateKey(subject.plate)) < kMinPlateLetters) {
    return absl::InvalidArgumentError(
        absl::StrCat("plate: too short, at least ", kMinPlateLetters, " letters and digits"));
  }
  return absl::OkStatus();
}

absl::Status Privacy::ForEachPage(KeptQuery query,
                                  const std::function<absl::Status(KeptPage)>& each) {
  do {
    if (stopping_.load()) return absl::CancelledError("privacy: the node is stopping");
    VD_ASSIGN_OR_RETURN(KeptPage page, deps_.store->ListKept(query));
    query.after = page.next;
    VD_RETURN_IF_ERROR(each(std::move(page)));
  } while (!query.after.empty());
  return absl::OkStatus();
}

absl::Status Privacy::Export(const PrivacySubject& subject, const RowFn& each) {
  VD_RETURN_IF_ERROR(CheckSubject(subject));
  if (deps_.store == nullptr)
    return absl::FailedPreconditionError("privacy: this node has no store");
  for (const KeptTable table : kTables) {
    if (!subject.plate.empty() && !NamesPlates(table)) continue;
    KeptQuery query = QueryOf(table, subject);
    query.with_json = true;
    VD_RETURN_IF_ERROR(ForEachPage(std::move(query), [&](const KeptPage& page) -> absl::Status {
      for (const KeptRow& row : page.rows) VD_RETURN_IF_ERROR(each(table, row));
      return absl::OkStatus();
    }));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> Privacy::ReadImage(const std::string& path) const {
  if (deps_.images == nullptr) return absl::NotFoundError("images: this node keeps none");
  return deps_.images->Read(path);
}

absl::StatusOr<ForgottenCounts> Privacy::Erase(const PrivacySubject& subject,
                                               EraseOptions options) {
  VD_RETURN_IF_ERROR(CheckSubject(subject));
  const Turn turn(&busy_);
  if (!turn.taken()) return absl::AbortedError("privacy: another one is under way");
  ForgottenCounts counts;
  const auto erase = [&]() -> absl::Status {
    // First what could still become rows.
    if (deps_.spool != nullptr) VD_RETURN_IF_ERROR(EraseSpool(subject, options.dry_run, &counts));
    if (deps_.store == nullptr) return absl::OkStatus();
    for (const KeptTable table : kTables) {
      if (!subject.plate.empty() && !NamesPlates(table)) continue;
      VD_RETURN_IF_ERROR(table == KeptTable::kEvents
                             ? EraseEvents(subject, options.dry_run, &counts)
                             : EraseTable(table, subject, options.dry_run, &counts));
    }
    if (options.dry_run) return absl::OkStatus();
    if (options.blacklist && !subject.plate.empty()) {
      VD_RETURN_IF_ERROR(EraseListed(PlateKey(subject.plate), &counts));
    }
    if (deps_.forget_thumbnails) deps_.forget_thumbnails();
    counts.in_the_log = !deps_.store->Scrub().ok();
    return absl::OkStatus();
  };
  VD_RETURN_IF_ERROR(erase());
  return counts;
}

absl::Status Privacy::EraseTable(KeptTable table, const PrivacySubject& subject, bool dry_run,
                                 ForgottenCounts* counts) {
  KeptQuery query = QueryOf(table, subject);
  query.own_images = true;
  return ForEachPage(std::move(query), [&](const KeptPage& page) {
    return Forget(table, page.rows, {dry_run}, counts);
  });
}

// The event of a detection goes with it: it has the plate, and the picture shows it.
absl::Status Privacy::EraseEvents(const PrivacySubject& subject, bool dry_run,
                                  ForgottenCounts* counts) {
  return ForEachPage(QueryOf(KeptTable::kEvents, subject), [&](KeptPage page) -> absl::Status {
    std::vector<KeptRow> alone;
    std::vector<KeptRow> detections;
    for (KeptRow& row : page.rows) {
      if (row.detection == 0) {
        alone.push_back(std::move(row));
        continue;
      }
      const bool known = !detections.empty() && detections.back().id == row.detection;
      if (dry_run || known) continue;  // In a dry run its detection was counted before.
      KeptQuery of;
      of.own_images = true;
      if (row.detection > 1) of.after = absl::StrCat(row.detection - 1);
      VD_ASSIGN_OR_RETURN(KeptPage found, deps_.store->ListKept(of));
      const bool there = !found.rows.empty() && found.rows.front().id == row.detection;
      if (there) {
        detections.push_back(std::move(found.rows.front()));
      } else if (!deps_.store->Shared()) {  // Else another node has its images, and is asked, too.
        alone.push_back(std::move(row));
      }
    }
    VD_RETURN_IF_ERROR(Forget(KeptTable::kDetections, detections, {dry_run}, counts));
    return Forget(KeptTable::kEvents, alone, {dry_run}, counts);
  });
}

absl::Status Privacy::RemoveFiles(const std::vector<KeptRow>& rows, const ForgetHow& how,
                                  ForgottenCounts* counts) {
  std::vector<std::string> images;
  for (const KeptRow& row : rows) {
    images.insert(images.end(), row.images.begin(), row.images.end());
    for (const absl::string_view id : absl::StrSplit(row.file_id, '\n', absl::SkipEmpty())) {
      if (how.only_images) break;
      if (!how.dry_run && deps_.remove_file) VD_RETURN_IF_ERROR(deps_.remove_file(std::string(id)));
      ++counts->files;
    }
  }
  if (deps_.images == nullptr) return absl::OkStatus();
  if (how.dry_run) {
    counts->images += static_cast<int64_t>(images.size());
    return absl::OkStatus();
  }
  VD_ASSIGN_OR_RETURN(const int64_t removed, deps_.images->Remove(images));
  counts->images += removed;
  return absl::OkStatus();
}

// Files whose images are in the folder of another node of the same database.
void Privacy::LeaveToOthers(std::vector<KeptRow>* files) const {
  if (!deps_.store->Shared() || deps_.images == nullptr) return;
  files->erase(
      std::remove_if(files->begin(), files->end(),
                     [this](const KeptRow& row) {
                       return !row.images.empty() &&
                              absl::IsNotFound(deps_.images->OpenFile(row.images.front()).status());
                     }),
      files->end());
}

// One by one: what cannot be removed keeps its row, and does not keep the others.
void Privacy::PassWhatStays(const ForgetHow& how, std::vector<KeptRow>* rows,
                            ForgottenCounts* counts) {
  std::vector<KeptRow> removed;
  absl::Status why;
  for (KeptRow& row : *rows) {
    const absl::Status status = RemoveFiles({row}, how, counts);
    why.Update(status);
    if (status.ok()) removed.push_back(std::move(row));
  }
  deps_.log->Warning(
      "privacy", "files that are too old cannot be removed, their rows stay",
      {{"rows", absl::StrCat(rows->size() - removed.size())}, {"reason", StdView(why.message())}});
  *rows = std::move(removed);
}

absl::Status Privacy::Forget(KeptTable table, const std::vector<KeptRow>& rows,
                             const ForgetHow& how, ForgottenCounts* counts) {
  for (size_t at = 0; at < rows.size(); at += ForgetRecord::kMaxIds) {
    if (stopping_.load()) return absl::CancelledError("privacy: the node is stopping");
    const size_t end = std::min(rows.size(), at + ForgetRecord::kMaxIds);
    std::vector<KeptRow> group(rows.begin() + static_cast<std::ptrdiff_t>(at),
                               rows.begin() + static_cast<std::ptrdiff_t>(end));
    if (table == KeptTable::kFileTransfers) LeaveToOthers(&group);
    const absl::Status gone_files = RemoveFiles(group, how, counts);
    if (!gone_files.ok() && !how.passes) return gone_files;
    if (!gone_files.ok()) PassWhatStays(how, &group, counts);
    if (group.empty()) continue;
    ForgetRecord record;
    record.table = table;
    record.only_images = how.only_images;
    for (const KeptRow& row : group) {
      if (table == KeptTable::kEvents) {
        record.event_ids.push_back(row.event_id);
      } else {
        record.ids.push_back(row.id);
      }
    }
    int64_t gone = static_cast<int64_t>(group.size());
    if (!how.dry_run) {
      VD_ASSIGN_OR_RETURN(const AppendResult result, AppendAndWait(std::move(record)));
      if (!absl::SimpleAtoi(result.id, &gone)) gone = 0;
    }
    if (!how.only_images) RowsOf(table, counts) += gone;
  }
  return absl::OkStatus();
}

absl::StatusOr<AppendResult> Privacy::AppendAndWait(StoreRecord record) {
  struct Answer {
    absl::Notification done;
    AppendResult result;
  };
  const auto answer = std::make_shared<Answer>();
  std::vector<StoreRecord> records;
  records.push_back(std::move(record));
  deps_.store->Append(std::move(records), [answer](std::vector<AppendResult> results) {
    answer->result = std::move(results.front());
    answer->done.Notify();
  });
  if (!answer->done.WaitForNotificationWithTimeout(kStorePatience)) {
    return absl::UnavailableError("privacy: the store does not answer, try again later");
  }
  VD_RETURN_IF_ERROR(answer->result.status);
  return answer->result;
}

absl::Status Privacy::EraseListed(const std::string& plate_key, ForgottenCounts* counts) {
  BlacklistRecord record;
  record.action = BlacklistRecord::Action::kRemove;
  record.license_plate = plate_key;
  record.at = deps_.clock->Now();
  const absl::Status removed = AppendAndWait(std::move(record)).status();
  counts->listed = removed.ok();
  return absl::IsNotFound(removed) ? absl::OkStatus() : removed;
}

absl::Status Privacy::EraseSpool(const PrivacySubject& subject, bool dry_run,
                                 ForgottenCounts* counts) {
  const std::string plate = PlateKey(subject.plate);
  SpoolFilter filter;
  filter.edge_device_id = subject.device_id;
  SpoolFilter found;
  if (plate.empty()) found = filter;  // All that the list below is of.
  const auto drop = [&]() -> absl::Status {
    if (dry_run || (!plate.empty() && found.keys.empty())) return absl::OkStatus();
    VD_ASSIGN_OR_RETURN(const uint64_t dropped, deps_.spool->Drop(found, "erased"));
    counts->spooled += static_cast<int64_t>(dropped);
    found.keys.clear();
    return absl::OkStatus();
  };
  if (plate.empty()) VD_RETURN_IF_ERROR(drop());
  std::string token;
  do {
    if (stopping_.load()) return absl::CancelledError("privacy: the node is stopping");
    VD_ASSIGN_OR_RETURN(const SpoolPage page,
                        deps_.spool->List(filter, kSpoolPage, token, !plate.empty()));
    token = page.next_page_token;
    for (const SpoolEntry& entry : page.entries) {
      const SpoolMatch match = MatchOf(entry, plate, deps_.open);
      if (match == SpoolMatch::kUnreadable) ++counts->unreadable;
      if (match != SpoolMatch::kNamed) continue;
      if (entry.state == SpoolEntryState::kInFlight) {
        ++counts->in_flight;
      } else if (dry_run) {
        ++counts->spooled;
      } else if (!plate.empty()) {
        found.keys.push_back(entry.key);
      }
    }
    // Each looks through the whole spool.
    if (found.keys.size() >= kMaxDroppedAtOnce) VD_RETURN_IF_ERROR(drop());
  } while (!token.empty());
  return plate.empty() ? absl::OkStatus() : drop();
}

}  // namespace viaduct
