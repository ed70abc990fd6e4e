// A PostgreSQL of its own for tests: in a temporary folder, on a free port and a socket, run by a
// user that is not root.
#pragma once

#include <sys/types.h>

#include <string>

#include "core/store/postgres_connection.h"

namespace viaduct {

// Thread-compatible. Fails the whole program when PostgreSQL is not installed: a test that cannot
// run has failed.
class PostgresServer {
 public:
  explicit PostgresServer(std::string extra_configuration = "");
  ~PostgresServer();
  PostgresServer(const PostgresServer&) = delete;
  PostgresServer& operator=(const PostgresServer&) = delete;

  // Returns when connections are accepted.
  void Start();
  void Stop();  // Fast: sessions are ended, what is committed is on disk.
  void Kill();  // SIGKILL of the postmaster; its children end by themselves.

  // A new, empty database.
  PostgresAddress NewDatabase();
  // The same over TCP, where a certificate counts.
  PostgresAddress OverTcp(PostgresAddress address) const;
  const std::string& folder() const { return folder_; }
  int port() const { return port_; }

  // The one server that most tests share; it lives as long as the program.
  static PostgresServer* Shared();

 private:
  pid_t Spawn(const std::string& command) const;
  void End(int signal);
  PostgresAddress Maintenance() const;

  std::string folder_;
  int port_ = 0;
  int databases_ = 0;
  pid_t postmaster_ = 0;  // 0: not running.
};

}  // namespace viaduct
