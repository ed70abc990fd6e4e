// The sign of life that a node gives the others of its database.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <thread>

#include "absl/status/status.h"
#include "absl/synchronization/notification.h"
#include "absl/time/time.h"
#include "core/observe/log.h"
#include "core/store/postgres_connection.h"

namespace viaduct {

// A table, a thread and a connection of its own: a group that waits for a lock, or its commit for a
// standby, must not make a healthy node look dead. Begin lives on the writer thread of the store.
class PostgresBeat {
 public:
  struct Options {
    PgConnection::Options connection;
    absl::Duration every = absl::Seconds(3);
  };

  // `log` must outlive the beat.
  PostgresBeat(Options options, Log* log);
  ~PostgresBeat();

  // The first one over the connection of the writer, so that the others know of the node at once.
  absl::Status Begin(PgConnection* db, int64_t writer);

 private:
  void Loop();
  absl::Status Give();

  const Options options_;
  Log* const log_;
  std::atomic<int64_t> writer_{0};
  std::unique_ptr<PgConnection> db_;  // The thread's own.
  absl::Notification stopping_;
  std::thread thread_;
};

}  // namespace viaduct
