// One SSH connection, authenticated, on libssh, without ever waiting.
//
// A transport connects once. When the connection ends it tells why and is done: whether and when
// there is another is the host's affair.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "plugins/sftp/dialer.h"
#include "plugins/sftp/host_key.h"

struct ssh_key_struct;
struct ssh_session_struct;

namespace viaduct::sftp {

struct TransportOptions {
  std::string host;
  int port = 22;
  std::string username;
  std::string password;    // "": not tried.
  std::string key_file;    // "": not tried.
  std::string passphrase;  // Of key_file; "": it has none.
  std::string agent;       // Socket of an ssh-agent; "": not tried.
  HostKeyOptions host_key;
  std::vector<std::string> ciphers;  // Empty: libssh's own choice, as for all of these.
  std::vector<std::string> key_exchange;
  std::vector<std::string> host_key_algorithms;
  absl::Duration connect_timeout = absl::Seconds(20);  // Over all addresses.
};

// Lives on the session's thread.
class Transport {
 public:
  explicit Transport(const TransportOptions& options);
  Transport(const Transport&) = delete;
  Transport& operator=(const Transport&) = delete;
  ~Transport();  // Closes at once.

  absl::Status Start(int64_t now_ns);
  // Goes as far as it can. UNAVAILABLE, DEADLINE_EXCEEDED: not now; FAILED_PRECONDITION: not with
  // this server's key; UNAUTHENTICATED: not with this user.
  absl::Status Advance(int64_t now_ns);
  bool open() const { return phase_ == Phase::kOpen; }
  // To make channels of.
  ssh_session_struct* session() const { return session_; }
  // While connecting: when Advance is due also without an event.
  int64_t next_ns() const;

  int fd() const;
  short events() const;

  // OK while the connection is there.
  absl::Status Check() const;
  // Closes in order, as far as that needs no waiting.
  void SayFarewell();

 private:
  enum class Phase : uint8_t { kTcp, kKeyExchange, kAuthentication, kOpen };
  enum class Method : uint8_t { kKeyFile, kAgent, kPassword };

  absl::Status Step(int64_t now_ns, bool* again);
  absl::Status StepTcp(int64_t now_ns, bool* again);
  absl::Status StepKeyExchange(bool* again);
  absl::Status StepAuthentication(bool* again);
  absl::Status MakeSession();
  absl::Status SetAlgorithms();
  absl::Status ListMethods();
  absl::Status LoadKey();
  int TryMethod();
  absl::Status SkipAgent(bool* again);
  absl::Status Broken(const char* doing) const;

  const TransportOptions options_;
  Phase phase_ = Phase::kTcp;
  int64_t deadline_ns_ = 0;
  Dialer dialer_;
  ssh_session_struct* session_ = nullptr;
  ssh_key_struct* key_ = nullptr;
  std::vector<Method> methods_;  // Still to be tried.
  std::string tried_;
  int tries_ = 0;  // Of the first of methods_: calls of libssh.
  bool agent_silent_ = false;
};

}  // namespace viaduct::sftp
