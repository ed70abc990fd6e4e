// The server that rsync is to reach, and the arguments with which it does.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/time/time.h"

namespace viaduct::rsync {

inline constexpr char kRsyncProgram[] = "/usr/bin/rsync";
inline constexpr char kSshProgram[] = "/usr/bin/ssh";
// In each folder what a broken transfer has left, in a folder of it at the top what is just being
// received.
inline constexpr char kPartialFolder[] = ".viaduct-partial";

struct ServerOptions {
  bool daemon = false;  // rsync://, else over ssh.
  std::string host;
  int port = 22;
  std::string user;
  std::string remote_path = ".";  // Of a daemon: module, or module/folder.
  std::string key_file;
  std::string passphrase;  // Of key_file.
  std::string agent;
  std::string password;
  std::string known_hosts;
  std::vector<std::string> fingerprints;  // "SHA256:..."; with any, known_hosts does not count.
  bool accept_new = false;
  std::vector<std::string> more;  // Of rsync, from the allow-list.
  absl::Duration connect_timeout = absl::Seconds(20);
  absl::Duration answer_timeout = absl::Seconds(60);
  absl::Duration keepalive = absl::Seconds(30);
};

// What one run of rsync is for.
enum class RunKind : uint8_t {
  kGreet,  // Is the server there, does it take us? Makes remote_path and RunPaths::own, empties it.
  kSeed,   // Empty parts of large files, into which their content then goes.
  kSend,   // The files of a batch.
  kRemove,  // Names of which the local folder has none.
};

struct RunPlan {
  RunKind kind = RunKind::kGreet;
  bool fsync = true;
  uint64_t max_bytes_per_second = 0;  // 0: no limit.
};

// Where the plugin has put what a run needs.
struct RunPaths {
  std::string staging;  // The folder with the links.
  std::string config;   // Of ssh.
  std::string pinned;   // A program that tells ssh whose key is one of ServerOptions::fingerprints.
  std::string password;  // A file with it, "": there is none.
  std::string own;       // Below remote_path: what the server is just receiving from us.
  std::string session;   // Socket of the ssh whose session the runs share, where there is one.
};

// argv of rsync; names come over standard input, separated by NUL.
std::vector<std::string> ArgumentsOf(const ServerOptions& server, const RunPaths& paths,
                                     const RunPlan& plan);

// argv of an ssh that keeps a session for the runs to share, until it is ended.
std::vector<std::string> SessionArgumentsOf(const RunPaths& paths);

// The whole configuration of ssh: that of the user or the system is not read.
std::string SshConfigOf(const ServerOptions& server, const RunPaths& paths);

// Can it stand in a configuration of ssh?
bool IsPlainSshValue(const std::string& value);

}  // namespace viaduct::rsync
