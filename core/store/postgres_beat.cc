#include "core/store/postgres_beat.h"

#include <algorithm>
#include <string>
#include <utility>

#include "core/base/executor.h"
#include "core/base/status_macros.h"
#include "core/base/string_view.h"

namespace viaduct {
namespace {

// Of one reply: with the time to connect it is shorter than a lease.
constexpr absl::Duration kPatience = absl::Seconds(5);
constexpr absl::Duration kPause = absl::Seconds(1);  // After one that failed.

absl::Status GiveOver(PgConnection* db, int64_t writer) {
  return db
      ->Run(
          "INSERT INTO node_beats (writer, last_seen) VALUES ($1, now()) ON CONFLICT (writer) DO "
          "UPDATE SET last_seen = excluded.last_seen",
          PgParams().Add(writer), "cannot give a sign of life")
      .status();
}

PostgresBeat::Options WithPatience(PostgresBeat::Options options) {
  options.connection.reply_timeout = kPatience;
  options.connection.statement_timeout = kPatience;
  return options;
}

}  // namespace

PostgresBeat::PostgresBeat(Options options, Log* log)
    : options_(WithPatience(std::move(options))), log_(log) {}

PostgresBeat::~PostgresBeat() {
  stopping_.Notify();
  if (thread_.joinable()) thread_.join();
}

absl::Status PostgresBeat::Begin(PgConnection* db, int64_t writer) {
  VD_RETURN_IF_ERROR(GiveOver(db, writer));
  writer_ = writer;
  if (!thread_.joinable()) thread_ = std::thread([this] { Loop(); });
  return absl::OkStatus();
}

void PostgresBeat::Loop() {
  SetThreadName("store-beat");
  bool told = false;  // That it fails; once, until it does not.
  absl::Duration pause = options_.every;
  while (!stopping_.WaitForNotificationWithTimeout(pause)) {
    const absl::Status status = Give();
    pause = status.ok() ? options_.every : std::min(options_.every, kPause);
    if (!status.ok() && !told) {
      log_->Warning("store",
                    "cannot give a sign of life, other nodes may think that this one ended",
                    {{"error", std::string(status.message())}});
    }
    told = !status.ok();
  }
}

// It need not survive the server, so it waits for no disk and no standby.
absl::Status PostgresBeat::Give() {
  if (db_ == nullptr) {
    VD_ASSIGN_OR_RETURN(db_, PgConnection::Open(options_.connection));
    if (const absl::Status set = db_->Exec("SET synchronous_commit = off"); !set.ok()) {
      db_.reset();
      return set;
    }
  }
  const absl::Status status = GiveOver(db_.get(), writer_);
  if (db_->broken()) db_.reset();
  return status;
}

}  // namespace viaduct
