#include "plugins/sftp/transport.h"

#include <fcntl.h>
#include <libssh/libssh.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace viaduct::sftp {
namespace {

absl::Status NotTaken(const char* option) {
  return absl::InvalidArgumentError(
      absl::StrCat(option, ": libssh takes none of what is listed there"));
}

// libssh takes an agent that is not there for one that has no key.
bool AgentListens(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path)) return false;
  path.copy(address.sun_path, path.size());
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return false;
  const int code = connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address));
  const bool listens = code == 0 || errno == EAGAIN;  // It has many to listen to.
  close(fd);
  return listens;
}

}  // namespace

Transport::Transport(const TransportOptions& options) : options_(options) {}

Transport::~Transport() {
  if (session_ != nullptr) {
    // Nothing that lies in the kernel is to arrive when a later session is at work.
    const linger now = {1, 0};
    const socket_t fd = ssh_get_fd(session_);
    if (fd >= 0) setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    ssh_silent_disconnect(session_);  // Frees the channels.
    ssh_free(session_);
  }
  ssh_key_free(key_);
}

absl::Status Transport::Start(int64_t now_ns) {
  deadline_ns_ = now_ns + absl::ToInt64Nanoseconds(options_.connect_timeout);
  const absl::Status made = MakeSession();
  if (!made.ok()) return made;
  const absl::Status listed = ListMethods();
  if (!listed.ok()) return listed;
  return dialer_.Start(options_.host, options_.port, now_ns, deadline_ns_);
}

absl::Status Transport::MakeSession() {
  session_ = ssh_new();
  if (session_ == nullptr) return absl::ResourceExhaustedError("libssh: out of memory");
  const int off = 0;
  // What this machine's users have in their ssh configuration is not this node's.
  ssh_options_set(session_, SSH_OPTIONS_PROCESS_CONFIG, &off);
  ssh_options_set(session_, SSH_OPTIONS_GSSAPI_DELEGATE_CREDENTIALS, &off);
  ssh_options_set(session_, SSH_OPTIONS_PORT, &options_.port);
  if (ssh_options_set(session_, SSH_OPTIONS_HOST, options_.host.c_str()) != SSH_OK) {
    return absl::InvalidArgumentError(absl::StrCat("host: ", options_.host, " is none"));
  }
  if (ssh_options_set(session_, SSH_OPTIONS_USER, options_.username.c_str()) != SSH_OK) {
    return absl::InvalidArgumentError("username: is none");
  }
  ssh_set_blocking(session_, 0);
  const absl::Status known = SetKnownHosts(session_, options_.host_key);
  return known.ok() ? SetAlgorithms() : known;
}

absl::Status Transport::SetAlgorithms() {
  const auto set = [this](ssh_options_e option, const std::vector<std::string>& names) {
    return names.empty() ||
           ssh_options_set(session_, option, absl::StrJoin(names, ",").c_str()) == SSH_OK;
  };
  if (!set(SSH_OPTIONS_CIPHERS_C_S, options_.ciphers) ||
      !set(SSH_OPTIONS_CIPHERS_S_C, options_.ciphers)) {
    return NotTaken("ciphers");
  }
  if (!set(SSH_OPTIONS_KEY_EXCHANGE, options_.key_exchange)) return NotTaken("key_exchange");
  if (!set(SSH_OPTIONS_HOSTKEYS, options_.host_key_algorithms)) {
    return NotTaken("host_key_algorithms");
  }
  return absl::OkStatus();
}

absl::Status Transport::ListMethods() {
  if (!options_.key_file.empty()) {
    const absl::Status loaded = LoadKey();
    if (!loaded.ok()) return loaded;
    methods_.push_back(Method::kKeyFile);
  }
  if (!options_.agent.empty()) {
    ssh_options_set(session_, SSH_OPTIONS_IDENTITY_AGENT, options_.agent.c_str());
    methods_.push_back(Method::kAgent);
  }
  if (!options_.password.empty()) methods_.push_back(Method::kPassword);
  return absl::OkStatus();
}

absl::Status Transport::LoadKey() {
  const char* passphrase = options_.passphrase.empty() ? nullptr : options_.passphrase.c_str();
  const int code =
      ssh_pki_import_privkey_file(options_.key_file.c_str(), passphrase, nullptr, nullptr, &key_);
  if (code == SSH_OK) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(
      "key_file: ", options_.key_file,
      code == SSH_EOF ? " can not be read" : " is no private key, or passphrase does not open it"));
}

int64_t Transport::next_ns() const {
  return phase_ == Phase::kTcp ? std::min(dialer_.next_ns(), deadline_ns_) : deadline_ns_;
}

int Transport::fd() const { return phase_ == Phase::kTcp ? dialer_.fd() : ssh_get_fd(session_); }

