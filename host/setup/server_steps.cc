#include <openssl/evp.h>

#include <algorithm>
#include <set>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "core/base/status_macros.h"
#include "core/security/secret_octets.h"
#include "host/setup/deploy_files.h"
#include "host/setup/node_steps.h"
#include "host/setup/step.h"
#include "host/setup/template.h"

namespace viaduct::setup {
namespace {

using Steps = std::vector<Step>;

constexpr char kPasswordSecret[] = "/etc/viaduct/secrets/mqtt_password";
constexpr char kPasswords[] = "/etc/mosquitto/viaduct.passwd";
constexpr char kBrokerUser[] = "viaduct";  // As deploy/mosquitto/viaduct.acl names it.
constexpr char kEdgeGroup[] = "viaduct-edge";
constexpr size_t kPasswordBytes = 24;

absl::Status Needs(const Root& root, const char* part, const char* path, const char* package) {
  if (root.Has(path)) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat("--with ", part, ": ", root.folder(), path,
                                                    " is not there, install the package ", package,
                                                    " first"));
}

// As mosquitto_passwd writes it, which would show the password in the list of processes.
absl::StatusOr<std::string> MosquittoHash(const std::string& password) {
  constexpr int kIterations = 101;
  constexpr size_t kSaltBytes = 12;
  VD_ASSIGN_OR_RETURN(const std::string salt, security::RandomOctets(kSaltBytes));
  std::string hash(64, '\0');
  if (PKCS5_PBKDF2_HMAC(password.data(), static_cast<int>(password.size()),
                        reinterpret_cast<const unsigned char*>(salt.data()),
                        static_cast<int>(salt.size()), kIterations, EVP_sha512(),
                        static_cast<int>(hash.size()),
                        reinterpret_cast<unsigned char*>(hash.data())) != 1) {
    return absl::InternalError("mosquitto: the password cannot be hashed");
  }
  return absl::StrCat("$7$", kIterations, "$", absl::Base64Escape(salt), "$",
                      absl::Base64Escape(hash));
}

// The lines of devices stay; ours stays, too, where the password does.
absl::StatusOr<std::string> PasswordLines(const FileState& now, const std::string& password,
                                          bool new_password) {
  const std::string ours = absl::StrCat(kBrokerUser, ":");
  std::string text;
  bool there = false;
  std::vector<std::string> lines = absl::StrSplit(now.text, '\n', absl::SkipEmpty());
  for (const std::string& line : lines) {
    const bool own = absl::StartsWith(line, ours);
    there = there || own;
    if (!own || !new_password) absl::StrAppend(&text, line, "\n");
  }
  if (there && !new_password) return text;
  VD_ASSIGN_OR_RETURN(const std::string hash, MosquittoHash(password));
  return absl::StrCat(text, ours, hash, "\n");
}

Step BrokerFile(std::string path, std::string text) {
  Step step = File(std::move(path), std::move(text), "mosquitto.service");
  step.group = "mosquitto";
  step.mode = 0640;
  return step;
}

absl::Status AddMosquitto(const Root& root, const ServerOptions& options, Steps* steps,
                          std::vector<Secret>* secrets) {
  VD_RETURN_IF_ERROR(Needs(root, kMosquitto, "/etc/mosquitto/conf.d", "mosquitto"));
  VD_ASSIGN_OR_RETURN(const FileState secret, root.Read(kPasswordSecret));
  std::string password(absl::StripAsciiWhitespace(secret.text));
  const bool made = password.empty();
  if (made) {
    VD_ASSIGN_OR_RETURN(const std::string octets, security::RandomOctets(kPasswordBytes));
    password = security::HexOf(octets);
  }
  secrets->push_back({"mqtt_password", made ? password + "\n" : secret.text});
  const bool tls = !options.certificate.empty();
  VD_ASSIGN_OR_RETURN(std::string conf,
                      TakeParts(DeployFile("mosquitto/viaduct.conf"),
                                tls ? std::set<std::string>{"tls"} : std::set<std::string>{}));
  if (tls) {
    steps->push_back(BrokerFile("/etc/mosquitto/certs/viaduct.crt", options.certificate));
    steps->push_back(BrokerFile("/etc/mosquitto/certs/viaduct.key", options.key));
    steps->back().secret = true;
  }
  VD_ASSIGN_OR_RETURN(const FileState now, root.Read(kPasswords));
  VD_ASSIGN_OR_RETURN(std::string lines, PasswordLines(now, password, made));
  steps->push_back(BrokerFile(kPasswords, std::move(lines)));
  steps->back().secret = true;
  steps->back().shared = true;
  steps->push_back(
      BrokerFile("/etc/mosquitto/viaduct.acl", std::string(DeployFile("mosquitto/viaduct.acl"))));
  steps->push_back(BrokerFile("/etc/mosquitto/conf.d/viaduct.conf", std::move(conf)));
  steps->back().mode = 0644;
  return absl::OkStatus();
}

Step Named(StepKind kind, const char* name) {
  Step step;
  step.kind = kind;
  step.subject = name;
  return step;
}

void AddDeviceFolders(Steps* steps) {
  steps->push_back(Named(StepKind::kGroup, kEdgeGroup));
  steps->push_back(Folder("/srv/viaduct", 0755));
  steps->push_back(Folder("/srv/viaduct/edge", 0755));
  // sshd wants the folder above to be root's, so the node cannot make this one there itself.
  steps->push_back(Folder("/srv/viaduct/edge/.viaduct-aside", 0700, "viaduct", "viaduct"));
}

absl::Status AddSshd(const Root& root, Steps* steps) {
  VD_RETURN_IF_ERROR(Needs(root, kSshd, "/etc/ssh/sshd_config.d", "openssh-server"));
  AddDeviceFolders(steps);
  steps->push_back(Folder("/srv/viaduct/edge-keys", 0755));
  steps->push_back(File("/etc/ssh/sshd_config.d/viaduct-edge.conf",
                        std::string(DeployFile("sshd/viaduct-edge.conf")), "ssh.service"));
  return absl::OkStatus();
}

absl::Status AddRsyncd(const Root& root, Steps* steps) {
  VD_RETURN_IF_ERROR(Needs(root, kRsyncd, "/usr/bin/rsync", "rsync"));
  AddDeviceFolders(steps);
  steps->push_back(Named(StepKind::kUser, kEdgeGroup));
  steps->push_back(Folder("/srv/viaduct/rsyncd.d", 0755));
  VD_ASSIGN_OR_RETURN(const FileState now, root.Read("/srv/viaduct/rsyncd.secrets"));
  Step secrets = File("/srv/viaduct/rsyncd.secrets", now.text, "");
  secrets.mode = 0600;
  secrets.secret = true;
  secrets.shared = true;
  steps->push_back(std::move(secrets));
  steps->push_back(
      File("/etc/rsyncd.conf", std::string(DeployFile("rsyncd/rsyncd.conf")), "rsync.service"));
  return absl::OkStatus();
}

absl::Status AddPostgresql(const Root& root, Steps* steps) {
  if (!root.is_system()) {
    return absl::FailedPreconditionError(
        "--with postgresql: a database is made on the machine itself, not in an image");
  }
  VD_RETURN_IF_ERROR(Needs(root, kPostgresql, "/usr/bin/psql", "postgresql"));
  steps->push_back(Named(StepKind::kRole, "viaduct"));
  steps->push_back(Named(StepKind::kDatabase, "viaduct"));
  return absl::OkStatus();
}

absl::Status CheckTls(const ServerOptions& options) {
  if (options.certificate.empty() == options.key.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError("--certificate: goes with --key, and --key with it");
}

}  // namespace

absl::StatusOr<Steps> ServerSteps(const Root& root, const ServerOptions& options) {
  VD_RETURN_IF_ERROR(CheckId(options.id));
  VD_RETURN_IF_ERROR(CheckTls(options));
  std::set<std::string> parts(options.parts.begin(), options.parts.end());
  Steps around;
  std::vector<Secret> secrets;
  if (!options.certificate.empty()) {
    parts.insert("tls");
    secrets.push_back({"tls_certificate", options.certificate});
    secrets.push_back({"tls_key", options.key});
  }
  if (parts.count(kMosquitto) != 0) {
    VD_RETURN_IF_ERROR(AddMosquitto(root, options, &around, &secrets));
  }
  if (parts.count(kSshd) != 0) VD_RETURN_IF_ERROR(AddSshd(root, &around));
  if (parts.count(kRsyncd) != 0) VD_RETURN_IF_ERROR(AddRsyncd(root, &around));
  if (parts.count(kSshd) + parts.count(kRsyncd) != 0) parts.insert("files");
  if (parts.count(kPostgresql) != 0) VD_RETURN_IF_ERROR(AddPostgresql(root, &around));
  std::string text(DeployFile("node/server.yaml"));
  VD_RETURN_IF_ERROR(PutIn("SERVER", options.id, &text));
  VD_ASSIGN_OR_RETURN(text, TakeParts(text, parts));
  Steps steps = NodeSteps(std::move(text), secrets);
  steps.insert(steps.begin(), around.begin(), around.end());
  return steps;
}

}  // namespace viaduct::setup
