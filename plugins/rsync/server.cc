#include "plugins/rsync/server.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"

namespace viaduct::rsync {
namespace {

constexpr uint64_t kKibi = 1024;
constexpr int kAliveAsks = 3;
constexpr char kServerAlias[] = "server";  // Its address is in the configuration.

int64_t WholeSeconds(absl::Duration duration) {
  return std::max<int64_t>(absl::ToInt64Seconds(absl::Ceil(duration, absl::Seconds(1))), 1);
}

std::string DestinationOf(const ServerOptions& server) {
  if (!server.daemon) return absl::StrCat(kServerAlias, ":", server.remote_path, "/");
  const bool v6 = absl::StrContains(server.host, ":");
  return absl::StrCat("rsync://", server.user, server.user.empty() ? "" : "@", v6 ? "[" : "",
                      server.host, v6 ? "]" : "", ":", server.port, "/", server.remote_path, "/");
}

std::string Quoted(const std::string& value) {
  return absl::StrCat("\"", absl::StrReplaceAll(value, {{"%", "%%"}}), "\"");
}

// Without any the keys are those of the user whose node this is.
std::string IdentitiesOf(const ServerOptions& server) {
  const bool own = server.key_file.empty() && server.agent.empty() && server.password.empty();
  std::string out =
      absl::StrCat("IdentityAgent ", server.agent.empty() ? "none" : Quoted(server.agent), "\n");
  if (own) return out;
  return absl::StrCat(out, "IdentitiesOnly ", server.agent.empty() ? "yes" : "no",
                      "\nIdentityFile ", server.key_file.empty() ? "none" : Quoted(server.key_file),
                      "\n");
}

void AddConnection(const ServerOptions& server, const RunPaths& paths,
                   std::vector<std::string>* out) {
  out->push_back(absl::StrCat("--timeout=", WholeSeconds(server.answer_timeout)));
  if (!server.daemon) {
    out->push_back(absl::StrCat("--rsh=", kSshProgram, " -F '", paths.config, "'"));
    return;
  }
  out->push_back(absl::StrCat("--contimeout=", WholeSeconds(server.connect_timeout)));
  if (!paths.password.empty()) out->push_back("--password-file=" + paths.password);
}

void AddForFiles(const ServerOptions& server, const RunPaths& paths, const RunPlan& plan,
                 std::vector<std::string>* out) {
  // A link of the staging folder goes when the server has the file under its name. What it had
  // before an attempt broke is looked for by content: nothing is sent again then.
  for (const char* always : {"--times", "--copy-links", "--no-implied-dirs", "--checksum",
                             "--no-whole-file", "--remove-source-files", "--partial"}) {
    out->push_back(always);
  }
  out->push_back(absl::StrCat("--partial-dir=", kPartialFolder));
  out->push_back("--temp-dir=" + paths.own);
  out->push_back("--info=progress2,stats2");
  if (plan.fsync) out->push_back("--fsync");
  // The last one counts.
  out->insert(out->end(), server.more.begin(), server.more.end());
  if (plan.max_bytes_per_second > 0) {
    const uint64_t kibi = std::max<uint64_t>(plan.max_bytes_per_second / kKibi, 1);
    out->push_back(absl::StrCat("--bwlimit=", kibi));
  }
}

}  // namespace

std::vector<std::string> ArgumentsOf(const ServerOptions& server, const RunPaths& paths,
                                     const RunPlan& plan) {
  std::vector<std::string> out = {
      kRsyncProgram, "--secluded-args", "--relative",          "--files-from=-", "--from0",
      "--mkpath",    "--outbuf=N",      "--no-human-readable", "--no-motd"};
  AddConnection(server, paths, &out);
  switch (plan.kind) {
    case RunKind::kGreet:
      out.push_back("--dirs");
      out.push_back("--delete");
      if (plan.fsync) out.push_back("--fsync");
      break;
    case RunKind::kSeed:
      for (const char* one : {"--no-implied-dirs", "--ignore-existing", "--inplace"}) {
        out.push_back(one);
      }
      break;
    case RunKind::kSend:
      AddForFiles(server, paths, plan, &out);
      break;
    case RunKind::kRemove:
      out.push_back("--no-implied-dirs");
      out.push_back("--delete-missing-args");
      break;
  }
  out.push_back(paths.staging + "/");
  out.push_back(DestinationOf(server));
  return out;
}

std::vector<std::string> SessionArgumentsOf(const RunPaths& paths) {
  return {kSshProgram, "-F", paths.config, "-N", "-o", "ControlMaster=yes", kServerAlias};
}

std::string SshConfigOf(const ServerOptions& server, const RunPaths& paths) {
  std::string out = absl::StrCat(
      "Host *\nHostName ", Quoted(server.host), "\nPort ", server.port, "\nUser \"", server.user,
      "\"\nConnectTimeout ", WholeSeconds(server.connect_timeout), "\nServerAliveInterval ",
      WholeSeconds(server.keepalive), "\nServerAliveCountMax ", kAliveAsks,
      "\nStrictHostKeyChecking ", server.accept_new ? "accept-new" : "yes",
      "\nUpdateHostKeys no\nHashKnownHosts no\nClearAllForwardings yes\nForwardAgent no\n"
      "RequestTTY no\nLogLevel ERROR\nNumberOfPasswordPrompts 1\n"
      "BatchMode ",
      server.password.empty() && server.passphrase.empty() ? "yes" : "no", "\n", "ControlPath ",
      Quoted(paths.session), "\n", IdentitiesOf(server));
  // What a server asks for is not the passphrase.
  if (server.password.empty()) {
    absl::StrAppend(&out, "PasswordAuthentication no\nKbdInteractiveAuthentication no\n");
  }
  if (!server.fingerprints.empty()) {
    absl::StrAppend(&out, "UserKnownHostsFile none\nGlobalKnownHostsFile none\nKnownHostsCommand ",
                    Quoted(paths.pinned), " %f %H %t %K\n");
  } else if (!server.known_hosts.empty()) {
    absl::StrAppend(&out, "UserKnownHostsFile ", Quoted(server.known_hosts),
                    "\nGlobalKnownHostsFile none\n");
  }
  return out;
}

bool IsPlainSshValue(const std::string& value) {
  return std::none_of(value.begin(), value.end(), [](unsigned char c) {
    return c < 0x20 || c == 0x7F || c == '"' || c == '$' || c == '\\';
  });
}

}  // namespace viaduct::rsync