short Transport::events() const {
  if (phase_ == Phase::kTcp) return POLLOUT;
  const bool unsent = (ssh_get_status(session_) & SSH_WRITE_PENDING) != 0;
  return unsent ? POLLIN | POLLOUT : POLLIN;
}

absl::Status Transport::Broken(const char* doing) const {
  const std::string why = ssh_get_error(session_);
  return absl::UnavailableError(absl::StrCat("server: ", options_.host, ", ", doing, ", ",
                                             why.empty() ? "the connection has ended" : why));
}

absl::Status Transport::Advance(int64_t now_ns) {
  bool again = true;
  while (again && !open()) {
    again = false;
    const absl::Status status = Step(now_ns, &again);
    if (!status.ok()) return status;
  }
  if (open() || now_ns < deadline_ns_) return absl::OkStatus();
  constexpr std::array<const char*, 3> kDoing = {"connection", "key exchange", "authentication"};
  return absl::DeadlineExceededError(absl::StrCat(
      "server: ", options_.host, ", ", kDoing[static_cast<size_t>(phase_)], ", no answer in time"));
}

absl::Status Transport::Step(int64_t now_ns, bool* again) {
  switch (phase_) {
    case Phase::kTcp:
      return StepTcp(now_ns, again);
    case Phase::kKeyExchange:
      return StepKeyExchange(again);
    case Phase::kAuthentication:
      return StepAuthentication(again);
    case Phase::kOpen:
      break;
  }
  return absl::OkStatus();
}

absl::Status Transport::StepTcp(int64_t now_ns, bool* again) {
  const absl::Status status = dialer_.Advance(now_ns);
  if (!status.ok() || !dialer_.connected()) return status;
  const socket_t fd = dialer_.Release();
  ssh_options_set(session_, SSH_OPTIONS_FD, &fd);
  phase_ = Phase::kKeyExchange;
  *again = true;
  return absl::OkStatus();
}

absl::Status Transport::StepKeyExchange(bool* again) {
  const int code = ssh_connect(session_);
  if (code == SSH_AGAIN) return absl::OkStatus();
  if (code != SSH_OK) return Broken("key exchange");
  const absl::Status known = CheckHostKey(session_, options_.host, options_.host_key);
  if (!known.ok()) return known;
  phase_ = Phase::kAuthentication;
  *again = true;
  return absl::OkStatus();
}

int Transport::TryMethod() {
  switch (methods_.front()) {
    case Method::kKeyFile:
      return ssh_userauth_publickey(session_, nullptr, key_);
    case Method::kAgent:
      return ssh_userauth_agent(session_, nullptr);
    case Method::kPassword:
      return ssh_userauth_password(session_, nullptr, options_.password.c_str());
  }
  return SSH_AUTH_ERROR;
}

absl::Status Transport::StepAuthentication(bool* again) {
  constexpr std::array<const char*, 3> kNames = {"the key of key_file", "the keys of agent",
                                                 "the password"};
  if (methods_.empty() && agent_silent_) {
    return absl::UnavailableError(absl::StrCat("agent: ", options_.agent, " does not answer",
                                               tried_.empty() ? "" : ", and the server refuses ",
                                               tried_));
  }
  if (methods_.empty()) {
    return absl::UnauthenticatedError(absl::StrCat("server: ", options_.host, " refuses user ",
                                                   options_.username, " with ", tried_));
  }
  const bool agent = methods_.front() == Method::kAgent;
  if (agent && tries_ == 0 && !AgentListens(options_.agent)) return SkipAgent(again);
  ++tries_;
  const int code = TryMethod();
  if (code == SSH_AUTH_AGAIN) return absl::OkStatus();
  if (code == SSH_AUTH_SUCCESS) {
    phase_ = Phase::kOpen;
  } else if (agent && code == SSH_AUTH_ERROR && ssh_is_connected(session_) != 0) {
    return SkipAgent(again);
  } else if (code == SSH_AUTH_DENIED || code == SSH_AUTH_PARTIAL) {
    absl::StrAppend(&tried_, tried_.empty() ? "" : " and ",
                    kNames[static_cast<size_t>(methods_.front())]);
    methods_.erase(methods_.begin());
    tries_ = 0;
  } else {
    return Broken("authentication");
  }
  *again = true;
  return absl::OkStatus();
}

absl::Status Transport::SkipAgent(bool* again) {
  agent_silent_ = true;
  methods_.erase(methods_.begin());
  tries_ = 0;
  *again = true;
  return absl::OkStatus();
}

absl::Status Transport::Check() const {
  return ssh_is_connected(session_) == 0 ? Broken("the session") : absl::OkStatus();
}

void Transport::SayFarewell() {
  if (!open()) return;
  ssh_disconnect(session_);
}

}  // namespace viaduct::sftp
