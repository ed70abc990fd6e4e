#include "core/store/testing/postgres_server.h"

#include <arpa/inet.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "core/base/descriptor.h"

namespace viaduct {
namespace {

namespace fs = std::filesystem;

constexpr absl::Duration kStartLimit = absl::Seconds(120);
constexpr int kLookAgainMs = 20;
constexpr char kServerUser[] = "postgres";  // Whom the package makes; root may not run a server.

[[noreturn]] void Die(const std::string& what) {
  std::fprintf(stderr, "PostgresServer: %s\n", what.c_str());
  std::abort();
}

std::string BinFolder() {
  for (const auto& version : fs::directory_iterator("/usr/lib/postgresql")) {
    if (fs::exists(version.path() / "bin/initdb")) return (version.path() / "bin").string();
  }
  Die("not installed");
}

int FreePort() {
  const Descriptor fd(socket(AF_INET, SOCK_STREAM, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  if (bind(fd.get(), reinterpret_cast<sockaddr*>(&address), size) != 0 ||
      getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    Die("no free port");
  }
  return ntohs(address.sin_port);
}

void BecomeServerUser() {
  if (getuid() != 0) return;
  const passwd* const user = getpwnam(kServerUser);
  if (user == nullptr || setgid(user->pw_gid) != 0 || setuid(user->pw_uid) != 0) _exit(126);
}

}  // namespace

PostgresServer::PostgresServer(std::string extra_configuration) : port_(FreePort()) {
  std::string path = (fs::temp_directory_path() / "vdpg-XXXXXX").string();
  folder_ = mkdtemp(path.data());
  if (getuid() == 0) {
    const passwd* const user = getpwnam(kServerUser);
    if (user == nullptr || chown(folder_.c_str(), user->pw_uid, user->pw_gid) != 0) {
      Die("no user for it");
    }
  }
  int status = 0;
  const pid_t initdb = Spawn(
      "initdb --no-sync --auth=trust --username=viaduct --encoding=UTF8 --locale=C.UTF-8 "
      "--pgdata=data");
  if (waitpid(initdb, &status, 0) != initdb || status != 0) Die("initdb failed, see " + folder_);
  std::ofstream(folder_ + "/data/postgresql.conf", std::ios::app)
      << "listen_addresses = '127.0.0.1'\nport = " << port_ << "\nunix_socket_directories = '"
      << folder_ << "'\nshared_buffers = 32MB\n"
      << extra_configuration << "\n";
  Start();
}

PostgresServer::~PostgresServer() {
  End(SIGQUIT);
  std::error_code ignored;
  fs::remove_all(folder_, ignored);
}

pid_t PostgresServer::Spawn(const std::string& command) const {
  const std::string line =
      absl::StrCat("cd ", folder_, " && exec ", BinFolder(), "/", command, " >>log 2>&1");
  const pid_t child = fork();
  if (child != 0) return child;
  BecomeServerUser();
  prctl(PR_SET_PDEATHSIG, SIGQUIT);  // Also a test that aborts leaves no server behind.
  execl("/bin/sh", "sh", "-c", line.c_str(), nullptr);
  _exit(127);
}

// After a kill a new one does not start before the last child of the old one is gone.
void PostgresServer::Start() {
  const std::string words =
      absl::StrCat("host=", folder_, " port=", port_, " user=viaduct dbname=postgres");
  const absl::Time deadline = absl::Now() + kStartLimit;
  while (absl::Now() < deadline) {
    if (postmaster_ == 0) postmaster_ = Spawn("postgres -D data");
    if (PQping(words.c_str()) == PQPING_OK) return;
    if (waitpid(postmaster_, nullptr, WNOHANG) == postmaster_) postmaster_ = 0;
    poll(nullptr, 0, kLookAgainMs);
  }
  Die("cannot start, see " + folder_);
}

void PostgresServer::End(int signal) {
  if (postmaster_ == 0) return;
  kill(postmaster_, signal);
  waitpid(postmaster_, nullptr, 0);
  postmaster_ = 0;
}

void PostgresServer::Stop() { End(SIGINT); }
void PostgresServer::Kill() { End(SIGKILL); }

PostgresAddress PostgresServer::Maintenance() const {
  PostgresAddress address;
  address.host = folder_;
  address.port = port_;
  address.user = "viaduct";
  address.database = "postgres";
  return address;
}

PostgresAddress PostgresServer::NewDatabase() {
  PostgresAddress address = Maintenance();
  PgConnection::Options options;
  options.address = address;
  auto db = PgConnection::Open(options);
  if (!db.ok()) Die(db.status().ToString());
  address.database = absl::StrCat("test", ++databases_);
  const absl::Status made = (*db)->Exec("CREATE DATABASE " + address.database);
  if (!made.ok()) Die(made.ToString());
  return address;
}

PostgresAddress PostgresServer::OverTcp(PostgresAddress address) const {
  address.host = "127.0.0.1";
  return address;
}

PostgresServer* PostgresServer::Shared() {
  static const std::unique_ptr<PostgresServer> server = std::make_unique<PostgresServer>();
  return server.get();
}

}  // namespace viaduct
