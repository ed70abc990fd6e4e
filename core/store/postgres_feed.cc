#include "core/store/postgres_feed.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/executor.h"
#include "core/base/status_macros.h"
#include "core/store/postgres_queries.h"
#include "core/store/postgres_writer.h"

namespace viaduct {
namespace {

constexpr absl::Duration kSlice = absl::Milliseconds(200);  // A stop is noticed within it.

// An error that other rows need not have.
bool IsOfRows(const absl::Status& status) {
  return status.code() == absl::StatusCode::kInvalidArgument ||
         status.code() == absl::StatusCode::kDeadlineExceeded ||
         status.code() == absl::StatusCode::kInternal;
}

}  // namespace

PostgresFeed::PostgresFeed(Options options, StoreObserver observer, PostgresDoubts* doubts,
                           const Clock* clock, Log* log)
    : options_(std::move(options)),
      observer_(std::move(observer)),
      doubts_(doubts),
      log_(log),
      cameras_(options_.node_lease, clock) {
  thread_ = std::thread([this] { Loop(); });
}

PostgresFeed::~PostgresFeed() {
  stopping_.Notify();
  thread_.join();
}

void PostgresFeed::Loop() {
  SetThreadName("store-feed");
  while (!stopping_.HasBeenNotified()) {
    const absl::Status status = Serve();
    db_.reset();
    if (stopping_.HasBeenNotified()) return;
    if (!told_) {
      log_->Warning("store", "cannot follow other nodes, it is tried again",
                    {{"error", std::string(status.message())}});
    }
    told_ = true;
    stopping_.WaitForNotificationWithTimeout(options_.pause);
  }
}

absl::Status PostgresFeed::Serve() {
  VD_RETURN_IF_ERROR(Connect());
  while (!stopping_.HasBeenNotified()) {
    VD_RETURN_IF_ERROR(Look());
    if (told_) log_->Info("store", "following other nodes again");
    told_ = false;
    VD_RETURN_IF_ERROR(AwaitNews());
  }
  return absl::OkStatus();
}

// Listening begins before the first look: nothing falls between them.
absl::Status PostgresFeed::Connect() {
  VD_ASSIGN_OR_RETURN(db_, PgConnection::Open(options_.connection));
  cameras_.BeginAnew();
  return db_->Exec(absl::StrCat("LISTEN ", kPostgresChannel));
}

absl::Status PostgresFeed::AwaitNews() {
  std::string payload;
  for (absl::Duration waited; waited < options_.look_every; waited += kSlice) {
    if (stopping_.HasBeenNotified()) return absl::OkStatus();
    VD_ASSIGN_OR_RETURN(bool news, db_->AwaitNotification(kSlice, &payload));
    if (!news) continue;
    // One look answers all that have come.
    while (news) {
      VD_ASSIGN_OR_RETURN(news, db_->AwaitNotification(absl::ZeroDuration(), &payload));
    }
    return absl::OkStatus();
  }
  return absl::OkStatus();
}

absl::Status PostgresFeed::Look() {
  VD_ASSIGN_OR_RETURN(
      const PgResult writers,
      db_->Run("SELECT id, last_detection, last_health_report, node_id = $1, coalesce(version, 0), "
               "last_seen, coalesce(last_seen > now() - make_interval(secs => $2), false) FROM "
               "writers LEFT JOIN node_presence ON node_presence.writer = id LEFT JOIN node_beats "
               "ON node_beats.writer = id",
               PgParams().Add(options_.node_id).Add(absl::ToDoubleSeconds(options_.node_lease)),
               "cannot follow other nodes"));
  if (observer_.cameras) VD_RETURN_IF_ERROR(FollowCameras(writers));
  const bool wanted = begun_ && observer_.wanted();
  begun_ = true;
  PgPlace head = head_;
  for (int row = 0; row < writers.rows(); ++row) {
    const int64_t writer = writers.Int(row, 0);
    const PgPlace newest{writers.Int(row, 1), writers.Int(row, 2)};
    head.detection = std::max(head.detection, newest.detection);
    head.health_report = std::max(head.health_report, newest.health_report);
    if (writers.Bool(row, 3)) {
      VD_RETURN_IF_ERROR(TellDoubts(writer, wanted));
      continue;
    }
    PgPlace* const place = &places_.emplace(writer, head_).first->second;
    if (wanted) VD_RETURN_IF_ERROR(Follow(writer, newest, place));
    *place = newest;
  }
  head_ = head;
  return absl::OkStatus();
}

absl::Status PostgresFeed::FollowCameras(const PgResult& writers) {
  std::vector<CameraPresence> changes;
  absl::Status status;
  for (int row = 0; row < writers.rows() && status.ok(); ++row) {
    if (writers.Bool(row, 3)) continue;
    const PostgresCameras::Node node{writers.Int(row, 0), writers.Int(row, 4), writers.Time(row, 5),
                                     writers.Bool(row, 6)};
    status = cameras_.Follow(db_.get(), node, &changes);
  }
  if (!changes.empty()) observer_.cameras(changes);
  return status;
}

// Of this node's own rows only those that it did not know were stored. Those that were told before
// an error are not told again.
absl::Status PostgresFeed::TellDoubts(int64_t writer, bool wanted) {
  const std::optional<PostgresDoubts::Range> range = doubts_->Waiting();
  if (!range.has_value()) return absl::OkStatus();
  PgPlace place = range->after;
  const absl::Status status = wanted ? Follow(writer, range->until, &place) : absl::OkStatus();
  const bool all = status.ok() && !stopping_.HasBeenNotified();
  doubts_->Done(all ? range->until : place);
  return status;
}

absl::Status PostgresFeed::Follow(int64_t writer, const PgPlace& newest, PgPlace* place) {
  VD_RETURN_IF_ERROR(FollowTable(&PgDetectionsOf, writer, newest.detection, &place->detection));
  return FollowTable(&PgHealthOf, writer, newest.health_report, &place->health_report);
}

// What cannot be read is halved until the bad row stands alone: it must not stop all that come
// behind it.
absl::Status PostgresFeed::FollowTable(Query query, int64_t writer, int64_t newest,
                                       int64_t* place) {
  if (newest - *place > kMaxBehind) {
    log_->Warning("store", "too far behind another node, only its newest events are told",
                  {{"rows", absl::StrCat(newest - *place)}});
    *place = newest - kMaxBehind;
  }
  int64_t until = newest;
  while (*place < newest && !stopping_.HasBeenNotified()) {
    const absl::StatusOr<PgStored> stored =
        query(db_.get(), PgRange{writer, *place, until, kMaxRowsAtOnce});
    if (stored.ok()) {
      if (!stored->rows.empty()) observer_.stored(stored->rows);
      *place = stored->last;
      if (*place == until) until = newest;
      continue;
    }
    if (!IsOfRows(stored.status()) || db_->broken()) return stored.status();
    if (until - *place > 1) {
      until = *place + (until - *place) / 2;
      continue;
    }
    log_->Warning(
        "store", "an event of another node cannot be read, it is left out",
        {{"row", absl::StrCat(until)}, {"error", std::string(stored.status().message())}});
    *place = until;
    until = newest;
  }
  return absl::OkStatus();
}

}  // namespace viaduct
