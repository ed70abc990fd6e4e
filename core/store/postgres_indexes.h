// Indexes that a table full of events or health reports gets while it is in use.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <thread>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/notification.h"
#include "absl/time/time.h"
#include "core/observe/log.h"
#include "core/store/postgres_connection.h"

namespace viaduct {

inline constexpr std::string_view kPlateIndex = "lpr_events_plate";  // Of parts of plates.

// An index over all events takes minutes, in which nobody could write if a migration made it. One
// thread with a connection of its own makes them beside the writing, partition by partition; it
// ends when they are there. Whoever is interrupted goes on at the next start, and of several nodes
// one is at work. Begin lives on the writer thread of the store.
class PostgresIndexes {
 public:
  struct Options {
    PgConnection::Options connection;
    absl::Duration look_every = absl::Minutes(10);  // While one cannot be made.
  };

  // `log` must outlive it.
  PostgresIndexes(Options options, Log* log);
  // A statement that runs is left to the server.
  ~PostgresIndexes();

  // The tables are there.
  void Begin();

 private:
  struct Index;
  static const Index kIndexes[];
  void Loop();
  // True: all are there.
  absl::StatusOr<bool> Look();
  absl::Status Make(PgConnection* db, const Index& index);
  absl::Status MakeIn(PgConnection* db, const Index& index, const std::string& partition);
  absl::Status MakeOn(PgConnection* db, const Index& index, const std::string& name,
                      const std::string& table);
  void Tell(const absl::Status& status);

  const Options options_;
  Log* const log_;
  bool told_ = false;  // The thread's own: that one cannot be made; once.
  absl::Notification stopping_;
  std::thread thread_;
};

}  // namespace viaduct
